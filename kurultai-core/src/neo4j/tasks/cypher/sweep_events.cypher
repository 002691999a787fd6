// Only from the log's beginning on, so that it has no gap even where a clock once went back; event_first says where it
// begins now.
// What a subscription has yet to take stays, for as long again.
CALL () { MATCH (s:Subscription) USING INDEX SEEK s:Subscription(namespace, name)
  WHERE s.namespace = $ns AND s.name >= '' AND s.active RETURN min(s.cursor) AS taken }
CALL (ns, at, taken) { MATCH (e:Event) USING INDEX SEEK e:Event(namespace, seq)
  WHERE e.namespace = $ns AND e.seq >= coalesce(ns.event_first, 1)
  WITH e, at, taken ORDER BY e.namespace, e.seq LIMIT $limit
  WITH collect(e) AS events, at, taken
  WITH events, reduce(old = 0, e IN events | CASE WHEN old >= 0 AND e.created_at < at - duration({microseconds: $span})
      AND (coalesce(e.seq <= taken, true) OR e.created_at < at - duration({microseconds: 2 * $span}))
    THEN old + 1 WHEN old >= 0 THEN -old - 1 ELSE old END) AS old
  WITH events[..CASE WHEN old < 0 THEN -old - 1 ELSE old END] AS events
  RETURN events, events[-1].seq AS last }
FOREACH (x IN CASE WHEN last IS NULL THEN [] ELSE [last] END | SET ns.event_first = x + 1)
FOREACH (e IN events | DELETE e)
RETURN [size(events)] AS row
