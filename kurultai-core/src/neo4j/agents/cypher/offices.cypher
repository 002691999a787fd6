// Who holds which role, as [agent, the name of its inbox].
CALL (now) { MATCH (r:RoleLease) USING INDEX SEEK r:RoleLease(namespace, role)
  WHERE r.namespace = $ns AND r.role >= ''
    AND r.expires_at.epochSeconds * 1000000 + r.expires_at.microsecond > now
  RETURN collect([r.holder, 'role:' + r.role]) AS offices }
