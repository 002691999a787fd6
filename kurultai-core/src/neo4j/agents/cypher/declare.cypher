  SET a.dead_at = CASE WHEN v[2] = 'agent.dead' THEN at END
  RETURN collect(v) AS held, [x IN collect(CASE WHEN v[2] = 'agent.dead' THEN a END) | x] AS dead }
CALL (now, at, dead) { UNWIND dead AS a
