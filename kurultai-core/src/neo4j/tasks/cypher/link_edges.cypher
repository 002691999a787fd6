RETURN count(*) AS added }
CALL (at) { UNWIND $edges AS e
  MATCH (d:Task {namespace: $ns, id: e[0]}) MATCH (p:Task {namespace: $ns, id: e[1]})
  CREATE (d)-[:DEPENDS_ON {type: e[2], weight: e[3], detected_by: e[4], created_at: at}]->(p)
  RETURN count(*) AS edges }
CALL (now, at) { UNWIND $parents AS e
  MATCH (p:Task {namespace: $ns, id: e[0]}) MATCH (c:Task {namespace: $ns, id: e[1]})
  CREATE (p)-[:SPAWNED]->(c)
  WITH DISTINCT p, at WHERE p.id IN $hosts
  // Whatever its status: who decides about it must know of the child.
  SET p.revision = coalesce(p.revision, 0) + 1
  WITH p, at WHERE p.status IN ['pending', 'blocked']
  SET p.claim_id = CASE WHEN p.status = 'blocked' THEN p.claim_id END,
    p.due_at = CASE WHEN p.status = 'blocked' THEN p.due_at
      WHEN p.timeout IS NULL THEN (p.expires_at.epochSeconds * 1000000 + p.expires_at.microsecond) END,
    p.expires_at = CASE WHEN p.timeout IS NULL THEN p.expires_at END,
    p.status = 'blocked', p.sort_key = coalesce(p.claim_key, p.sort_key), p.updated_at = at
  REMOVE p.claim_key RETURN count(*) AS hosts }
// A raise is [task, rank].
CALL () { UNWIND $raises AS r
  MATCH (d:Task {namespace: $ns, id: r[0]}) MATCH (d)-[:DEPENDS_ON*0.. {type: 'blocks'}]->(q:Task)
  WITH DISTINCT q, r[1] AS rank WITH q, min(rank) AS rank
