-- The processes that speak for an agent, by the `open` of each: when it has last beaten for it.
alter table agent add column speakers text;

-- An office that one agent holds at a time. `term` grows with each holder and with nothing else; the row stays when nobody
-- holds the role, so that no term is given twice. `expires_at` is the end of the lease or, without a holder, of the
-- promise to `promised_to`.
create table role_lease(
  ns integer not null,
  role text not null,
  term integer not null,
  holder text,
  -- Of the `open` that holds it: another process of the same agent does not.
  instance text,
  expires_at integer not null,
  promised_to text,
  last_holder text,
  updated_at integer not null,
  primary key(ns, role)
) strict, without rowid;

-- A role went from one agent to another; active until it is back.
create table failover_event(
  ns integer not null,
  id text not null,
  role text not null,
  from_agent text not null,
  to_agent text not null,
  term integer not null,
  reason text not null,
  triggered_by text not null,
  activated_at integer not null,
  deactivated_at integer,
  status text not null,
  primary key(ns, id)
) strict, without rowid;
create index failover_active on failover_event(ns, role, term) where status = 'active';

create view role_leases as select s.id as namespace, r.role, r.holder, r.instance, r.term,
  datetime(r.expires_at / 1e6, 'unixepoch', 'subsec') as expires_at, r.promised_to, r.last_holder
from role_lease r join namespace s on s.n = r.ns;

create view failover_events as select s.id as namespace, f.id, f.role, f.from_agent, f.to_agent, f.term, f.reason,
  f.triggered_by, datetime(f.activated_at / 1e6, 'unixepoch', 'subsec') as activated_at,
  datetime(f.deactivated_at / 1e6, 'unixepoch', 'subsec') as deactivated_at, f.status
from failover_event f join namespace s on s.n = f.ns;
