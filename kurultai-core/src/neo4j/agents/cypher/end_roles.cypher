// What the dead led, or were promised, is free.
CALL (at, dead) { UNWIND dead AS a MATCH (r:RoleLease) USING INDEX SEEK r:RoleLease(namespace, role)
  WHERE r.namespace = $ns AND r.role >= '' AND coalesce(r.holder, r.promised_to) = a.id AND r.expires_at > at
  SET r.expires_at = at, r.updated_at = at
  RETURN count(*) AS freed }
