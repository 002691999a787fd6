// Whoever has come meanwhile stays as it is. A beat is [id, whether it is the last, display name].
CALL (at) { UNWIND $beats AS b
  MERGE (a:Agent {namespace: $ns, id: b[0]})
  ON CREATE SET a += {name: b[2], display_name: b[2], aliases: [], capabilities: [], status: 'active', func_seq: 0,
    created_at: at, updated_at: at, _new: true}
  SET a.infra_seq = coalesce(a.infra_seq, 0) + 1, a.infra_heartbeat = at, a.stopped_at = CASE WHEN b[1] THEN at END
  WITH a, a._new AS new REMOVE a._new
  RETURN collect(CASE WHEN new THEN a.id END) AS fresh, collect(a.id) AS beaten }
SET ns.catalog_seq = ns.catalog_seq + size(fresh)
