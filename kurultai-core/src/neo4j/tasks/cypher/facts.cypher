// Locked, since decisions follow: the server shows the commit of another property by property, so a fence could be new
// and what it should guard old.
UNWIND range(0, size($ids) - 1) AS i
MATCH (t:Task {namespace: $ns, id: $ids[i]}) USING INDEX SEEK t:Task(namespace, id)
CALL (t) { OPTIONAL MATCH (t)-[e:DEPENDS_ON]->(p:Task) WHERE e.type = 'blocks'
  RETURN [count(CASE WHEN NOT p.status IN ['completed', 'dead_letter', 'cancelled', 'expired'] THEN 1 END),
    count(CASE p.status WHEN 'completed' THEN 1 END), count(p)] AS before }
CALL (t) { OPTIONAL MATCH (t)-[:SPAWNED]->(p:Task)
  RETURN [count(CASE WHEN NOT p.status IN ['completed', 'dead_letter', 'cancelled', 'expired'] THEN 1 END),
    count(CASE p.status WHEN 'completed' THEN 1 END), count(p)] AS below }
RETURN [i, now, t.id, t.type, coalesce(t.revision, 0), t.status, t.claim_id, t.claimed_by,
  CASE t.status WHEN 'in_progress' THEN t.due_at END, t.attempts, t.max_attempts,
  t.retry, t.claim_key IS NOT NULL, (t.run_at.epochSeconds * 1000000 + t.run_at.microsecond),
  (t.expires_at.epochSeconds * 1000000 + t.expires_at.microsecond), t.timeout, t.control, t.on_prerequisite_failure,
  t.wait_for, before, below,
  size([e IN t.errors WHERE e CONTAINS '"kind":"lapsed"']),
  coalesce(t.unique_key_given_up, false), coalesce(t.snoozes, 0), t.max_runtime,
  CASE WHEN t.max_runtime IS NOT NULL THEN t.claimed_at.epochSeconds * 1000000 + t.claimed_at.microsecond END] AS row
