WITH ns, now, at, changed, ns.event_seq AS base
FOREACH (t IN changed | CREATE (:Event {namespace: $ns, seq: base + 1, topic: $topic, source: $source, task_id: t.id,
  task_type: t.type, correlation_id: t.correlation_id, payload: $payload, created_at: at}))
SET ns.event_seq = base + size(changed)
RETURN [size(changed) > 0, coalesce($fields.due_at <= now, false)] AS row
