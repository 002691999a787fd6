mod declare;
mod failover;
mod registry;
mod roles;
mod signs;

use crate::fixture::{Team, graph};
use kurultai_core::{
    agents::{AgentHealth, Thresholds},
    events::{Event, EventFilter},
};
use neo4rs::query;
use serde_json::Value;

async fn health(team: &Team, agent: &str) -> AgentHealth {
    team.k.agents().health(Some(agent), Thresholds::default()).await.unwrap().remove(0)
}

/// The events of this topic.
async fn events(team: &Team, topic: &str) -> Vec<Event> {
    let events =
        team.k.events().read(EventFilter { limit: 1_000, ..Default::default() }).await.unwrap().events;
    events.into_iter().filter(|event| event.topic == topic).collect()
}

/// Who caused each, and what it tells.
fn told(events: &[Event]) -> Vec<(Option<&str>, Value)> {
    let payload = |event: &Event| event.payload.as_ref().map_or(Value::Null, |json| json.value());
    events.iter().map(|event| (event.source.as_deref(), payload(event))).collect()
}

/// As another program writes to the server. `$ns` is the team's namespace.
async fn write(team: &Team, cypher: &str) {
    let mut rows = graph().execute(query(cypher).param("ns", team.namespace.as_str())).await.unwrap();
    while rows.next().await.unwrap().is_some() {}
}
