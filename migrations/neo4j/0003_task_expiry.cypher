CREATE INDEX kurultai_task_expiry IF NOT EXISTS FOR (x:TaskExpiry) ON (x.namespace, x.due_at);
