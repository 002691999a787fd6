WITH now, offices, datetime({epochSeconds: now / 1000000, nanosecond: now % 1000000 * 1000}) AS at
// Each group is a subquery of its own, so that the next one sees what it took. A group is [id, agent, types,
// answers, how many, after how many that others are taking, for how long, bytes, whose answer].
CALL (now, at, offices) { UNWIND $groups AS g
  CALL (now, at, g, offices) {
    // Where nobody is named it is the answer of whoever was given the message last.
    CALL (g) { OPTIONAL MATCH (q:AgentMessage {namespace: $ns, id: CASE WHEN g[8] IS NULL THEN g[3] END})
        USING INDEX SEEK q:AgentMessage(namespace, id)
      RETURN coalesce(g[8], q.delivered_to) AS answerer }
    CALL (at, g, offices, answerer) { UNWIND [g[1]] + [o IN offices WHERE o[0] = g[1] | o[1]] AS audience
      // As in a claim: the ORDER BY names the whole index, and there is no OR. What this fetch has taken already is
      // there for its repetition.
      CALL (at, g, audience, answerer) { MATCH (m:AgentMessage) USING INDEX SEEK m:AgentMessage(namespace, to_agent, inbox_key)
        WHERE m.namespace = $ns AND m.to_agent = audience AND m.inbox_key > -1
          AND CASE WHEN m.fetch_id = g[0] THEN true ELSE m.visible_at <= at AND m.deliveries < $most END
          AND m.expires_at > at AND coalesce(m.type IN g[2], true)
          AND CASE WHEN g[3] IS NULL THEN true ELSE m.reply_to = g[3] AND m.from_agent = answerer END
        WITH m ORDER BY m.namespace, m.to_agent, m.inbox_key LIMIT $n RETURN m }
      WITH m ORDER BY m.inbox_key LIMIT $n RETURN collect(m) AS heads }
    WITH now, at, g, heads, CASE WHEN size(heads) < g[4] THEN 0 WHEN size(heads) - g[4] < g[5] THEN size(heads) - g[4]
      ELSE g[5] END AS skip
    WITH now, at, g, heads[skip..skip + g[4]] AS heads
    WITH now, at, g, CASE WHEN size(heads) <= 16 THEN heads ELSE heads[..reduce(fit = [0, 0], m IN heads |
      CASE WHEN fit[1] >= g[7] THEN fit ELSE [fit[0] + 1, fit[1] + coalesce(size(toStringOrNull(m.token)), 0)] END)[0]] END AS heads
    UNWIND heads AS m
    // Removing a property that is not there locks the message, and only then it is certain how it stands.
    REMOVE m._lock
    WITH now, at, g, m, properties(m) AS p
    WITH now, at, g, m, p, coalesce(p.fetch_id = g[0], false) AS again
    WITH at, g, m, p, again, now + g[6] AS until, CASE WHEN again THEN p.deliveries WHEN p.deliveries >= 0 THEN toInteger(p.deliveries) + 1 ELSE 1 END AS delivery,
      p.inbox_key IS NOT NULL AND (again OR p.visible_at <= at AND p.deliveries < $most) AS ours
    FOREACH (x IN CASE WHEN ours THEN [m] ELSE [] END | SET x += {status: 'delivered', deliveries: delivery,
      delivered_to: g[1], delivered_at: at, fetch_id: g[0],
      visible_at: CASE WHEN again THEN p.visible_at ELSE
        datetime({epochSeconds: until / 1000000, nanosecond: until % 1000000 * 1000}) END,
      due_at: CASE WHEN delivery >= $most AND until < p.due_at THEN until ELSE p.due_at END})
    RETURN collect(CASE WHEN ours THEN [p.from_agent, p.key_id, p.id, p.token, p.thread, p.urgent,
        CASE WHEN p.deliveries >= 0 THEN p.status END,
        delivery, p.code, p.created_at, p.to_agent, p.type, p.task_id, p.reply_to] END) AS messages,
      count(CASE WHEN NOT ours THEN 1 END) AS lost }
  RETURN collect([lost, messages]) AS given }
CALL (given) { UNWIND given AS g UNWIND g[1] AS message WITH DISTINCT message[0] AS agent, message[1] AS key
  MATCH (k:AgentKey {namespace: $ns, agent_id: agent, key_id: key})
    USING INDEX SEEK k:AgentKey(namespace, agent_id, key_id)
  RETURN collect([
