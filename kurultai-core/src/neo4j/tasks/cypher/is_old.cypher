// Whether t could be claimed for so long that it should rise a rank, or of the first rank come before all weights.
    t.claim_key >= 1125899906842624
      AND now - CASE WHEN t.run_at > t.created_at THEN
        (t.run_at.epochSeconds * 1000000 + t.run_at.microsecond)
        ELSE (t.created_at.epochSeconds * 1000000 + t.created_at.microsecond) END
      >= $span * (toInteger(substring(t.priority, 1)) - t.claim_key / 1152921504606846976 + 1)
