// Events that users publish have this label too, so that the log's writers of each task have nothing to do with the indexes.
CREATE INDEX kurultai_event_published IF NOT EXISTS FOR (e:PublishedEvent) ON (e.namespace, e.topic, e.seq);
CREATE CONSTRAINT kurultai_event_key IF NOT EXISTS FOR (e:PublishedEvent) REQUIRE (e.namespace, e.key) IS UNIQUE;
CREATE CONSTRAINT kurultai_subscription IF NOT EXISTS FOR (s:Subscription) REQUIRE (s.namespace, s.name) IS UNIQUE;
CREATE CONSTRAINT kurultai_dead_event IF NOT EXISTS FOR (d:DeadEvent) REQUIRE (d.namespace, d.subscription, d.seq) IS UNIQUE;
