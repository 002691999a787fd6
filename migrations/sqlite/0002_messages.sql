-- An open message has a `visible_at`: before it nobody is given the message. `deliveries` is the fence of the one who
-- has it. The token says who said what; the columns beside it are for whoever reads the database, and are never
-- believed.
create table message(
  n integer primary key,
  ns integer not null,
  id text not null,
  type text not null,
  from_agent text not null,
  key_id text not null,
  to_agent text not null,
  status text not null,
  urgent integer not null,
  deliveries integer not null default 0,
  delivered_to text,
  visible_at integer,
  expires_at integer not null,
  created_at integer not null,
  delivered_at integer,
  acked_at integer,
  task_id text,
  reply_to text,
  thread text not null,
  dedupe_key text,
  code text,
  reason text,
  payload text not null,
  token text not null,
  unique(ns, id)
) strict;
create index message_inbox on message(ns, to_agent, urgent desc, n) where visible_at is not null;
create index message_expiry on message(ns, expires_at) where visible_at is not null;
create index message_over on message(ns, expires_at) where visible_at is null;
create index message_spent on message(ns, visible_at) where visible_at is not null and deliveries >= 5;
create index message_thread on message(ns, thread, n);
create unique index message_dedupe on message(ns, dedupe_key) where dedupe_key is not null;

create table agent_key(
  ns integer not null,
  agent_id text not null,
  key_id text not null,
  algorithm text not null,
  state text not null,
  created_at integer not null,
  activated_at integer,
  expires_at integer not null,
  reason text,
  public_key text,
  -- Wrapped under the key of this id.
  secret text,
  wrapping_key text,
  primary key(ns, agent_id, key_id)
) strict, without rowid;

-- What was refused at the door, one row a claimed sender, a reason and a minute.
create table refusal(
  ns integer not null,
  minute integer not null,
  sender text not null,
  code text not null,
  count integer not null,
  first text not null,
  primary key(ns, minute, sender, code)
) strict, without rowid;

create view messages as select s.id as namespace, m.id, m.type, m.from_agent, m.to_agent, m.task_id, m.payload, m.status,
  m.urgent, m.deliveries, m.dedupe_key, m.reply_to, m.thread, m.token, m.code, m.reason,
  datetime(m.visible_at / 1e6, 'unixepoch', 'subsec') as visible_at,
  datetime(m.created_at / 1e6, 'unixepoch', 'subsec') as created_at,
  datetime(m.delivered_at / 1e6, 'unixepoch', 'subsec') as delivered_at,
  datetime(m.acked_at / 1e6, 'unixepoch', 'subsec') as acked_at,
  datetime(m.expires_at / 1e6, 'unixepoch', 'subsec') as expires_at
from message m join namespace s on s.n = m.ns;
