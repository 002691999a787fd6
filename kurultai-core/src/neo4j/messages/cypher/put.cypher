WITH ns, now, at, ns.event_seq AS base
// What speaks against the rows. A name is [name, whether a row has it].
CALL () { UNWIND $ids AS x
  MATCH (m:AgentMessage {namespace: $ns, id: x[0]}) USING INDEX SEEK m:AgentMessage(namespace, id)
  RETURN collect(x[0]) AS there, count(CASE WHEN x[1] THEN 1 END) AS replayed }
CALL (now) { UNWIND $dedupe_keys AS x
  MATCH (m:AgentMessage {namespace: $ns, dedupe_key: x[0]}) USING INDEX SEEK m:AgentMessage(namespace, dedupe_key)
  RETURN collect([x[0], m.id, m.from_agent, m.to_agent, m.type, m.payload, coalesce(m.due_at <= now, false)]) AS twins,
    count(CASE WHEN x[1] THEN 1 END) AS doubled }
// A key is [agent, id, whether a row has it].
CALL (at) { UNWIND $keys AS x
  OPTIONAL MATCH (k:AgentKey {namespace: $ns, agent_id: x[0], key_id: x[1]})
    USING INDEX SEEK k:AgentKey(namespace, agent_id, key_id)
  RETURN collect([x[0], x[1],
