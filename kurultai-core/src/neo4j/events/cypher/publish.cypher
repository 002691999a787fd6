WITH ns, now, at, ns.event_seq AS base
// What speaks against the rows. A name is [name, whether a row has it].
CALL () { UNWIND $keys AS x
  MATCH (e:PublishedEvent {namespace: $ns, key: x[0]}) USING INDEX SEEK e:PublishedEvent(namespace, key)
  RETURN collect([x[0], e.seq, e.topic, e.source, e.task_id, e.payload]) AS twins,
    count(CASE WHEN x[1] THEN 1 END) AS doubled }
CALL () { UNWIND $tasks AS x
  OPTIONAL MATCH (t:Task {namespace: $ns, id: x[0]}) USING INDEX SEEK t:Task(namespace, id)
  RETURN collect(t.id) AS tasks, count(CASE WHEN x[1] AND t IS NULL THEN 1 END) AS lacking }
CALL (base) { UNWIND $causes AS x
  OPTIONAL MATCH (e:Event {namespace: $ns, seq: x[0]}) USING INDEX SEEK e:Event(namespace, seq)
  RETURN collect(CASE WHEN e IS NOT NULL THEN [x[0], e.depth, coalesce(e.correlation_id, e.task_id)] END) AS causes,
    count(CASE WHEN x[1] AND (x[0] > base OR coalesce(e.depth, 0) >= $most) THEN 1 END) AS unfounded }
WITH *, doubled + lacking + unfounded = 0 AS fits
// A row is [topic, source, task, payload, correlation id, key, the event that caused it, the correlation id that such a one
// begins].
CALL (at, base, fits, causes) { UNWIND CASE WHEN fits THEN range(1, size($rows)) ELSE [] END AS i
  WITH at, base + i AS seq, $rows[i - 1] AS r, causes
  OPTIONAL MATCH (t:Task {namespace: $ns, id: r[2]}) USING INDEX SEEK t:Task(namespace, id)
  WITH at, seq, r, t, [c IN causes WHERE c[0] = r[6]][0] AS cause
  CREATE (:Event:PublishedEvent {namespace: $ns, seq: seq, topic: r[0], source: r[1], task_id: t.id, task_type: t.type,
    correlation_id: coalesce(r[4], cause[2], r[7], t.correlation_id), payload: r[3], created_at: at, key: r[5],
    depth: CASE WHEN r[6] IS NULL THEN 0 ELSE coalesce(cause[1], 0) + 1 END})
  RETURN count(*) AS added }
FOREACH (x IN CASE WHEN fits THEN [ns] ELSE [] END | SET x.event_seq = base + added)
RETURN [fits, base, twins, tasks, causes] AS row
