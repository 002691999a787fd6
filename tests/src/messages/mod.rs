//! Signed messages and keys.

mod admission;
mod handlers;
mod inbox;
mod incoming;
mod keys;
mod legacy;
mod team_keys;
mod unread;
mod waits;

use crate::fixture::Team;
use kurultai_core::{
    Kurultai,
    events::{Event, EventFilter},
    messages::{AgentMessage, Identity, Inbox, NewMessage},
};

/// The team as each of these agents opens it, with a key of its own.
async fn all(team: &Team, agents: &[&str]) -> Vec<Kurultai> {
    let mut opened = vec![];
    for agent in agents {
        team.agent(agent, &[]).await;
        let key = team.k.keys().rotate(agent).await.unwrap();
        opened.push(team.reopen(|config| config.identity(key)).await);
    }
    opened
}

async fn two(team: &Team) -> [Kurultai; 2] {
    all(team, &["kublai", "jochi"]).await.try_into().unwrap()
}

/// What kublai says to jochi.
fn hello(body: &str) -> NewMessage {
    NewMessage::new("jochi", "greeting", serde_json::json!(body))
}

fn body(message: &AgentMessage) -> String {
    message.body.value().as_str().unwrap_or_default().to_owned()
}

fn bodies(messages: &[AgentMessage]) -> Vec<String> {
    messages.iter().map(body).collect()
}

async fn inbox(k: &Kurultai) -> Vec<AgentMessage> {
    k.messages().inbox(Inbox::default()).await.unwrap()
}

async fn events(k: &Kurultai, topic: &str) -> Vec<Event> {
    let filter = EventFilter { topic: Some(topic.to_owned()), limit: 1_000, ..EventFilter::default() };
    k.events().read(filter).await.unwrap().events
}

/// Speaks for several agents.
fn identities(
    keys: impl IntoIterator<Item = impl Into<Identity>>,
) -> impl FnOnce(kurultai_core::Config) -> kurultai_core::Config {
    |config| keys.into_iter().fold(config, |config, key| config.identity(key))
}
