SET ns.catalog_seq = ns.catalog_seq + 1
WITH ns, at
CALL () { UNWIND $rows AS r MATCH (t:Task) WHERE elementId(t) = r.element
  // Removing a property that is not there locks the node, so that the other program cannot change it between the look
  // and the write.
  REMOVE t._kurultai
  WITH r, t WHERE coalesce(t.namespace, $ns) = $ns AND coalesce(t.sort_key, t.claim_key) IS NULL
    AND all(k IN $fence WHERE t[k] = r.was[k] OR t[k] IS NULL AND r.was[k] IS NULL)
  // Before the namespace comes: each property is checked against the constraints by itself.
  SET t.id = r.id, t.unique_key = r.unique_key
  SET t += r.set, t.route = r.route
  RETURN collect(t) AS done, collect([r.id, r.event, t.type]) AS events }
CALL () { UNWIND $dropped AS id MATCH (t)-[e]->() WHERE elementId(e) = id AND t.namespace = $ns
  DELETE e RETURN count(*) AS dropped }
CALL () { UNWIND $typed AS x MATCH (t)-[e]->() WHERE elementId(e) = x[0] AND t.namespace = $ns
  SET e.type = x[1] RETURN count(*) AS typed }
CALL (at) { UNWIND $waits AS x MATCH (t) WHERE elementId(t) = x[0] AND t.namespace = $ns
  MATCH (p) WHERE elementId(p) = x[1]
  MERGE (t)-[e:DEPENDS_ON]->(p) ON CREATE SET e.created_at = at, e.detected_by = 'adoption'
  SET e.type = 'blocks' RETURN count(*) AS waits }
CALL () { UNWIND $children AS x MATCH (t) WHERE elementId(t) = x[0] AND t.namespace = $ns
  MATCH (p) WHERE elementId(p) = x[1]
  MERGE (t)-[:SPAWNED]->(p) RETURN count(*) AS children }
// Who waits for more than before has another revision, so that nobody decides about it who has not seen that.
CALL () { UNWIND $stopped AS id MATCH (t) WHERE elementId(t) = id AND t.namespace = $ns
  WITH DISTINCT t SET t.revision = coalesce(t.revision, 0) + 1
  WITH t WHERE t.status = 'pending'
  SET t.status = 'blocked', t.sort_key = coalesce(t.claim_key, t.sort_key), t.due_at = 0,
    t.expires_at = CASE WHEN t.timeout IS NULL THEN t.expires_at END
  REMOVE t.claim_key RETURN collect(t) AS stopped }
// Whoever waits for what was taken over is looked at again.
CALL (done) { UNWIND done AS t MATCH (t)<-[:DEPENDS_ON|SPAWNED]-(x:Task)
  WHERE x.namespace = $ns AND x.status = 'blocked'
  WITH DISTINCT x SET x.due_at = 0, x.revision = coalesce(x.revision, 0) + 1 RETURN count(*) AS waiting }
WITH ns, at, done, events, stopped, ns.event_seq AS base
SET ns.event_seq = base + size(events) + size(stopped)
FOREACH (i IN range(1, size(events)) | CREATE (:Event {namespace: $ns, seq: base + i, topic: 'task.adopted',
  task_id: events[i - 1][0], task_type: events[i - 1][2], payload: events[i - 1][1], created_at: at}))
FOREACH (i IN range(1, size(stopped)) | CREATE (:Event {namespace: $ns, seq: base + size(events) + i,
  topic: 'task.blocked', task_id: stopped[i - 1].id, task_type: stopped[i - 1].type, created_at: at}))
WITH 1 AS one
UNWIND $rows AS r MATCH (t) WHERE elementId(t) = r.element AND t.namespace = $ns AND t.id = r.id
RETURN [r.element] AS row
