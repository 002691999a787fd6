//! What a signature costs, without a store: of a message of about 1 KB.

use crate::Result;
use kurultai_core::{
    clock::monotonic,
    messages::{
        AgentKey, Ed25519Key, KeyList,
        legacy::{self, LegacyKey},
        token::{self, Draft},
    },
};
use std::{hint::black_box, time::SystemTime};

const BATCHES: usize = 200;
const EACH: usize = 50;

/// As teams have it: a few texts of some length, and a payload.
pub(crate) fn body() -> serde_json::Value {
    serde_json::json!({
        "type": "task_delegation", "task_id": "3f6c9a", "from": "Kublai", "to": "Jochi",
        "title": "Review the pull request", "description": "x".repeat(600),
        "payload": {"pr": 42, "files": ["src/main.rs", "src/lib.rs"], "priority": "high", "ratio": 0.75, "draft": false},
    })
}

#[expect(clippy::disallowed_methods, reason = "the messages are of this moment")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

pub(crate) fn all(key: &Ed25519Key, keys: Vec<AgentKey>) -> Result {
    let (agent, namespace) = ("a0", "default");
    let now = now().into();
    let draft = || Draft::new(agent, "jochi", "note", now).namespace(namespace).body(body());
    let text = token::sign(&draft(), key)?;
    let keys = KeyList { namespace: namespace.to_owned(), keys };
    let expect = token::Expect { namespace: namespace.to_owned(), audiences: vec!["jochi".to_owned()], now };
    say("sign", text.len(), || Ok(token::sign(&draft(), key)?.len()))?;
    say("verify", text.len(), || Ok(token::verify(&text, &keys, &expect)?.id.len()))?;

    let (legacy_key, message) = (LegacyKey::new("Kublai", "kublai-001", "k".repeat(64)), body().to_string());
    let text = legacy::sign_message(&message, &legacy_key, now)?;
    let keys = vec![legacy_key.clone()];
    let expect = legacy::Expect { audiences: vec!["jochi".to_owned()], now };
    say("legacy sign", text.len(), || Ok(legacy::sign_message(&message, &legacy_key, now)?.len()))?;
    say("legacy verify", text.len(), || Ok(legacy::verify(&text, &keys, &expect)?.replay_id().len()))
}

fn say(what: &str, bytes: usize, does: impl Fn() -> Result<usize>) -> Result {
    let mut spans = vec![];
    for _ in 0..BATCHES {
        let begun = monotonic();
        for _ in 0..EACH {
            black_box(does()?);
        }
        spans.push(begun.elapsed().as_secs_f64() * 1e6 / EACH as f64);
    }
    spans.sort_unstable_by(f64::total_cmp);
    println!("  {what}, {bytes} bytes: {:.2} us, at best {:.2}", spans[BATCHES / 2], spans[0]);
    Ok(())
}
