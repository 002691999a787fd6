CREATE CONSTRAINT kurultai_message_id IF NOT EXISTS FOR (m:AgentMessage) REQUIRE (m.namespace, m.id) IS UNIQUE;
CREATE CONSTRAINT kurultai_message_dedupe IF NOT EXISTS FOR (m:AgentMessage) REQUIRE (m.namespace, m.dedupe_key) IS UNIQUE;
CREATE CONSTRAINT kurultai_agent_key IF NOT EXISTS FOR (k:AgentKey) REQUIRE (k.namespace, k.agent_id, k.key_id) IS UNIQUE;
CREATE CONSTRAINT kurultai_refusal IF NOT EXISTS FOR (r:Refusal) REQUIRE (r.namespace, r.minute, r.sender, r.code) IS UNIQUE;
// `inbox_key` is there while the message is open: urgent ones first, then the oldest.
CREATE INDEX kurultai_message_inbox IF NOT EXISTS FOR (m:AgentMessage) ON (m.namespace, m.to_agent, m.inbox_key);
// So is `due_at`: when it expires or, after its last delivery, is visible again.
CREATE INDEX kurultai_message_due IF NOT EXISTS FOR (m:AgentMessage) ON (m.namespace, m.due_at);
// `seq` is the number of the event of its arrival.
CREATE INDEX kurultai_message_thread IF NOT EXISTS FOR (m:AgentMessage) ON (m.namespace, m.thread, m.seq);
// When its time is over and it has left its inbox, for retention.
CREATE INDEX kurultai_message_expiry IF NOT EXISTS FOR (m:AgentMessage) ON (m.namespace, m.expires_at);
