CYPHER 5
// Under the lock of the namespace that goes. Its own node is the last, so that a repetition goes on where a call broke off.
MATCH (ns:Namespace {namespace: $name}) SET ns._lock = 0
WITH ns
CALL () { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, id) WHERE t.namespace = $name AND t.id > ''
  WITH t LIMIT $limit DETACH DELETE t RETURN count(*) AS tasks }
CALL () { MATCH (e:Event) USING INDEX SEEK e:Event(namespace, seq) WHERE e.namespace = $name AND e.seq > -1
  WITH e LIMIT $limit DETACH DELETE e RETURN count(*) AS events }
CALL () { MATCH (r:TaskRoute) USING INDEX SEEK r:TaskRoute(namespace, key) WHERE r.namespace = $name AND r.key >= ''
  WITH r LIMIT $limit DETACH DELETE r RETURN count(*) AS routes }
CALL () { MATCH (s:Schedule) USING INDEX SEEK s:Schedule(namespace, name) WHERE s.namespace = $name AND s.name >= ''
  WITH s LIMIT $limit DETACH DELETE s RETURN count(*) AS schedules }
CALL () { MATCH (m:AgentMessage) USING INDEX SEEK m:AgentMessage(namespace, id) WHERE m.namespace = $name AND m.id >= ''
  WITH m LIMIT $limit DETACH DELETE m RETURN count(*) AS messages }
CALL () { MATCH (k:AgentKey) USING INDEX SEEK k:AgentKey(namespace, agent_id, key_id)
  WHERE k.namespace = $name AND k.agent_id >= '' AND k.key_id >= ''
  WITH k LIMIT $limit DETACH DELETE k RETURN count(*) AS keys }
CALL () { MATCH (r:Refusal) USING INDEX SEEK r:Refusal(namespace, minute, sender, code)
  WHERE r.namespace = $name AND r.minute > -1 AND r.sender >= '' AND r.code >= ''
  WITH r LIMIT $limit DETACH DELETE r RETURN count(*) AS refusals }
CALL () { MATCH (r:RoleLease) USING INDEX SEEK r:RoleLease(namespace, role) WHERE r.namespace = $name AND r.role >= ''
  WITH r LIMIT $limit DETACH DELETE r RETURN count(*) AS roles }
CALL () { MATCH (f:FailoverEvent) USING INDEX SEEK f:FailoverEvent(namespace, id) WHERE f.namespace = $name AND f.id >= ''
  WITH f LIMIT $limit DETACH DELETE f RETURN count(*) AS failovers }
CALL () { MATCH (a:Alert) USING INDEX SEEK a:Alert(namespace, key) WHERE a.namespace = $name AND a.key >= ''
  WITH a LIMIT $limit DETACH DELETE a RETURN count(*) AS alerts }
CALL () { MATCH (s:Subscription) USING INDEX SEEK s:Subscription(namespace, name) WHERE s.namespace = $name AND s.name >= ''
  WITH s LIMIT $limit DETACH DELETE s RETURN count(*) AS subscriptions }
CALL () { MATCH (d:DeadEvent) USING INDEX SEEK d:DeadEvent(namespace, subscription, seq)
  WHERE d.namespace = $name AND d.subscription >= '' AND d.seq > -1
  WITH d LIMIT $limit DETACH DELETE d RETURN count(*) AS dead }
// After the tasks, to each of which an agent may have an edge.
CALL (tasks) { UNWIND CASE WHEN tasks = 0 THEN [1] ELSE [] END AS last
  MATCH (a:Agent) USING INDEX SEEK a:Agent(namespace, id) WHERE a.namespace = $name AND a.id >= ''
  WITH a LIMIT $limit DETACH DELETE a RETURN count(*) AS agents }
WITH ns, tasks + events + routes + schedules + messages + keys + refusals + roles + failovers + alerts + subscriptions
  + dead + agents AS gone
FOREACH (last IN CASE WHEN gone = 0 THEN [ns] ELSE [] END | DETACH DELETE last)
RETURN [gone] AS row
