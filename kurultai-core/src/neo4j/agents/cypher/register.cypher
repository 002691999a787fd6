SET ns.catalog_seq = ns.catalog_seq + 1
WITH ns, at, now
// What an agent holds already counts against a limit that comes later: held_by is there only where a load is limited.
CALL (now) { UNWIND $rows AS r WITH r, now WHERE r[5] IS NOT NULL
  MATCH (t:Task) USING INDEX SEEK t:Task(namespace, due_at) WHERE t.namespace = $ns AND t.due_at > now
    AND t.status = 'in_progress' AND t.claimed_by = r[0]
  SET t.held_by = r[0] RETURN count(*) AS counted }
CALL (at) { UNWIND $rows AS r
  MERGE (a:Agent {namespace: $ns, id: r[0]})
  ON CREATE SET a.created_at = at, a._new = true, a.infra_seq = 0, a.func_seq = 0
  ON MATCH SET a.infra_seq = coalesce(a.infra_seq, 0) + 1
  SET a.name = r[1], a.display_name = r[1], a.role = r[2], a.aliases = r[3], a.capabilities = r[4],
      a.max_concurrent = r[5], a.metadata = r[6], a.status = 'active', a.infra_heartbeat = at, a.stopped_at = null,
      a.updated_at = at
  WITH a, a._new AS new REMOVE a._new
  RETURN [x IN collect(CASE WHEN new THEN a.id END) | x] AS fresh }
