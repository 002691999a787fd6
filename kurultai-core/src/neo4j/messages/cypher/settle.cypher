// Row by row, so that the next one sees what this one did. A row is [place, id, status and delivery that it must have,
// status, visible after, whether it is acknowledged, code, reason, topic, what its event tells, whether it must be due, the
// fetch that must have given it, how many deliveries do not count, whether its dedupe key is free].
CALL (now, at) { UNWIND $rows AS r
  CALL (now, at, r) {
    MATCH (m:AgentMessage {namespace: $ns, id: r[1]}) USING INDEX SEEK m:AgentMessage(namespace, id)
    REMOVE m._lock
    WITH now, at, r, m, properties(m) AS p
    WITH at, r, m, p, now + r[5] AS visible, p.expires_at.epochSeconds * 1000000 + p.expires_at.microsecond AS expires,
      p.status = r[2] AND p.deliveries = r[3] AND (NOT r[11] OR coalesce(p.due_at <= now, false))
        AND coalesce(p.fetch_id = r[12], r[12] IS NULL) AS held, p.deliveries - r[13] AS deliveries
    FOREACH (x IN CASE WHEN held THEN [m] ELSE [] END | SET x += {status: r[4], deliveries: deliveries, code: r[7], reason: r[8],
      fetch_id: CASE WHEN r[13] = 0 THEN p.fetch_id END,
      acked_at: CASE WHEN r[6] THEN at ELSE p.acked_at END,
      inbox_key: CASE WHEN visible IS NOT NULL THEN p.inbox_key END,
      visible_at: CASE WHEN visible IS NOT NULL THEN
        datetime({epochSeconds: visible / 1000000, nanosecond: visible % 1000000 * 1000}) END,
      due_at: CASE WHEN visible < expires AND deliveries >= $most THEN visible WHEN visible IS NOT NULL THEN expires END})
    FOREACH (x IN CASE WHEN held AND r[14] THEN [m] ELSE [] END | REMOVE x.dedupe_key)
    RETURN [r[0], held, p.status, p.deliveries, p.code] AS fact,
      CASE WHEN held AND r[9] IS NOT NULL THEN [r[9], p.to_agent, p.task_id, r[10]] END AS told }
  RETURN collect(fact) AS facts, collect(told) AS told }
