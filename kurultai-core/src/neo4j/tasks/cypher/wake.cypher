// What the end of tasks means for those that wait for them: a dependent whose prerequisites are all completed is ready;
// whatever needs a rule gets a due_at of 0. Wants ns, now, at, tasks and seq, the last event's number; leaves the lists
// ready and look.
WITH *
CALL (tasks) { UNWIND tasks AS t MATCH (t)<-[e:DEPENDS_ON|SPAWNED]-(x:Task)
  WHERE x.status = 'blocked' AND coalesce(e.type, 'blocks') = 'blocks' RETURN collect(DISTINCT x) AS waiting }
CALL (waiting, at) { UNWIND waiting AS x
  WITH x, EXISTS { (x)-[e:DEPENDS_ON]->(p:Task) WHERE e.type = 'blocks'
      AND NOT p.status IN ['completed', 'dead_letter', 'cancelled', 'expired'] } AS live,
    EXISTS { (x)-[e:DEPENDS_ON]->(p:Task) WHERE e.type = 'blocks'
      AND p.status IN ['dead_letter', 'cancelled', 'expired'] }
    OR EXISTS { (x)-[:SPAWNED]->(:Task) } OR coalesce(x.run_at > at, false) AS odd
  RETURN collect(CASE WHEN NOT live AND NOT odd THEN x END) AS ready, collect(CASE WHEN odd THEN x END) AS look }
FOREACH (x IN look | SET x.due_at = 0, x.revision = coalesce(x.revision, 0) + 1)
FOREACH (x IN ready | SET x.status = 'pending', x.claim_key = x.sort_key, x.revision = coalesce(x.revision, 0) + 1,
  x.run_at = at, x.expires_at = CASE WHEN x.timeout IS NULL THEN x.expires_at
    ELSE datetime({epochSeconds: (now + x.timeout) / 1000000, nanosecond: (now + x.timeout) % 1000000 * 1000}) END,
  x.due_at = CASE WHEN x.timeout IS NULL THEN (x.expires_at.epochSeconds * 1000000 + x.expires_at.microsecond)
    ELSE now + x.timeout END, x.updated_at = at REMOVE x.sort_key, x.claim_id, x.control)
FOREACH (i IN range(1, size(ready)) | CREATE (:Event {namespace: $ns, seq: seq + i, topic: 'task.unblocked',
  task_id: ready[i - 1].id, task_type: ready[i - 1].type,
  correlation_id: ready[i - 1].correlation_id, created_at: at}))
SET ns.event_seq = seq + size(ready)
