CREATE CONSTRAINT kurultai_task_unique IF NOT EXISTS FOR (t:Task) REQUIRE (t.namespace, t.unique_key) IS UNIQUE;
CREATE CONSTRAINT kurultai_agent IF NOT EXISTS FOR (a:Agent) REQUIRE (a.namespace, a.id) IS UNIQUE;
CREATE CONSTRAINT kurultai_route IF NOT EXISTS FOR (t:TaskRoute) REQUIRE (t.namespace, t.key) IS UNIQUE;
CREATE INDEX kurultai_task_ready IF NOT EXISTS FOR (t:Task) ON (t.namespace, t.route, t.claim_key);
CREATE INDEX kurultai_task_due IF NOT EXISTS FOR (t:Task) ON (t.namespace, t.due_at);
CREATE INDEX kurultai_task_held IF NOT EXISTS FOR (t:Task) ON (t.namespace, t.held_by);
// No constraint: they are numbered under the namespace's lock, and to check each costs a tenth of an enqueue.
CREATE INDEX kurultai_event IF NOT EXISTS FOR (e:Event) ON (e.namespace, e.seq);
