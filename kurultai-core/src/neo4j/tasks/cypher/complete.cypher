CALL (now, at) { UNWIND $rows AS r
  MATCH (t:Task {namespace: $ns, id: r[0]}) USING INDEX SEEK t:Task(namespace, id)
  WHERE t.claim_id = $claims[r[1]] AND t.status = 'in_progress' AND t.due_at > now
    AND NOT EXISTS { (t)-[:SPAWNED]->() }
  SET t += {status: 'completed', results: r[2], usage: coalesce(r[3], t.usage), completed_at: at,
    revision: coalesce(t.revision, 0) + 1, held_by: null, lease_expires_at: null, due_at: null, control: null}
  RETURN collect(t) AS tasks, collect(t.claimed_by) AS agents, collect(r[0]) AS ids }
WITH *, ns.event_seq AS base
FOREACH (i IN range(1, size(tasks)) | CREATE (:Event {namespace: $ns, seq: base + i, topic: 'task.completed',
  source: agents[i - 1], task_id: ids[i - 1], task_type: tasks[i - 1].type,
  correlation_id: tasks[i - 1].correlation_id, created_at: at}))
WITH *, base + size(tasks) AS seq
