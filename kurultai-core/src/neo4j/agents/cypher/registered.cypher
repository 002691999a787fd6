// An event for each in the list fresh.
WITH *, ns.event_seq AS base
SET ns.event_seq = base + size(fresh)
FOREACH (i IN range(1, size(fresh)) | CREATE (:Event {namespace: $ns, seq: base + i,
  topic: 'agent.registered', source: fresh[i - 1], created_at: at}))
