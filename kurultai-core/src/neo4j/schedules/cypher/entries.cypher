// The end of three statements: each entry, and whether its last task is unfinished.
  OPTIONAL MATCH (t:Task {namespace: $ns, id: s.last_task})
  RETURN collect([properties(s),
    coalesce(NOT t.status IN ['completed', 'dead_letter', 'cancelled', 'expired'], false)]) AS entries }
RETURN [now, entries] AS row
