OPTIONAL MATCH (a:Agent {namespace: $ns, id: $agent})
CALL (a, now) { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, due_at)
  WHERE t.namespace = $ns AND t.due_at > now AND t.status = 'in_progress' AND t.claimed_by = a.id
  WITH t LIMIT $named RETURN collect(t.id) AS holds }
CALL (a, at) { MATCH (r:RoleLease) USING INDEX SEEK r:RoleLease(namespace, role)
  WHERE r.namespace = $ns AND r.role >= '' AND r.holder = a.id AND r.expires_at > at RETURN collect(r.role) AS leads }
WITH ns, now, at, a, holds, leads,
  CASE WHEN a IS NULL OR size(holds) + size(leads) > 0 AND NOT $force THEN [] ELSE [a] END AS going
// It is given nothing from now on, so that it holds nothing when it goes.
SET ns.catalog_seq = ns.catalog_seq + size(going)
FOREACH (x IN going | SET x.status = 'offline', x.updated_at = at)
WITH now, at, a, holds, leads, going
CALL (now, at, going) { UNWIND going AS a
