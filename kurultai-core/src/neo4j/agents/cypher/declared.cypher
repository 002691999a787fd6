WITH ns, at, held, ended, ns.event_seq AS base
SET ns.event_seq = base + size(held)
FOREACH (i IN range(1, size(held)) | CREATE (:Event {namespace: $ns, seq: base + i, topic: held[i - 1][2],
  source: held[i - 1][0], payload: held[i - 1][3], created_at: at}))
RETURN [[v IN held | v[0]], ended > 0] AS row
