MATCH (ns:Namespace {namespace: $ns, made: $made})
WITH datetime({epochSeconds: now / 1000000, nanosecond: now % 1000000 * 1000}) AS at
// A beat is [id, whether it is the last]; they are in the order of ids. The first SET takes the lock, so what is read then
// is what other processes have written.
CALL (at) { UNWIND $beats AS b MATCH (a:Agent {namespace: $ns, id: b[0]})
  SET a.infra_seq = coalesce(a.infra_seq, 0) + 1, a.infra_heartbeat = at
  WITH a, at, b[1] AS last, [x IN coalesce(a.speakers, []) WHERE NOT x STARTS WITH $instance
    AND toInteger(split(x, '@')[1]) > at.epochMillis - $speaks] AS others
  // It goes on where another process speaks for it, whichever says goodbye.
  SET a.speakers = CASE WHEN last THEN others ELSE others + [$instance + '@' + toString(at.epochMillis)] END,
    a.stopped_at = CASE WHEN last AND others = [] THEN at END
  RETURN collect(a.id) AS beaten }
RETURN [beaten] AS row
