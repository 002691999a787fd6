CALL (told) { UNWIND told AS x
  OPTIONAL MATCH (t:Task {namespace: $ns, id: x[2]}) USING INDEX SEEK t:Task(namespace, id)
  RETURN collect([x[0], x[1], x[3], t.id, t.type, t.correlation_id]) AS events }
WITH ns, now, at, facts, events, ns.event_seq AS base
SET ns.event_seq = base + size(events)
FOREACH (i IN range(1, size(events)) | CREATE (:Event {namespace: $ns, seq: base + i, topic: events[i - 1][0],
  source: events[i - 1][1], payload: events[i - 1][2], task_id: events[i - 1][3], task_type: events[i - 1][4],
  correlation_id: events[i - 1][5], created_at: at}))
