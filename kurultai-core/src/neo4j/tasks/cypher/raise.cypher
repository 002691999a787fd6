  SET t.claim_key = CASE WHEN t.claim_key >= 1152921504606846976 THEN t.claim_key - 1152921504606846976
      ELSE t.claim_key % 1125899906842624 END,
    t.due_at = coalesce(t.due_at, (t.expires_at.epochSeconds * 1000000 + t.expires_at.microsecond)),
    t.revision = coalesce(t.revision, 0) + 1, t.updated_at = at
  RETURN count(*) AS raised }
RETURN [raised] AS row
