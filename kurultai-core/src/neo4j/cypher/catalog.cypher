// Makes the routes that are new. Under the lock, or else catalog_seq could be newer than what it stands for.
CALL (ns) { UNWIND $routes AS key
  WITH ns, key WHERE NOT EXISTS { MATCH (:TaskRoute {namespace: $ns, key: key}) }
  WITH ns, ns.catalog_seq AS base, collect(key) AS keys
  SET ns.catalog_seq = base + size(keys)
  FOREACH (i IN range(1, size(keys)) |
    CREATE (:TaskRoute {namespace: $ns, key: keys[i - 1], number: base + i}))
  RETURN count(*) AS added }
RETURN [ns.catalog_seq, coalesce(ns.paused, []),
  COLLECT { MATCH (r:TaskRoute) USING INDEX SEEK r:TaskRoute(namespace, key)
            WHERE r.namespace = $ns AND r.key >= '' RETURN [r.number, r.key] },
  COLLECT { MATCH (a:Agent) USING INDEX SEEK a:Agent(namespace, id) WHERE a.namespace = $ns AND a.id >= ''
            RETURN [a.id, a.capabilities, a.max_concurrent, a.status] }] AS row
