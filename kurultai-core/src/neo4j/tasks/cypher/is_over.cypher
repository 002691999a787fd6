// A finished task stays while an unfinished one waits for it or is its parent.
    t.status IN ['completed', 'dead_letter', 'cancelled', 'expired']
      AND (t.completed_at.epochSeconds * 1000000 + t.completed_at.microsecond) < now - $span
      AND NOT EXISTS { (t)<-[:DEPENDS_ON|SPAWNED]-(x:Task) WHERE
        NOT x.status IN ['completed', 'dead_letter', 'cancelled', 'expired'] }
