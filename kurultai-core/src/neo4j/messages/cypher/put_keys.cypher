CALL () { MATCH (k:AgentKey) USING INDEX SEEK k:AgentKey(namespace, agent_id, key_id)
  WHERE k.namespace = $ns AND k.agent_id = $agent AND k.key_id >= ''
  WITH k ORDER BY k.namespace, k.agent_id, k.key_id RETURN collect([k.key_id, k.state]) AS there }
WITH at, there = $known AS unchanged
CALL (unchanged) { UNWIND CASE WHEN unchanged THEN $keys ELSE [] END AS r
  MERGE (k:AgentKey {namespace: $ns, agent_id: $agent, key_id: r[0]})
  ON CREATE SET k += r[1]
  SET k += r[2]
  WITH k
  OPTIONAL MATCH (a:Agent {namespace: $ns, id: $agent})
  FOREACH (x IN CASE WHEN a IS NULL THEN [] ELSE [a] END | MERGE (x)-[:HAS_KEY]->(k))
  RETURN count(*) AS stored }
RETURN [unchanged] AS row
