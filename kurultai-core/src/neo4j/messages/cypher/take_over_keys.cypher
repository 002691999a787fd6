// A row is [where, the secret that it must have, agent, key id, what it becomes or nothing].
CALL () { UNWIND $rows AS r
  MATCH (k:AgentKey) WHERE elementId(k) = r[0]
  // Removing a property that is not there locks the node, and only then it is certain what it holds.
  REMOVE k._lock
  WITH r, k, properties(k) AS p
  WHERE p.namespace IS NULL AND (coalesce(p.secret_key = r[1], false) OR coalesce(p.key_hash = r[1], false))
  OPTIONAL MATCH (o:AgentKey {namespace: $ns, agent_id: r[2], key_id: r[3]})
  WITH r, k, o WHERE r[4] IS NULL OR o IS NULL
  REMOVE k.secret_key, k.key_hash
  FOREACH (x IN CASE WHEN r[4] IS NULL THEN [] ELSE [k] END |
    SET x += r[4], x.namespace = $ns, x.agent_id = r[2], x.key_id = r[3])
  WITH r, k
  OPTIONAL MATCH (a:Agent {namespace: $ns, id: r[2]})
  FOREACH (x IN CASE WHEN r[4] IS NULL OR a IS NULL THEN [] ELSE [a] END | MERGE (x)-[:HAS_KEY]->(k))
  RETURN collect(r[0]) AS done }
RETURN [done] AS row
