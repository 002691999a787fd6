// Constraints and indexes cover only nodes that have a `namespace`, which is ours: what other programs write under the
// same labels is none of our business until it is taken over.
CREATE CONSTRAINT kurultai_namespace_node IF NOT EXISTS FOR (n:Namespace) REQUIRE n.namespace IS UNIQUE;
CREATE CONSTRAINT kurultai_task_id IF NOT EXISTS FOR (t:Task) REQUIRE (t.namespace, t.id) IS UNIQUE;
CREATE CONSTRAINT kurultai_task_unique IF NOT EXISTS FOR (t:Task) REQUIRE (t.namespace, t.unique_key) IS UNIQUE;
CREATE CONSTRAINT kurultai_agent IF NOT EXISTS FOR (a:Agent) REQUIRE (a.namespace, a.id) IS UNIQUE;
CREATE CONSTRAINT kurultai_route IF NOT EXISTS FOR (t:TaskRoute) REQUIRE (t.namespace, t.key) IS UNIQUE;
// A task carries its route's number instead of its key: a shorter one in the index that claims read.
CREATE INDEX kurultai_task_ready IF NOT EXISTS FOR (t:Task) ON (t.namespace, t.route, t.claim_key);
CREATE INDEX kurultai_task_due IF NOT EXISTS FOR (t:Task) ON (t.namespace, t.due_at);
CREATE INDEX kurultai_task_held IF NOT EXISTS FOR (t:Task) ON (t.namespace, t.held_by);
// No constraint: they are numbered under the namespace's lock, and to check each costs a tenth of an enqueue.
CREATE INDEX kurultai_event IF NOT EXISTS FOR (e:Event) ON (e.namespace, e.seq);
