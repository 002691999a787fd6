CALL (now, at) { UNWIND range(0, size($rows) - 1) AS i
  WITH i, $rows[i] AS r, now, at
  MATCH (t:Task {namespace: $ns, id: r.id}) USING INDEX SEEK t:Task(namespace, id)
  WHERE coalesce(t.revision, 0) = r.revision AND CASE WHEN r.claim IS NULL THEN true
    ELSE t.claim_id = r.claim AND t.status = 'in_progress' AND t.due_at > now END
  WITH i, r, now, at, t, coalesce(t.claim_key, t.sort_key) AS key
  SET t.status = r.status, t.claim_key = CASE WHEN r.claimable THEN key END,
    t.sort_key = CASE WHEN NOT r.claimable THEN key END, t.run_at = r.run_at,
    t.expires_at = r.expires_at, t.due_at = r.due_at, t.attempts = r.attempts, t.control = r.control,
    t.results = coalesce(r.results, t.results), t.usage = coalesce(r.usage, t.usage),
    t.errors = CASE WHEN r.error IS NULL THEN t.errors ELSE coalesce(t.errors, []) + [r.error] END,
    t.error_message = coalesce(r.message, t.error_message), t.snoozes = coalesce(r.snoozes, t.snoozes),
    t.control_reason = CASE WHEN r.asks_to_cancel THEN r.reason ELSE t.control_reason END,
    t.completed_at = CASE WHEN r.finished THEN at END,
    t.dead_letter = CASE r.status WHEN 'dead_letter' THEN true END,
    t.claim_id = CASE WHEN r.keep THEN t.claim_id END,
    t.claimed_by = CASE WHEN NOT r.status IN ['pending', 'blocked'] THEN t.claimed_by END,
    t.held_by = CASE WHEN r.status = 'in_progress' THEN t.held_by END,
    t.lease_expires_at = CASE WHEN r.status = 'in_progress' THEN t.lease_expires_at END,
    t.revision = coalesce(t.revision, 0) + 1, t.updated_at = at
  RETURN collect(i) AS held, collect(CASE WHEN r.finished THEN t END) AS tasks,
    collect(CASE WHEN r.topic IS NOT NULL THEN r {.topic, .source, .id, .payload, type: t.type,
      correlation_id: t.correlation_id} END) AS events,
    collect(CASE WHEN r.claim IS NOT NULL THEN r.source END) AS agents,
    coalesce(max(r.due_at <= now), false) AS late }
WITH *, ns.event_seq AS base
FOREACH (i IN range(1, size(events)) | CREATE (:Event {namespace: $ns, seq: base + i, topic: events[i - 1].topic,
  source: events[i - 1].source, task_id: events[i - 1].id, task_type: events[i - 1].type,
  correlation_id: events[i - 1].correlation_id,
  payload: events[i - 1].payload, created_at: at}))
WITH *, base + size(events) AS seq
