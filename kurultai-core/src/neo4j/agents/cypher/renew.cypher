MATCH (ns:Namespace {namespace: $ns, made: $made})
OPTIONAL MATCH (r:RoleLease {namespace: $ns, role: $role}) USING INDEX SEEK r:RoleLease(namespace, role)
// Removing a property that is not there locks the role; only then it is certain who holds it, and what time it is.
FOREACH (x IN CASE WHEN r IS NULL THEN [] ELSE [r] END | REMOVE x._lock)
WITH r, properties(r) AS p, datetime.realtime() AS c
WITH r, p, coalesce($now, c.epochSeconds * 1000000 + c.microsecond) AS now
WITH r, p, now, datetime({epochSeconds: now / 1000000, nanosecond: now % 1000000 * 1000}) AS at, now + $ttl AS until
WITH r, p, now, at, datetime({epochSeconds: until / 1000000, nanosecond: until % 1000000 * 1000}) AS until
WITH r, now, until, p.expires_at AS expires,
  coalesce(p.term = $term AND p.holder = $agent AND p.expires_at > at, false) AS ours
FOREACH (x IN CASE WHEN ours AND until > expires THEN [r] ELSE [] END | SET x.expires_at = until)
RETURN [now, ours,
