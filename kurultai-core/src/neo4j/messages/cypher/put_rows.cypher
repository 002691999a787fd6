    ]) AS keys, count(CASE WHEN x[2]
      AND NOT coalesce(NOT k.state IN ['expired', 'revoked'] AND k.expires_at > at, false) THEN 1 END) AS unsigned }
// An inbox is [recipient, how many rows are for it, up to which event there is certainly room].
CALL (base) { UNWIND $inboxes AS x
  CALL (base, x) { UNWIND CASE WHEN base + x[1] > x[2] THEN [1] ELSE [] END AS look
    MATCH (m:AgentMessage) USING INDEX SEEK m:AgentMessage(namespace, to_agent, inbox_key)
    WHERE m.namespace = $ns AND m.to_agent = x[0] AND m.inbox_key > -1
    WITH m LIMIT $most RETURN count(*) AS found }
  WITH x, CASE WHEN base + x[1] > x[2] THEN found END AS waiting
  OPTIONAL MATCH (a:Agent {namespace: $ns, id: x[0]}) USING INDEX SEEK a:Agent(namespace, id)
  RETURN collect([x[0], waiting, a IS NOT NULL, a.status, a.stopped_at, a.infra_heartbeat, a.last_heartbeat]) AS inboxes,
    count(CASE WHEN x[1] > 0 AND waiting + x[1] > $most THEN 1 END) AS full }
WITH *, replayed + doubled + unsigned + full = 0 AS fits
// A row is [id, type, sender, key id, recipient, inbox key without its number, urgent, expires at, task, answers, what to
// look up the thread of, the thread where that is not there, dedupe key, payload, token, what its event tells].
CALL (at, base, fits) { UNWIND CASE WHEN fits THEN range(1, size($rows)) ELSE [] END AS i
  WITH at, base, i, $rows[i - 1] AS r
  OPTIONAL MATCH (o:AgentMessage {namespace: $ns, id: r[10]}) USING INDEX SEEK o:AgentMessage(namespace, id)
  OPTIONAL MATCH (t:Task {namespace: $ns, id: r[8]}) USING INDEX SEEK t:Task(namespace, id)
  WITH at, base + i AS seq, r, coalesce(o.thread, r[11]) AS thread, t
  CREATE (:AgentMessage {namespace: $ns, id: r[0], type: r[1], from_agent: r[2], key_id: r[3], to_agent: r[4],
    inbox_key: r[5] + seq, seq: seq, urgent: r[6], status: 'pending', deliveries: 0, visible_at: at, due_at: r[7],
    expires_at: datetime({epochSeconds: r[7] / 1000000, nanosecond: r[7] % 1000000 * 1000}), created_at: at,
    task_id: r[8], reply_to: r[9], thread: thread, dedupe_key: r[12], payload: r[13], token: r[14]})
  CREATE (:Event {namespace: $ns, seq: seq, topic: 'message.received', source: r[2], task_id: t.id, task_type: t.type,
    correlation_id: t.correlation_id, payload: r[15], created_at: at})
  RETURN count(*) AS added }
FOREACH (x IN CASE WHEN fits THEN [ns] ELSE [] END | SET x.event_seq = base + added)
RETURN [fits, now, base, inboxes, there, twins, CASE WHEN fits THEN [] ELSE keys END] AS row
