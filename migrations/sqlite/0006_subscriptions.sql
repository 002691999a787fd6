-- Of events that users publish, and of no others: so the log's writers of each task have nothing to do with the indexes.
-- `depth` is how many events have caused each other before it.
alter table event add column correlation_id text;
alter table event add column depth integer;
alter table event add column dedupe_key text;
create index event_published on event(topic) where depth is not null;
create unique index event_key on event(key >> 44, dedupe_key) where dedupe_key is not null;

drop view events;
create view events as
select s.id as namespace, e.key & 0xfffffffffff as seq, e.topic, coalesce(t.id, w.id) as task_id,
  coalesce(t.type, w.type) as task_type, e.source,
  coalesce(e.correlation_id, d.correlation_id, t.id, w.correlation_id) as correlation_id, e.data as payload,
  e.dedupe_key as key, datetime(e.created_at / 1e6, 'unixepoch', 'subsec') as created_at
from event e
join namespace s on s.n = e.key >> 44
left join task t on t.n = e.task
left join task_data d on d.n = t.n
left join swept w on w.n = e.task;

-- A reader that is remembered: every event up to `cursor` is acknowledged or does not match. Whoever is given events holds it
-- until `held_until`, under a fence that no earlier holder has had; `tries` is how often the first of them was given. `revision` is the fence of whoever changes the row. Times and spans are microseconds.
create table subscription(
  ns integer not null,
  name text not null,
  subscriber_agent text,
  topic text not null,
  source_agent text,
  filter text,
  batch integer not null,
  quiet integer not null,
  active integer not null,
  cursor integer not null,
  fence integer not null,
  held_until integer,
  tries integer not null,
  error text,
  revision integer not null,
  created_at integer not null,
  updated_at integer not null,
  primary key(ns, name)
) strict, without rowid;

-- Events that a subscription was given so often that it goes on without them.
create table dead_event(
  ns integer not null,
  subscription text not null,
  seq integer not null,
  topic text not null,
  tries integer not null,
  error text,
  at integer not null,
  primary key(ns, subscription, seq)
) strict, without rowid;

create view subscriptions as select s.id as namespace, c.name, c.subscriber_agent, c.topic, c.source_agent, c.filter,
  c.batch / 1e6 as batch_seconds, c.quiet / 1e6 as quiet_seconds, c.active, c.cursor, c.fence,
  datetime(c.held_until / 1e6, 'unixepoch', 'subsec') as held_until, c.tries, c.error,
  datetime(c.created_at / 1e6, 'unixepoch', 'subsec') as created_at,
  datetime(c.updated_at / 1e6, 'unixepoch', 'subsec') as updated_at
from subscription c join namespace s on s.n = c.ns;
