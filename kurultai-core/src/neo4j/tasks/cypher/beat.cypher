// The functional heartbeat of everybody in the list agents.
WITH *
CALL (agents, at) { UNWIND agents AS id WITH DISTINCT id, at MATCH (a:Agent {namespace: $ns, id: id})
  SET a.last_heartbeat = at, a.func_seq = coalesce(a.func_seq, 0) + 1 RETURN count(*) AS beats }
