// The end of the list that a claimer gets of the task t with the properties p, and what it waited for.
  p.id, p.type, p.title, p.description, p.payload, p.priority, p.max_attempts, p.delegated_by, p.parent_id,
  p.correlation_id, p.snoozes, p.checkpoint, p.max_runtime,
  CASE WHEN EXISTS { (t)-[:DEPENDS_ON]->() } THEN reduce(all = [[], 0], q IN
    [(t)-[e:DEPENDS_ON]->(q:Task) WHERE e.type <> 'parallel_ok' | [q.id, e.type, q.status, q.results]] |
    [all[0] + [CASE WHEN all[1] >= 16777216 AND q[3] IS NOT NULL THEN [q[0], q[1], q[2], null, true] ELSE q END],
      all[1] + size(coalesce(q[3], ''))])[0] ELSE [] END]
