-- Times and spans are microseconds. `next_due` is the time that is due next, `due_at` when the store looks at it, which is as much
-- later as its jitter; a schedule that is paused has neither. `task_fields` is what its tasks are given beside type and
-- payload. `revision` is the fence of whoever moves it.
create table schedule(
  ns integer not null,
  name text not null,
  type text not null,
  every integer,
  start integer,
  cron text,
  timezone text not null,
  catch_up text not null,
  overlap text not null,
  jitter integer not null,
  paused integer not null,
  next_due integer,
  due_at integer,
  last_due integer,
  last_task text,
  last_skipped integer,
  revision integer not null,
  created_at integer not null,
  updated_at integer not null,
  task_fields text not null,
  payload text not null,
  primary key(ns, name)
) strict, without rowid;
create index schedule_due on schedule(ns, due_at) where due_at is not null;

create view schedules as select s.id as namespace, c.name, c.type, c.payload, c.task_fields, c.every / 1e6 as every,
  c.cron, c.timezone, datetime(c.start / 1e6, 'unixepoch', 'subsec') as start, c.catch_up, c.overlap,
  c.jitter / 1e6 as jitter, c.paused, datetime(c.next_due / 1e6, 'unixepoch', 'subsec') as next_due,
  datetime(c.last_due / 1e6, 'unixepoch', 'subsec') as last_due, c.last_task,
  datetime(c.last_skipped / 1e6, 'unixepoch', 'subsec') as last_skipped,
  datetime(c.created_at / 1e6, 'unixepoch', 'subsec') as created_at,
  datetime(c.updated_at / 1e6, 'unixepoch', 'subsec') as updated_at
from schedule c join namespace s on s.n = c.ns;
