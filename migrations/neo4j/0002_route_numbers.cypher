// A task carries its route's number instead of its text: a shorter key in the index that claims read.
MATCH (ns:Namespace) WHERE ns.event_seq IS NOT NULL SET ns._lock = 0
WITH ns MATCH (r:TaskRoute {namespace: ns.id}) WHERE r.number IS NULL
WITH ns, collect(r) AS routes, coalesce(ns.catalog_seq, 0) AS base
SET ns.catalog_seq = base + size(routes)
WITH routes, base UNWIND range(0, size(routes) - 1) AS i
WITH routes[i] AS r, base + i + 1 AS number SET r.number = number
RETURN [] AS row;
MATCH (t:Task) WHERE t.route IS :: STRING NOT NULL
MATCH (r:TaskRoute {namespace: t.namespace, key: t.route})
CALL (t, r) { SET t.route = r.number } IN TRANSACTIONS OF 5000 ROWS;
