CYPHER 5
MATCH (ns:Namespace {namespace: $ns, made: $made})
WITH ns.event_seq AS newest, coalesce(ns.event_first, 1) AS first
// What retention removed ends before event_first.
WITH newest, first, CASE WHEN $after < first THEN first - 1 ELSE $after END AS after
WITH newest, first, after, CASE WHEN newest < after + $window THEN newest ELSE after + $window END AS last
CALL (after, last) { MATCH (e:Event) USING INDEX SEEK e:Event(namespace, seq)
  WHERE e.namespace = $ns AND e.seq > after AND e.seq <= last AND e.topic IS NOT NULL
  WITH e ORDER BY e.namespace, e.seq
  RETURN collect(e) AS events, collect(e.seq) AS numbers }
// Nothing beyond the first number that is missing: the server shows event_seq and a part of a commit's events before
// the rest of them, and no number is ever left out.
WITH newest, first, events, after + reduce(seen = 0, seq IN numbers |
  CASE WHEN seq = after + seen + 1 THEN seen + 1 ELSE seen END) AS seen
CALL (events, seen) { UNWIND events AS e WITH e, seen WHERE e.seq <= seen
  AND ($source IS NULL OR e.source = $source) AND ($task IS NULL OR e.task_id = $task) AND ($type IS NULL OR e.task_type = $type)
  AND ($since IS NULL OR e.created_at >= $since) AND ($from IS NULL OR e.topic >= $from AND e.topic < $to)
  WITH e LIMIT $limit
  RETURN collect([e.seq, e.topic, e.source, e.task_id, e.task_type, e.correlation_id, e.payload, e.created_at]) AS found }
RETURN [newest, first, seen, found] AS row
