WITH ns, now, at, coalesce(ns.paused, []) AS paused
CALL (now, at, paused) { UNWIND $rows AS r
  MATCH (t:Task {namespace: $ns, id: r[0]}) USING INDEX SEEK t:Task(namespace, id)
  WHERE t.claim_id = r[1] AND t.status = 'in_progress' AND t.due_at > now
  WITH t, r, at, paused, CASE WHEN now + r[2] > t.due_at THEN now + r[2] ELSE t.due_at END AS until
  SET t.due_at = until, t.lease_expires_at =
      datetime({epochSeconds: until / 1000000, nanosecond: until % 1000000 * 1000}),
    t.progress = coalesce(r[3], t.progress), t.checkpoint = coalesce(r[4], t.checkpoint),
    t.revision = coalesce(t.revision, 0) + 1, t.updated_at = at
  RETURN collect([t.id, t.claim_id, until, t.control, t.type IN paused OR '' IN paused,
      CASE t.control WHEN 'cancel' THEN t.control_reason END]) AS held,
    collect(t.claimed_by) AS agents, collect(CASE WHEN r[5] IS NOT NULL THEN [t, r[5]] END) AS told }
WITH *, ns.event_seq AS base
FOREACH (x IN told[..1] | SET ns.event_seq = base + size(told))
FOREACH (i IN range(1, size(told)) | CREATE (:Event {namespace: $ns, seq: base + i, topic: 'task.progress',
  source: told[i - 1][0].claimed_by, task_id: told[i - 1][0].id, task_type: told[i - 1][0].type,
  correlation_id: told[i - 1][0].correlation_id, payload: told[i - 1][1], created_at: at}))
