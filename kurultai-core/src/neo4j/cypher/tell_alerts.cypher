// A row is [key, severity, text, raised, told, cleared, the event's topic, what that tells, what was read of it: when it
// was told, and cleared].
CALL () { UNWIND $forgotten AS key MATCH (a:Alert {namespace: $ns, key: key}) WHERE a.cleared_at IS NOT NULL
  DELETE a RETURN count(*) AS gone }
CALL () { UNWIND $rows AS r
  OPTIONAL MATCH (a:Alert {namespace: $ns, key: r[0]})
  WITH r, a WHERE coalesce(a.told_at = r[8][0], a.told_at IS NULL AND r[8][0] IS NULL)
    AND coalesce(a.cleared_at = r[8][1], a.cleared_at IS NULL AND r[8][1] IS NULL)
  RETURN collect(r) AS held }
CALL (held) { UNWIND held AS r
  MERGE (a:Alert {namespace: $ns, key: r[0]})
  SET a.severity = r[1], a.text = r[2], a.raised_at = r[3], a.told_at = r[4], a.cleared_at = r[5]
  RETURN count(*) AS written }
WITH ns, at, held, ns.event_seq AS base
SET ns.event_seq = base + size(held)
FOREACH (i IN range(1, size(held)) | CREATE (:Event {namespace: $ns, seq: base + i, topic: held[i - 1][6],
  payload: held[i - 1][7], created_at: at}))
RETURN [[r IN held | r[0]]] AS row
