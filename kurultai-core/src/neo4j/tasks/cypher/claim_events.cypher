  AS task }
  RETURN collect(agent) AS agents, collect(task) AS tasks }
WITH ns, at, catalog, overdue, agents, tasks, ns.event_seq AS base
SET ns.event_seq = base + size(tasks)
FOREACH (i IN range(1, size(tasks)) | CREATE (:Event {namespace: $ns, seq: base + i, topic: 'task.claimed',
  source: agents[i - 1], task_id: tasks[i - 1][4], task_type: tasks[i - 1][5],
  correlation_id: tasks[i - 1][13], created_at: at}))
