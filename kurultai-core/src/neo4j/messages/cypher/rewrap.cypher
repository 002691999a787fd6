CALL () { UNWIND range(0, size($secrets) - 1) AS i
  OPTIONAL MATCH (k:AgentKey {namespace: $ns, agent_id: $secrets[i][0], key_id: $secrets[i][1]})
  WITH i, k WHERE coalesce(k.secret <> $secrets[i][2], true)
  RETURN min(i) AS wrong }
CALL (wrong) { UNWIND CASE WHEN wrong IS NULL THEN $secrets ELSE [] END AS s
  MATCH (k:AgentKey {namespace: $ns, agent_id: s[0], key_id: s[1]})
  SET k.secret = s[3], k.wrapping_key = s[4] RETURN count(*) AS changed }
RETURN [wrong] AS row
