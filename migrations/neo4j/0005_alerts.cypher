CREATE CONSTRAINT kurultai_alert IF NOT EXISTS FOR (a:Alert) REQUIRE (a.namespace, a.key) IS UNIQUE;
// Only dead letters have the property, so that they are counted without a look at the others.
CREATE INDEX kurultai_task_dead IF NOT EXISTS FOR (t:Task) ON (t.namespace, t.dead_letter);
MATCH (t:Task) WHERE t.namespace IS NOT NULL AND t.status = 'dead_letter' SET t.dead_letter = true RETURN [] AS row;
