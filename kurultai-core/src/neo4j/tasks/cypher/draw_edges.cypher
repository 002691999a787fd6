CALL (ns) { MATCH (e:Event) USING INDEX SEEK e:Event(namespace, seq)
  WHERE e.namespace = $ns AND e.seq > coalesce(ns.edges_seq, 0)
  WITH e ORDER BY e.namespace, e.seq LIMIT $limit RETURN collect(e) AS events }
// All agents first and in the order of their ids, as heartbeats lock them.
CALL (events) { UNWIND events AS e WITH e WHERE e.topic IN ['task.claimed', 'task.completed']
  WITH DISTINCT e.source AS id ORDER BY id
  MATCH (a:Agent {namespace: $ns, id: id}) REMOVE a._lock RETURN count(*) AS locked }
CALL (events) { UNWIND events AS e WITH e WHERE e.topic = 'task.claimed'
  MATCH (a:Agent {namespace: $ns, id: e.source})
  MATCH (t:Task {namespace: $ns, id: e.task_id}) USING INDEX SEEK t:Task(namespace, id)
  // The event does not tell its claim: the task does, as long as it is its last.
  CREATE (a)-[:CLAIMED {at: e.created_at,
    claim_id: CASE WHEN t.claimed_by = a.id AND t.claimed_at = e.created_at THEN t.claim_id END}]->(t)
  RETURN count(*) AS claims }
CALL (events) { UNWIND events AS e WITH e WHERE e.topic = 'task.completed'
  MATCH (a:Agent {namespace: $ns, id: e.source})
  MATCH (t:Task {namespace: $ns, id: e.task_id}) USING INDEX SEEK t:Task(namespace, id)
  CREATE (a)-[:COMPLETED {at: e.created_at}]->(t)
  RETURN count(*) AS completions }
// In the same transaction, so no edge is drawn twice.
SET ns.edges_seq = coalesce(events[-1].seq, ns.event_seq)
RETURN [size(events)] AS row
