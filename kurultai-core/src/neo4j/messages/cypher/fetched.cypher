    ]) AS keys }
RETURN [now, keys, given] AS row
