// Where the role is still as it was decided by; $fields is what becomes of it, $agent who must be there to take it.
CALL (at) { MERGE (r:RoleLease {namespace: $ns, role: $role})
  // So that no renewal comes between the look and the write.
  REMOVE r._lock
  WITH r, at, properties(r) AS p
  WITH r, at, p WHERE [coalesce(p.term, 0), coalesce(p.holder, ''), coalesce(p.promised_to, ''),
      coalesce(p.expires_at.epochSeconds * 1000000 + p.expires_at.microsecond, 0)] = $seen
    AND ($agent IS NULL OR EXISTS { MATCH (:Agent {namespace: $ns, id: $agent}) })
  SET r += $fields, r.updated_at = at
  RETURN count(*) AS held }
CALL (at, held) { UNWIND CASE WHEN held > 0 AND $resolved_from IS NOT NULL THEN [1] ELSE [] END AS x
  MATCH (f:FailoverEvent) USING INDEX SEEK f:FailoverEvent(namespace, id)
  WHERE f.namespace = $ns AND f.id >= '' AND f.role = $role AND f.status = 'active' AND f.term >= $resolved_from
  SET f.status = 'resolved', f.deactivated_at = at
  RETURN count(*) AS resolved }
FOREACH (f IN CASE WHEN held > 0 THEN $failovers ELSE [] END |
  CREATE (x:FailoverEvent {namespace: $ns, role: $role, status: 'active', activated_at: at}) SET x += f)
WITH ns, at, held, ns.event_seq AS base, CASE WHEN held > 0 THEN $told ELSE [] END AS told
SET ns.event_seq = base + size(told)
FOREACH (i IN range(1, size(told)) | CREATE (:Event {namespace: $ns, seq: base + i, topic: 'role.changed',
  source: told[i - 1][0], payload: told[i - 1][1], created_at: at}))
RETURN [held > 0] AS row
