  AND ($type IS NULL OR t.type = $type) AND ($assigned_to IS NULL OR t.assigned_to = $assigned_to)
  AND ($claimed_by IS NULL OR t.claimed_by = $claimed_by)
WITH t ORDER BY t.id LIMIT $limit
WITH collect(t) AS page
WITH page, reduce(fit = [0, 0], t IN page | CASE WHEN fit[1] >= $bytes THEN fit ELSE [fit[0] + 1,
  fit[1] + size(coalesce(t.payload, '')) + size(coalesce(t.results, '')) + size(coalesce(t.checkpoint, ''))
  + size(coalesce(t.description, '')) + reduce(text = 0, e IN coalesce(t.errors, []) | text + size(e))] END)[0] AS fit
UNWIND page[..fit] AS t
RETURN [fit < size(page), properties(t), [(t)-[:DEPENDS_ON]->(p:Task) | p.id]] AS row ORDER BY t.id
