MATCH (ns:Namespace {namespace: $ns, made: $made})
WITH datetime({epochSeconds: now / 1000000, nanosecond: now % 1000000 * 1000}) AS at
// A beat is [id, whether it is the last]; they are in the order of ids. Another process that speaks for an agent later
// says that it goes on.
CALL (at) { UNWIND $beats AS b MATCH (a:Agent {namespace: $ns, id: b[0]})
  SET a.infra_seq = coalesce(a.infra_seq, 0) + 1, a.infra_heartbeat = at, a.stopped_at = CASE WHEN b[1] THEN at END
  RETURN collect(a.id) AS beaten }
RETURN [beaten] AS row
