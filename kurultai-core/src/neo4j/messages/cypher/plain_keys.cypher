MATCH (k:AgentKey) WHERE k.namespace IS NULL AND (k.secret_key IS NOT NULL OR k.key_hash IS NOT NULL)
OPTIONAL MATCH (a:Agent)-[:HAS_KEY]->(k)
WITH k, [owner IN collect(coalesce(a.display_name, a.name, a.agent_id, a.id)) WHERE owner IS NOT NULL] AS owners
ORDER BY elementId(k)
RETURN [elementId(k), owners, k.agent_id, k.key_id, k.id, k.secret_key, k.key_hash, k.revoked, k.is_active, k.created_at,
  k.expires_at] AS row
