MATCH (ns:Namespace {namespace: $ns, made: $made})
WITH now, ns.event_seq AS last, coalesce(ns.paused, []) AS paused,
  ns.stop_reason AS stop_reason, ns.stopped_at AS stopped_at
CALL (now) { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, id) WHERE t.namespace = $ns AND t.id > ''
  WITH t.status AS s, count(*) AS tasks, count(CASE WHEN t.status = 'expired'
    AND t.completed_at.epochSeconds > now / 1000000 - 86400 THEN 1 END) AS lately
  RETURN collect([s, tasks]) AS by_status, sum(lately) AS expired }
CALL () { MATCH (r:TaskRoute) USING INDEX SEEK r:TaskRoute(namespace, key) WHERE r.namespace = $ns AND r.key >= ''
  MATCH (t:Task) USING INDEX SEEK t:Task(namespace, route, claim_key)
  WHERE t.namespace = $ns AND t.route = r.number AND t.claim_key > -1
  // When a task was made is in its key, which the index has.
  WITH t, t.claim_key % 1125899906842624 AS made ORDER BY made LIMIT 100
  // Some could be claimed later than others.
  RETURN min(CASE WHEN t.run_at > t.created_at THEN t.run_at ELSE t.created_at END) AS since }
CALL (last) { MATCH (e:Event) USING INDEX SEEK e:Event(namespace, seq)
  WHERE e.namespace = $ns AND e.seq > last - 20000 AND e.topic = 'task.completed'
  WITH e ORDER BY e.namespace DESC, e.seq DESC LIMIT 1000
  MATCH (t:Task {namespace: $ns, id: e.task_id}) USING INDEX SEEK t:Task(namespace, id)
  WHERE t.claimed_at IS NOT NULL AND t.completed_at IS NOT NULL
  RETURN collect([(t.claimed_at.epochSeconds * 1000000 + t.claimed_at.microsecond)
      - (coalesce(t.run_at, t.created_at).epochSeconds * 1000000 + coalesce(t.run_at, t.created_at).microsecond),
    (t.completed_at.epochSeconds * 1000000 + t.completed_at.microsecond)
      - (t.claimed_at.epochSeconds * 1000000 + t.claimed_at.microsecond)]) AS spans }
RETURN [by_status, now - (since.epochSeconds * 1000000 + since.microsecond), spans, expired, paused,
  stop_reason, stopped_at] AS row
