// An id is unique in its namespace. A constraint has its index, and can be made only where no other index does the same.
DROP INDEX kurultai_task_of IF EXISTS;
CREATE CONSTRAINT kurultai_task_id IF NOT EXISTS FOR (t:Task) REQUIRE (t.namespace, t.id) IS UNIQUE;
DROP CONSTRAINT kurultai_task IF EXISTS;
