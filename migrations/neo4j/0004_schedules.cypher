CREATE CONSTRAINT kurultai_schedule IF NOT EXISTS FOR (s:Schedule) REQUIRE (s.namespace, s.name) IS UNIQUE;
// `due_at` is `next_due` and its jitter, in microseconds; a schedule that is paused has neither.
CREATE INDEX kurultai_schedule_due IF NOT EXISTS FOR (s:Schedule) ON (s.namespace, s.due_at);
