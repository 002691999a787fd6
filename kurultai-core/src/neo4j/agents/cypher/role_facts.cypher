MATCH (ns:Namespace {namespace: $ns, made: $made})
OPTIONAL MATCH (r:RoleLease {namespace: $ns, role: $role}) USING INDEX SEEK r:RoleLease(namespace, role)
CALL () { MATCH (f:FailoverEvent) USING INDEX SEEK f:FailoverEvent(namespace, id)
  WHERE f.namespace = $ns AND f.id >= '' AND f.role = $role AND f.status = 'active'
  RETURN collect([f.term, f.from_agent]) AS away }
RETURN [now, EXISTS { MATCH (:Agent {namespace: $ns, id: $agent}) }, away,
