// The end of a subquery: the leases of the agent a end, and its tasks are due.
  MATCH (t:Task) USING INDEX SEEK t:Task(namespace, due_at)
  WHERE t.namespace = $ns AND t.due_at > now AND t.status = 'in_progress' AND t.claimed_by = a.id
  SET t.due_at = 0, t.lease_expires_at = at, t.revision = coalesce(t.revision, 0) + 1, t.updated_at = at
  RETURN count(*) AS ended }
