WHERE s IS NOT NULL
// The fields are [agent, topic, source, filter, batch, quiet, active, cursor, fence, held until, tries, error, revision,
// created at, updated at].
SET s += {subscriber_agent: $r[0], topic: $r[1], source_agent: $r[2], filter: $r[3], batch: $r[4], quiet: $r[5],
  batch_seconds: $r[4] / 1e6, quiet_seconds: $r[5] / 1e6, active: $r[6], cursor: $r[7], fence: $r[8], held_until: $r[9],
  tries: $r[10], error: $r[11], revision: $r[12], created_at: $r[13], updated_at: $r[14]}
WITH collect(s) AS stored
CALL (stored) { UNWIND stored AS s
  OPTIONAL MATCH (a:Agent)-[old:SUBSCRIBES_TO]->(s) WHERE a.id <> coalesce($agent, '')
  DELETE old
  WITH DISTINCT s
  MATCH (a:Agent {namespace: $ns, id: $agent})
  MERGE (a)-[:SUBSCRIBES_TO]->(s) RETURN count(*) AS drawn }
CALL (stored) { UNWIND stored AS s
  MATCH (d:DeadEvent) USING INDEX SEEK d:DeadEvent(namespace, subscription, seq)
  WHERE d.namespace = $ns AND d.subscription = s.name AND d.seq > s.cursor DELETE d RETURN count(*) AS gone }
// A dead event is [seq, topic, tries, error, at].
CALL (stored) { UNWIND stored AS s UNWIND $dead AS x
  MERGE (d:DeadEvent {namespace: $ns, subscription: s.name, seq: x[0]})
  SET d += {topic: x[1], tries: x[2], error: x[3], at: x[4]} RETURN count(*) AS dead }
RETURN [size(stored) > 0] AS row
