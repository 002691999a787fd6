-- Times are microseconds since 1970, UTC. `due_at` is when the store looks at a task by itself; of a task in progress
-- it is the end of the lease. `held_by` names a holder whose load is limited, so that only those are
-- counted; `links` says whether a task has prerequisites (1), dependents (2), children (4), so that the many that
-- have none are not asked, whether it is a dead letter (8), for an index that others do not
-- touch, whether a later task has taken its unique key (16), and whether it has a `max_runtime` (32).
-- A namespace without a name has the newest rows of those that were deleted, so that no number is given out again.
-- People read the views `tasks` and `events`; `task` is narrow because an update rewrites its whole row: a column costs
-- a cycle about 1 %, an index that it touches 3 to 6 %.
create table namespace(
  n integer primary key,
  id text not null unique,
  event_seq integer not null default 0
) strict;

create table route(
  id integer primary key,
  ns integer not null,
  key text not null,
  unique(ns, key)
) strict;

-- How far the machine's clock was ahead of its count since the start `epoch`: a jump of the clock is seen by it, and
-- settled by one process for all.
create table clock(
  one integer primary key check(one = 1),
  epoch text not null,
  ahead integer not null
) strict;

create table pause(
  ns integer not null,
  type text not null,
  primary key(ns, type)
) strict, without rowid;

create table task(
  n integer primary key,
  id text not null,
  ns integer not null,
  type text not null,
  status text not null,
  route integer not null,
  sort_key integer not null,
  claim_key integer,
  parent integer,
  unique_key text,
  run_at integer,
  expires_at integer,
  due_at integer,
  attempts integer not null default 0,
  claimed_by text,
  claimed_at integer,
  claim_id text,
  held_by text,
  lease_version integer not null default 0,
  control text,
  links integer not null default 0,
  revision integer not null default 0,
  updated_at integer not null,
  completed_at integer,
  unique(ns, id)
) strict;
create index task_ready on task(route, claim_key) where claim_key is not null;
create index task_due on task(ns, due_at) where due_at is not null;
create index task_held on task(ns, held_by) where held_by is not null;
create index task_dead on task(ns, id) where links & 8;
create index task_parent on task(parent) where parent is not null;
create unique index task_unique on task(ns, unique_key) where unique_key is not null;

-- Claimable tasks have no `due_at`: ranges of them stand here under the first `expires_at` in the range, and get
-- theirs when that has come. Most are claimed long before, so a task is in no index of times until it is.
create table expiry(
  ns integer not null,
  at integer not null,
  first integer not null,
  last integer not null,
  primary key(ns, at, first)
) strict, without rowid;

-- What changes only where somebody updates the task. The payload is last, so that nothing else is read past it.
create table task_data(
  n integer primary key,
  priority integer not null,
  priority_weight real not null,
  max_attempts integer not null,
  max_runtime integer,
  timeout integer,
  assigned_to text,
  created_at integer not null,
  title text not null,
  description text not null,
  required text not null,
  preferred text not null,
  delegated_by text,
  wait_for text,
  on_prerequisite_failure text,
  retry text,
  correlation_id text,
  payload text not null
) strict;

create table task_result(
  n integer primary key,
  progress real,
  error_message text,
  errors text,
  usage text,
  checkpoint text,
  snoozes integer,
  control_reason text,
  -- The claim whose handler shows no sign of life, and since when.
  stalled_claim text,
  stalled_at integer,
  results text
) strict;

create table edge(
  dependent integer not null,
  prerequisite integer not null,
  type text not null,
  weight real,
  detected_by text,
  created_at integer not null,
  primary key(dependent, prerequisite)
) strict, without rowid;
create index edge_prerequisite on edge(prerequisite);

create table agent(
  ns integer not null,
  id text not null,
  display_name text not null,
  role text,
  aliases text not null,
  capabilities text not null,
  status text not null,
  max_concurrent integer,
  infra_heartbeat integer,
  last_heartbeat integer,
  infra_seq integer not null default 0,
  func_seq integer not null default 0,
  -- When its last process said that it stops, and when it was declared dead.
  stopped_at integer,
  dead_at integer,
  metadata text,
  created_at integer not null,
  updated_at integer not null,
  primary key(ns, id)
) strict, without rowid;

-- The key is the namespace's number, shifted by 44 bits, plus the event's: appending to it is cheaper than to any
-- index.
create table event(
  key integer primary key,
  topic text not null,
  task integer,
  source text,
  data text,
  created_at integer not null
) strict;

-- Tasks that retention has removed, for the events that name them; `last_event` is the newest that can.
create table swept(
  n integer primary key,
  ns integer not null,
  id text not null,
  type text not null,
  correlation_id text not null,
  last_event integer not null
) strict;
create index swept_id on swept(ns, id);

create view tasks as
select t.id, s.id as namespace, t.type, d.title, d.description, t.status, 'P' || d.priority as priority,
  d.priority_weight, d.payload, d.required as required_capabilities, d.preferred as preferred_capabilities,
  d.assigned_to, d.delegated_by, p.id as parent_id, coalesce(d.correlation_id, t.id) as correlation_id, t.unique_key,
  datetime(t.run_at / 1e6, 'unixepoch', 'subsec') as run_at,
  datetime(t.expires_at / 1e6, 'unixepoch', 'subsec') as expires_at,
  t.attempts, d.max_attempts, d.max_runtime / 1e6 as max_runtime, coalesce(r.snoozes, 0) as snoozes, t.claimed_by,
  datetime(t.claimed_at / 1e6, 'unixepoch', 'subsec') as claimed_at, t.claim_id, t.lease_version,
  iif(t.status = 'in_progress', datetime(t.due_at / 1e6, 'unixepoch', 'subsec'), null) as lease_expires_at,
  r.progress, r.checkpoint, r.results, r.error_message, r.errors, r.usage,
  datetime(d.created_at / 1e6, 'unixepoch', 'subsec') as created_at,
  datetime(t.updated_at / 1e6, 'unixepoch', 'subsec') as updated_at,
  datetime(t.completed_at / 1e6, 'unixepoch', 'subsec') as completed_at
from task t
join namespace s on s.n = t.ns
join task_data d on d.n = t.n
left join task p on p.n = t.parent
left join task_result r on r.n = t.n;

create view events as
select s.id as namespace, e.key & 0xfffffffffff as seq, e.topic, coalesce(t.id, w.id) as task_id,
  coalesce(t.type, w.type) as task_type, e.source,
  coalesce(d.correlation_id, t.id, w.correlation_id) as correlation_id, e.data as payload,
  datetime(e.created_at / 1e6, 'unixepoch', 'subsec') as created_at
from event e
join namespace s on s.n = e.key >> 44
left join task t on t.n = e.task
left join task_data d on d.n = t.n
left join swept w on w.n = e.task;
