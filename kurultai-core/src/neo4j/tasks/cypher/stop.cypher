// A stop that is there already keeps its reason and its event.
WITH ns, now, at, ns.stop_reason IS NULL AS new
SET ns.stop_reason = coalesce(ns.stop_reason, $reason), ns.stopped_at = coalesce(ns.stopped_at, at),
  ns.paused = [p IN coalesce(ns.paused, []) WHERE p <> ''] + [''], ns.catalog_seq = ns.catalog_seq + 1
WITH ns, now, at, CASE WHEN new THEN [{topic: 'tasks.stopped', payload: $told}] ELSE [] END AS first
CALL (now, at) { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, due_at)
  WHERE t.namespace = $ns AND t.due_at > now AND t.status = 'in_progress'
    AND (t.control IS NULL OR t.control <> 'cancel')
  WITH t, at LIMIT $limit
  SET t.control = 'cancel', t.control_reason = $reason, t.revision = coalesce(t.revision, 0) + 1, t.updated_at = at
  RETURN collect({topic: 'task.cancel_requested', id: t.id, type: t.type, correlation_id: t.correlation_id,
    payload: '{"attempt":' + toString(coalesce(t.attempts, 0)) + $why}) AS asked }
WITH ns, at, asked, first + asked AS events, ns.event_seq AS base
SET ns.event_seq = base + size(events)
FOREACH (i IN range(1, size(events)) | CREATE (:Event {namespace: $ns, seq: base + i, topic: events[i - 1].topic,
  task_id: events[i - 1].id, task_type: events[i - 1].type, correlation_id: events[i - 1].correlation_id,
  payload: events[i - 1].payload, created_at: at}))
RETURN [size(asked)] AS row
