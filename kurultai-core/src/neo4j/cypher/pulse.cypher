MATCH (ns:Namespace {namespace: $ns, made: $made})
CALL (now) { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, due_at) WHERE t.namespace = $ns AND t.due_at > -1
  WITH t ORDER BY t.namespace, t.due_at LIMIT 1 RETURN collect(t.due_at - now) AS due }
CALL (now) { MATCH (s:Schedule) USING INDEX SEEK s:Schedule(namespace, due_at) WHERE s.namespace = $ns AND s.due_at > -1
  WITH s ORDER BY s.namespace, s.due_at LIMIT 1 RETURN collect(s.due_at - now) AS schedule_due }
// The numbers of the routes that somebody waits for.
CALL () { UNWIND $routes AS route
  CALL (route) { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, route, claim_key)
    WHERE t.namespace = $ns AND t.route = route AND t.claim_key > -1
    WITH t ORDER BY t.namespace, t.route, t.claim_key LIMIT 1 RETURN t.claim_key AS head }
  RETURN count(head) AS ready, min(head) AS head }
RETURN [ns.event_seq, ns.catalog_seq, coalesce(ns.edges_seq, 0) >= ns.event_seq, due[0], schedule_due[0], ready, head] AS row
