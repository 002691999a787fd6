// The functional heartbeat of everybody in the list agents, in the order of their ids: heartbeats lock agents in that
// order too, and without the namespace.
WITH *
CALL (agents, at) { UNWIND agents AS id WITH DISTINCT id, at ORDER BY id MATCH (a:Agent {namespace: $ns, id: id})
  SET a.last_heartbeat = at, a.func_seq = coalesce(a.func_seq, 0) + 1 RETURN count(*) AS beats }
