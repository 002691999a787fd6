// Takes nothing where the catalog has moved on. Goes on in claimed.cypher and claim_events.cypher.
WITH ns, now, at, ns.catalog_seq AS catalog,
  EXISTS { MATCH (o:Task) USING INDEX SEEK o:Task(namespace, due_at)
    WHERE o.namespace = $ns AND o.due_at <= now } AS overdue
// Each group is a subquery of its own, so that the next one sees what it took. A group is [agent, claim id, how many,
// lease, most at once, [[route's number, preference]], agent where it has such a limit, bytes].
CALL (now, at, catalog) { UNWIND CASE WHEN catalog = $catalog THEN $groups ELSE [] END AS g
  CALL (now, at, g) {
    CALL (now, at, g) { UNWIND g[5] AS r
      // The ORDER BY names the whole index, so that its order is used and nothing is sorted; an OR in the condition
      // would make two seeks of it.
      CALL (now, at, r) { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, route, claim_key)
        WHERE t.namespace = $ns AND t.route = r[0] AND t.claim_key > -1
          AND NOT coalesce(t.due_at <= now, false) AND NOT coalesce(t.expires_at <= at, false)
        WITH t ORDER BY t.namespace, t.route, t.claim_key LIMIT $n RETURN t }
      WITH t, r ORDER BY t.claim_key / 1125899906842624, -r[1], t.claim_key LIMIT $n RETURN collect(t) AS heads }
    WITH now, at, g, heads, CASE WHEN g[4] IS NULL THEN g[2] ELSE g[4] - COUNT {
      MATCH (h:Task) USING INDEX SEEK h:Task(namespace, held_by)
      WHERE h.namespace = $ns AND h.held_by = g[6] AND h.due_at > now } END AS room
    WITH now, at, g, heads[..CASE WHEN room < 0 THEN 0 WHEN room < g[2] THEN room ELSE g[2] END] AS heads
    WHERE size(heads) > 0
    WITH now, at, g, CASE WHEN size(heads) <= 16 THEN heads ELSE heads[..reduce(fit = [0, 0], t IN heads |
      CASE WHEN fit[1] >= g[7] THEN fit ELSE [fit[0] + 1, fit[1] + size(coalesce(t.payload, ''))
        + size(coalesce(t.checkpoint, ''))] END)[0]] END AS heads
    WITH now, at, g, heads, now + g[3] AS until, at + duration({microseconds: g[3]}) AS expires
    UNWIND heads AS t
    // All at once, because each reading of a property walks the chain in which they are stored.
    WITH now, at, g, until, expires, t, properties(t) AS p
    WITH at, g, t, p, CASE WHEN p.max_runtime < g[3] THEN now + p.max_runtime ELSE until END AS until,
      CASE WHEN p.max_runtime < g[3] THEN at + duration({microseconds: p.max_runtime}) ELSE expires END AS expires
    SET t += {status: 'in_progress', claimed_by: g[0], held_by: g[6], claim_id: g[1], claimed_at: at,
      lease_version: p.lease_version + 1, attempts: p.attempts + 1, due_at: until,
      revision: coalesce(p.revision, 0) + 1, lease_expires_at: expires, sort_key: p.claim_key, claim_key: null,
      control: null}
    RETURN g[0] AS agent, [g[1], p.attempts + 1, p.lease_version + 1, until,
