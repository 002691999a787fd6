// The first that is not as it should be: those to change count before the new ones.
CALL () { UNWIND range(0, size($changed) - 1) AS i
  OPTIONAL MATCH (k:AgentKey {namespace: $ns, agent_id: $changed[i][0], key_id: $changed[i][1]})
  WITH i, k WHERE k IS NULL OR k.state <> $changed[i][2]
  RETURN min(i) AS lost }
CALL () { UNWIND range(0, size($new) - 1) AS i
  MATCH (k:AgentKey {namespace: $ns, agent_id: $new[i].agent_id, key_id: $new[i].key_id})
  RETURN size($changed) + min(i) AS taken }
WITH at, coalesce(lost, taken) AS wrong
CALL (wrong) { UNWIND CASE WHEN wrong IS NULL THEN $changed ELSE [] END AS c
  MATCH (k:AgentKey {namespace: $ns, agent_id: c[0], key_id: c[1]})
  SET k += c[3] RETURN count(*) AS changed }
CALL (wrong) { UNWIND CASE WHEN wrong IS NULL THEN $new ELSE [] END AS fields
  CREATE (k:AgentKey {namespace: $ns}) SET k += fields
  WITH k, fields
  OPTIONAL MATCH (a:Agent {namespace: $ns, id: fields.agent_id})
  FOREACH (x IN CASE WHEN a IS NULL THEN [] ELSE [a] END | CREATE (x)-[:HAS_KEY]->(k))
  RETURN count(*) AS made }
RETURN [wrong] AS row
