// Constraints cover only nodes that have a `namespace`, which is ours: what other programs write under the same labels
// is none of our business until it is taken over.
MATCH (n:Namespace) WHERE n.event_seq IS NOT NULL AND n.namespace IS NULL SET n.namespace = n.id RETURN [] AS row;
CREATE CONSTRAINT kurultai_namespace_node IF NOT EXISTS FOR (n:Namespace) REQUIRE n.namespace IS UNIQUE;
DROP CONSTRAINT kurultai_namespace IF EXISTS;
