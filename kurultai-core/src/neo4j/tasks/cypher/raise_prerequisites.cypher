// The end of a subquery: each task q that stands lower than its rank comes up to it.
  WITH q, coalesce(q.claim_key, q.sort_key) / 1152921504606846976 - rank AS up
  WHERE up > 0 AND NOT q.status IN ['completed', 'dead_letter', 'cancelled', 'expired']
  SET q.due_at = CASE WHEN q.claim_key IS NULL THEN q.due_at
      ELSE coalesce(q.due_at, (q.expires_at.epochSeconds * 1000000 + q.expires_at.microsecond)) END,
    q.sort_key = q.sort_key - up * 1152921504606846976,
    q.claim_key = q.claim_key - up * 1152921504606846976, q.revision = coalesce(q.revision, 0) + 1
  RETURN count(*) AS raised }
