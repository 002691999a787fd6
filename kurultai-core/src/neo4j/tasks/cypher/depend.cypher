OPTIONAL MATCH (d:Task {namespace: $ns, id: $dependent})
OPTIONAL MATCH (p:Task {namespace: $ns, id: $prerequisite})
// Under the lock, so two writers cannot close a circle together. A parent waits for its children, so those ways count
// too; they have no type.
CALL (d, p) { OPTIONAL MATCH way = shortestPath((p)-[:DEPENDS_ON|SPAWNED*..10000]->(d))
  WHERE all(r IN relationships(way) WHERE coalesce(r.type, 'blocks') = 'blocks') AND $type = 'blocks'
  RETURN [x IN nodes(way) | x.id] AS circle LIMIT 1 }
WITH ns, now, at, d, p, circle, d.status AS was, p.status AS theirs, ns.event_seq AS base,
  CASE WHEN circle IS NULL AND p IS NOT NULL AND d.status IN ['pending', 'blocked', 'suspended', 'pending_review']
    THEN [1] ELSE [] END AS go
WITH *, CASE WHEN size(go) = 1 AND was = 'pending' AND $type = 'blocks' AND theirs <> 'completed'
    THEN [1] ELSE [] END AS stops,
  CASE WHEN size(go) = 1 AND was IN ['pending', 'blocked'] AND (
      $type = 'blocks' AND theirs IN ['dead_letter', 'cancelled', 'expired']
      OR $type <> 'blocks' AND was = 'blocked')
    THEN [1] ELSE [] END AS looks
FOREACH (x IN go | MERGE (d)-[e:DEPENDS_ON]->(p) ON CREATE SET e.created_at = at
  SET e.type = $type, e.weight = $weight, e.detected_by = $detected_by)
FOREACH (x IN stops | SET d.status = 'blocked', d.sort_key = coalesce(d.claim_key, d.sort_key), d.updated_at = at,
  d.due_at = CASE WHEN d.timeout IS NULL THEN (d.expires_at.epochSeconds * 1000000 + d.expires_at.microsecond) END,
  d.expires_at = CASE WHEN d.timeout IS NULL THEN d.expires_at END REMOVE d.claim_key, d.claim_id
  CREATE (:Event {namespace: $ns, seq: base + 1, topic: 'task.blocked', task_id: $dependent, task_type: d.type,
    correlation_id: d.correlation_id, created_at: at}))
FOREACH (x IN looks | SET d.due_at = 0)
FOREACH (x IN go | SET d.revision = coalesce(d.revision, 0) + 1)
SET ns.event_seq = base + size(stops)
WITH *
CALL (d, go) { UNWIND CASE WHEN $type = 'blocks' THEN go ELSE [] END AS x
  MATCH (d)-[:DEPENDS_ON*1.. {type: 'blocks'}]->(q:Task)
  WITH DISTINCT q, coalesce(d.claim_key, d.sort_key) / 1152921504606846976 AS rank
