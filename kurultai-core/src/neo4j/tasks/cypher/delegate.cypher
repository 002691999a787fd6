// A row is [task, revision, to whom where it is assigned now, its route, what task.assigned tells, the message where there is
// one]; a message is [id, type, key id, recipient, inbox key without its number, expires at, dedupe key, payload, token, what
// its event tells].
CALL (at) { UNWIND range(0, size($rows) - 1) AS i WITH i, $rows[i] AS r, $rows[i][5] AS m, at
  MATCH (t:Task {namespace: $ns, id: r[0]}) USING INDEX SEEK t:Task(namespace, id)
  WHERE coalesce(t.revision, 0) = r[1] AND (m IS NULL OR (
    NOT EXISTS { MATCH (:AgentMessage {namespace: $ns, dedupe_key: m[6]}) }
    AND EXISTS { MATCH (k:AgentKey {namespace: $ns, agent_id: $by, key_id: m[2]})
      WHERE NOT k.state IN ['expired', 'revoked'] AND k.expires_at > at }
    AND COUNT { MATCH (o:AgentMessage) WHERE o.namespace = $ns AND o.to_agent = m[3] AND o.inbox_key > -1 } < $most))
  SET t.assigned_to = coalesce(r[2], t.assigned_to), t.route = coalesce(r[3], t.route),
    t.delegated_by = coalesce(t.delegated_by, $by), t.revision = coalesce(t.revision, 0) + 1, t.updated_at = at
  RETURN collect(i) AS held, collect({i: i, type: t.type, correlation_id: t.correlation_id}) AS about }
WITH ns, at, held, [x IN about WHERE $rows[x.i][2] IS NOT NULL] AS assigned,
  [x IN about WHERE $rows[x.i][5] IS NOT NULL] AS told, ns.event_seq AS base
SET ns.event_seq = base + size(assigned) + size(told)
FOREACH (n IN range(1, size(assigned)) | CREATE (:Event {namespace: $ns, seq: base + size(told) + n, topic: 'task.assigned',
  source: $by, task_id: $rows[assigned[n - 1].i][0], task_type: assigned[n - 1].type,
  correlation_id: assigned[n - 1].correlation_id, payload: $rows[assigned[n - 1].i][4], created_at: at}))
WITH at, held, told, base
CALL (at, told, base) { UNWIND range(1, size(told)) AS n
  WITH at, base + n AS seq, told[n - 1] AS task, $rows[told[n - 1].i][0] AS id, $rows[told[n - 1].i][5] AS m
  CREATE (:AgentMessage {namespace: $ns, id: m[0], type: m[1], from_agent: $by, key_id: m[2], to_agent: m[3],
    inbox_key: m[4] + seq, seq: seq, urgent: false, status: 'pending', deliveries: 0, visible_at: at, due_at: m[5],
    expires_at: datetime({epochSeconds: m[5] / 1000000, nanosecond: m[5] % 1000000 * 1000}), created_at: at,
    task_id: id, thread: m[0], dedupe_key: m[6], payload: m[7], token: m[8]})
  CREATE (:Event {namespace: $ns, seq: seq, topic: 'message.received', source: $by, task_id: id, task_type: task.type,
    correlation_id: task.correlation_id, payload: m[9], created_at: at})
  RETURN count(*) AS sent }
RETURN [held] AS row
