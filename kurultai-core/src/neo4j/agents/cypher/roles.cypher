CALL () { MATCH (r:RoleLease) USING INDEX SEEK r:RoleLease(namespace, role) WHERE r.namespace = $ns AND r.role >= ''
  WITH r ORDER BY r.namespace, r.role
  RETURN collect([
