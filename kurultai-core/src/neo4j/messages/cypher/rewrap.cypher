CALL () { UNWIND $secrets AS s
  OPTIONAL MATCH (k:AgentKey {namespace: $ns, agent_id: s[0], key_id: s[1]})
  WITH s, k WHERE coalesce(k.secret <> s[2], true)
  RETURN collect(s[0]) AS changed }
// What somebody else has added meanwhile.
CALL () { MATCH (k:AgentKey) USING INDEX SEEK k:AgentKey(namespace, agent_id, key_id)
  WHERE k.namespace = $ns AND k.agent_id >= '' AND k.key_id >= '' AND k.secret IS NOT NULL
    AND k.wrapping_key <> $wrapping_key
  RETURN collect(k.agent_id) AS others }
WITH changed, CASE WHEN size(others) = size($secrets) THEN [] ELSE others END AS others
WITH (changed + others)[0] AS wrong
CALL (wrong) { UNWIND CASE WHEN wrong IS NULL THEN $secrets ELSE [] END AS s
  MATCH (k:AgentKey {namespace: $ns, agent_id: s[0], key_id: s[1]})
  SET k.secret = s[3], k.wrapping_key = s[4] RETURN count(*) AS set }
RETURN [wrong] AS row
