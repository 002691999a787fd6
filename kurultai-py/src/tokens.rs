//! Signed messages without a store, of which the public face is Python's: `kurultai.sign` and `kurultai.verify`.

use crate::{
    args::{Span, TaskId, Time, span, wrong},
    errors::Raise,
    json,
    keys::{AgentKey, Identity},
    messages::MessageId,
    options::options,
    view::view,
};
use chrono::{DateTime, Utc};
use kurultai_core::{
    Json,
    messages::{
        self, KeyLookup, PublicKey,
        token::{self, Draft, Expect, Token},
    },
};
use pyo3::{
    prelude::*,
    types::{PyDict, PyString},
};
use serde::{Deserialize, Serialize};

/// What a token says, whole.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Said {
    id: String,
    namespace: String,
    sender: String,
    key_id: String,
    audience: String,
    message_type: String,
    body: Json,
    task_id: Option<String>,
    reply_to: Option<String>,
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

view! {
    /// What a token says, as it was verified.
    VerifiedMessage of Said {
        id, namespace, sender, key_id, audience, message_type as "type", body, task_id, reply_to, issued_at, expires_at,
    }

    fn __hash__(&self) -> u64 {
        crate::task_types::hash(&self.inner.id)
    }
}

impl From<Token> for Said {
    fn from(token: Token) -> Self {
        let Token { id, namespace, sender, key_id, audience, message_type, body, task, reply_to, .. } = token;
        let Token { issued_at, expires_at, .. } = token;
        let task_id = task;
        Said {
            id,
            namespace,
            sender,
            key_id,
            audience,
            message_type,
            body,
            task_id,
            reply_to,
            issued_at,
            expires_at,
        }
    }
}

options! {
    DraftOptions {
        audience: String, message_type as "type": String, namespace: String, task: TaskId, reply_to: MessageId, ttl: Span,
        id: String, default: Py<PyAny>,
    }
}

#[pyfunction]
fn token_sign(
    py: Python<'_>,
    body: &Bound<'_, PyAny>,
    identity: &Bound<'_, Identity>,
    issued_at: Time,
    options: &Bound<'_, PyDict>,
) -> PyResult<String> {
    let given = DraftOptions::of(options)?;
    let default = given.default.as_ref().map(|default| default.bind(py));
    let (key, issued_at) = (&identity.get().0, issued_at.named(py, "issued_at")?);
    let (audience, message_type) =
        (given.audience.unwrap_or_default(), given.message_type.unwrap_or_default());
    let mut draft = Draft::new(key.agent(), audience, message_type, issued_at)
        .body(json::write_as("body", body, default)?);
    draft.namespace = given.namespace.unwrap_or(draft.namespace);
    draft.id = given.id.unwrap_or(draft.id);
    draft.task = given.task.map(|task| task.0);
    draft.reply_to = given.reply_to.map(|message| message.0);
    draft.lifetime = span(py, "ttl", given.ttl)?;
    token::sign(&draft, &**key).raise(py)
}

/// An AgentKey, or an agent and its public key.
enum KeyArg {
    Known(messages::AgentKey),
    Bare(String, PublicKey),
}

impl<'py> FromPyObject<'_, 'py> for KeyArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(key) = value.cast::<AgentKey>() {
            return Ok(KeyArg::Known(key.get().inner.clone()));
        }
        let (agent, public): (String, String) =
            value.extract().map_err(|_| wrong(value, "an AgentKey, or an agent and its public key"))?;
        Ok(KeyArg::Bare(agent, PublicKey::from_text(&public).raise(value.py())?))
    }
}

/// Keys of whatever team: which one a message is for is looked at when its signature holds.
struct Keys {
    all: Vec<KeyArg>,
    now: DateTime<Utc>,
}

impl KeyLookup for Keys {
    fn key(&self, _namespace: &str, agent: &str, key_id: &str) -> Option<messages::AgentKey> {
        let known = self.all.iter().find_map(|key| match key {
            KeyArg::Known(key) if key.agent_id == agent && key.key_id == key_id => Some(key.clone()),
            _ => None,
        });
        known.or_else(|| {
            let bare = |key: &KeyArg| match key {
                KeyArg::Bare(whose, public) if whose == agent => Some(*public),
                _ => None,
            };
            let own: Vec<PublicKey> = self.all.iter().filter_map(bare).collect();
            let named = own.iter().find(|public| public.key_id(agent) == key_id);
            // A key file may call its key anything; an agent's only one is meant, whatever it is called.
            let public = named.or_else(|| own.first().filter(|_| own.len() == 1))?;
            Some(messages::AgentKey::new(agent, key_id, *public, self.now, self.now))
        })
    }
}

/// Without audiences for anybody.
#[pyfunction]
fn token_verify(
    py: Python<'_>,
    token: &Bound<'_, PyString>,
    keys: Vec<KeyArg>,
    namespace: String,
    audiences: Vec<String>,
    now: Time,
) -> PyResult<VerifiedMessage> {
    let now = now.named(py, "at")?;
    let expect = Expect { namespace, audiences, now };
    let token = token::verify(&token.to_string_lossy(), &Keys { all: keys, now }, &expect).raise(py)?;
    Ok(Said::from(token.into_inner()).into())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<VerifiedMessage>()?;
    module.add_function(pyo3::wrap_pyfunction!(token_sign, module)?)?;
    module.add_function(pyo3::wrap_pyfunction!(token_verify, module)?)
}
