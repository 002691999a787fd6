-- Why and since when everything is paused, where that is an emergency stop.
alter table pause add column reason text;
alter table pause add column at integer;

-- What burns, or has burnt: a row for each key. `told_at` is when an event last said that it burns, so that what
-- flickers is told once in a while.
create table alert(
  ns integer not null,
  key text not null,
  severity text not null,
  text text not null,
  raised_at integer not null,
  told_at integer not null,
  cleared_at integer,
  primary key(ns, key)
) strict, without rowid;
