MATCH (ns:Namespace {namespace: $ns, made: $made})
CALL (now) { MATCH (t:Task) USING INDEX SEEK t:Task(namespace, due_at)
  WHERE t.namespace = $ns AND t.due_at > now AND t.status = 'in_progress'
  // What a handler of an earlier claim did says nothing.
  WITH t.claimed_by AS agent, count(*) AS holds, min(t.claimed_at) AS oldest,
    collect(CASE WHEN t.stalled_claim = t.claim_id THEN [t.id, t.type, t.stalled_at] END) AS stalled
  RETURN collect([agent, holds, oldest, stalled]) AS held }
CALL () { MATCH (a:Agent) USING INDEX SEEK a:Agent(namespace, id) WHERE a.namespace = $ns AND a.id >= ''
  WITH a ORDER BY a.namespace, a.id
  // Zero is who was registered and never heard of: other programs beat without a number.
  RETURN collect([a.id, a.infra_heartbeat, a.last_heartbeat, coalesce(a.infra_seq, 0) + coalesce(a.func_seq, 0)
      + CASE WHEN a.infra_heartbeat = a.created_at THEN 0 ELSE 1 END,
    a.stopped_at, a.dead_at, a.status,
