MATCH (ns:Namespace {namespace: $ns, made: $made})
WITH now - $after AS before
WITH before, datetime({epochSeconds: before / 1000000, nanosecond: before % 1000000 * 1000}) AS at
CALL (before) { MATCH (r:Refusal) USING INDEX SEEK r:Refusal(namespace, minute, sender, code)
  WHERE r.namespace = $ns AND r.minute < before / $minute AND r.sender >= '' AND r.code >= ''
  WITH r LIMIT $limit DELETE r RETURN count(*) AS refusals }
CALL (at) { MATCH (m:AgentMessage) USING INDEX SEEK m:AgentMessage(namespace, expires_at)
  WHERE m.namespace = $ns AND m.expires_at < at AND m.due_at IS NULL
  WITH m LIMIT $limit DETACH DELETE m RETURN count(*) AS messages }
RETURN [messages] AS row
