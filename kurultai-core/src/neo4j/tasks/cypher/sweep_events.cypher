// Only from the log's beginning on, so that it has no gap even where a clock once went back; event_first says where it
// begins now.
CALL (ns, at) { MATCH (e:Event) USING INDEX SEEK e:Event(namespace, seq)
  WHERE e.namespace = $ns AND e.seq >= coalesce(ns.event_first, 1)
  WITH e, at ORDER BY e.namespace, e.seq LIMIT $limit
  WITH collect(e) AS events, at
  WITH events, reduce(old = 0, e IN events | CASE WHEN old >= 0 AND e.created_at < at - duration({microseconds: $span})
    THEN old + 1 WHEN old >= 0 THEN -old - 1 ELSE old END) AS old
  WITH events[..CASE WHEN old < 0 THEN -old - 1 ELSE old END] AS events
  RETURN events, events[-1].seq AS last }
FOREACH (x IN CASE WHEN last IS NULL THEN [] ELSE [last] END | SET ns.event_first = x + 1)
FOREACH (e IN events | DELETE e)
RETURN [size(events)] AS row
