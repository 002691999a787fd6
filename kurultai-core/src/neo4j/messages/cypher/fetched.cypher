    ] AS message
    RETURN collect(CASE WHEN ours THEN message END) AS messages, count(CASE WHEN NOT ours THEN 1 END) AS lost }
  RETURN collect([lost, messages]) AS given }
RETURN [now, given] AS row
