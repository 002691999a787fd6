
  AND ($source IS NULL OR e.source = $source) AND ($task IS NULL OR e.task_id = $task) AND ($type IS NULL OR e.task_type = $type)
  AND ($since IS NULL OR e.created_at >= $since)
  WITH e ORDER BY e.seq LIMIT $limit
  RETURN collect([e.seq, e.topic, e.source, e.task_id, e.task_type, e.correlation_id, e.payload, e.created_at]) AS found }
RETURN [ns.event_seq, found] AS row
