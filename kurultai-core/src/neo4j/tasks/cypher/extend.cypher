// A request is [task, claim, span, progress, checkpoint, what task.progress tells, for how long the handler is silent,
// what agent.stuck tells, whether the handler goes on].
WITH ns, now, at, offices, coalesce(ns.paused, []) AS paused
CALL (now, at, paused) { UNWIND $rows AS r
  MATCH (t:Task {namespace: $ns, id: r[0]}) USING INDEX SEEK t:Task(namespace, id)
  WHERE t.claim_id = r[1] AND t.status = 'in_progress' AND t.due_at > now
  WITH t, r, at, paused, CASE WHEN now + r[2] > t.due_at THEN now + r[2] ELSE t.due_at END AS until,
    CASE WHEN t.max_runtime IS NOT NULL THEN
      t.claimed_at.epochSeconds * 1000000 + t.claimed_at.microsecond + t.max_runtime END AS most,
    r[6] IS NOT NULL AND NOT coalesce(t.stalled_claim = r[1], false) AS stuck
  WITH t, r, at, paused, stuck, CASE WHEN most < until THEN most ELSE until END AS until
  SET t.due_at = until, t.lease_expires_at =
      datetime({epochSeconds: until / 1000000, nanosecond: until % 1000000 * 1000}),
    t.progress = coalesce(r[3], t.progress), t.checkpoint = coalesce(r[4], t.checkpoint),
    t.revision = coalesce(t.revision, 0) + 1, t.updated_at = at
  FOREACH (x IN CASE WHEN stuck THEN [t] ELSE [] END |
    SET x.stalled_claim = r[1], x.stalled_at = at - duration({microseconds: r[6]}))
  FOREACH (x IN CASE WHEN r[8] THEN [t] ELSE [] END | SET x.stalled_claim = null, x.stalled_at = null)
  RETURN collect([t.id, t.claim_id, until, t.control, t.type IN paused OR '' IN paused,
      CASE t.control WHEN 'cancel' THEN t.control_reason END, t.claimed_by]) AS held,
    collect(CASE WHEN r[6] IS NULL THEN t.claimed_by END) AS agents, collect(DISTINCT t.claimed_by) AS holders,
    collect(CASE WHEN r[5] IS NOT NULL THEN [t, 'task.progress', r[5]] END)
      + collect(CASE WHEN stuck THEN [t, 'agent.stuck', r[7]] END) AS told }
// What each of them would be given of its messages and of those of its roles: by their index, up to where enough is known.
CALL (holders, offices, at) { UNWIND holders AS holder
  UNWIND [holder] + [o IN offices WHERE o[0] = holder | o[1]] AS audience
  CALL (audience, at) { MATCH (m:AgentMessage) USING INDEX SEEK m:AgentMessage(namespace, to_agent, inbox_key)
    WHERE m.namespace = $ns AND m.to_agent = audience AND m.inbox_key > -1
    WITH at, m ORDER BY m.namespace, m.to_agent, m.inbox_key LIMIT $looks
    WITH at, m WHERE m.visible_at <= at AND m.expires_at > at AND m.deliveries < $most
    WITH m LIMIT $unread RETURN count(*) AS count, count(CASE WHEN m.urgent THEN 1 END) AS urgent }
  WITH holder, sum(count) AS count, sum(urgent) AS urgent
  RETURN collect([holder, count, urgent]) AS unread }
WITH *, ns.event_seq AS base
FOREACH (x IN told[..1] | SET ns.event_seq = base + size(told))
FOREACH (i IN range(1, size(told)) | CREATE (:Event {namespace: $ns, seq: base + i, topic: told[i - 1][1],
  source: told[i - 1][0].claimed_by, task_id: told[i - 1][0].id, task_type: told[i - 1][0].type,
  correlation_id: told[i - 1][0].correlation_id, payload: told[i - 1][2], created_at: at}))
