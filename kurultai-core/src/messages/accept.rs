//! Messages come in from outside: tokens, and the envelopes of older programs.

use super::{
    KeyList, Messages,
    claims::wrong_namespace,
    contract::{Post, Refusal},
    draft, envelope,
    rules::unknown_key,
    strict,
    token::{self, Expect, Token},
    types::Sent,
};
use crate::{
    clock::time,
    error::{Error, Kind, Result},
};
use sha2::{Digest, Sha256};
use tracing::instrument;

/// What came from outside, as it was received: a token, or a legacy envelope, whose text begins with `{`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// Its text.
    pub text: String,
    /// For whom it must be: an agent's id or `role:NAME`. `None` takes it for whom it names.
    pub to: Option<String>,
}

impl Accept {
    /// For whom it names.
    pub fn new(text: impl Into<String>) -> Self {
        Accept { text: text.into(), to: None }
    }

    /// For this one, whom it must name unless it is an envelope that names nobody.
    pub fn to(self, to: impl Into<String>) -> Self {
        Accept { to: Some(to.into()), ..self }
    }
}

impl From<&str> for Accept {
    fn from(text: &str) -> Self {
        Accept::new(text)
    }
}

impl From<&String> for Accept {
    fn from(text: &String) -> Self {
        Accept::new(text)
    }
}

impl From<String> for Accept {
    fn from(text: String) -> Self {
        Accept::new(text)
    }
}

impl Messages {
    /// Admits a message that came from outside, once: verifies it and puts it into its recipient's inbox. What is refused is
    /// counted in the store, by who it claims to be from, why, and the minute.
    ///
    /// A text that begins with `{` is a legacy envelope. It is verified with a key that the team keeps
    /// ([`keys.import_rows`](super::Keys::import_rows)), stored as it was received, and verified again at each fetch; it waits
    /// as long as a token of its type may, counted from its timestamp. Its recipient is the one that `to` or else `delegate`
    /// names, in any spelling that folds to an agent's id; an envelope that names nobody, or several, needs
    /// [`Accept::to`]. `type` is its type (`message` where it has none), `task_id` its task, and the whole of it the body.
    ///
    /// Errors: `sig.missing`, `sig.malformed`, `sig.algorithm` (also where the handle's `min_version` is 2 and this is an
    /// envelope), `sig.mismatch`, `sig.expired`, `sig.from_future`, `sig.wrong_namespace`, `sig.wrong_audience`,
    /// `sig.replayed`; `key.unknown`, `key.revoked`, `key.expired`; `limit.inbox` (retry); of an envelope also `key.weak`,
    /// `key.unwrap`, `config.wrapping_key` where the handle lacks the wrapping key, and `input.invalid` where nobody says for
    /// whom it is. Cancel safe: a dropped call may still admit it, and a repetition is `sig.replayed`.
    #[instrument(level = "debug", skip_all)]
    pub async fn accept(&self, accept: impl Into<Accept>) -> Result<Sent> {
        let Accept { text, to } = accept.into();
        if let Some(to) = &to {
            draft::audience("to", to)?;
        }
        let claimed = claimed(&text);
        let admitted = async {
            let post = match envelope::is_one(&text) {
                true => self.envelope(&text, to).await?,
                false => self.token(&text, to, claimed.as_ref()).await?,
            };
            let mut sent = self.put(vec![post], None).await?;
            sent.pop().ok_or_else(|| Error::internal("a message without an answer"))
        };
        let admitted = admitted.await;
        if let Err(error) = &admitted
            && error.kind() == Kind::Denied
        {
            self.note(&text, claimed.map(|(_, sender)| sender).unwrap_or_default(), error).await;
        }
        admitted
    }

    /// `claimed` is of which team and from whom it claims to be: by whose keys it is to be verified.
    async fn token(
        &self,
        text: &str,
        to: Option<String>,
        claimed: Option<&(String, String)>,
    ) -> Result<Post> {
        let namespace = self.session.config.namespace.clone();
        let keys = match claimed {
            Some((_, sender)) => self.keys.keys(Some(sender)).await?,
            None => vec![],
        };
        let keys = KeyList { namespace: namespace.clone(), keys };
        let audiences = to.into_iter().collect();
        let expect = Expect { namespace, audiences, now: time(self.session.config.clock.now()) };
        let token = token::verify(text, &keys, &expect).map_err(|error| match claimed {
            // Their keys are theirs to know.
            Some((namespace, _)) if error.code() == "key.unknown" && *namespace != expect.namespace => {
                wrong_namespace(namespace, &expect)
            }
            _ => error,
        })?;
        let token = token.into_inner();
        let Token { id, sender, key_id, audience, message_type, body, task, reply_to, expires_at, .. } =
            token;
        Ok(Post {
            id,
            sender,
            key_id,
            to: audience,
            message_type,
            body: body.as_str().to_owned(),
            task_id: task,
            reply_to,
            dedupe_key: None,
            urgent: false,
            expires_at: expires_at.timestamp_micros(),
            token: text.to_owned(),
        })
    }

    async fn envelope(&self, text: &str, to: Option<String>) -> Result<Post> {
        envelope::takes(&self.session.config)?;
        let claimed = envelope::Claimed::of(text);
        let key = match &claimed {
            Some(claimed) => {
                let keys = self.keys.keys(Some(&claimed.agent)).await?;
                let key = keys.into_iter().find(|key| key.key_id == claimed.key_id);
                Some(key.ok_or_else(|| unknown_key(&claimed.agent, &claimed.key_id))?)
            }
            None => None,
        };
        let recipient = to.or_else(|| claimed.as_ref()?.recipient());
        let now = time(self.session.config.clock.now());
        let verified = envelope::received(text, key.as_ref(), &self.vault, recipient.as_deref(), now)?;
        let Some(to) = recipient else {
            return Err(Error::invalid(
                "to",
                "none",
                "an agent's id, as the envelope does not name one recipient",
            ));
        };
        Ok(envelope::post(verified, to, text))
    }

    async fn note(&self, text: &str, sender: String, error: &Error) {
        let hash = strict::to_hex(&Sha256::digest(text.as_bytes()));
        let refusal = Refusal { sender, code: error.code(), hash };
        if let Err(error) = self.mailbox.refused(refusal).await {
            tracing::warn!(%error, "that a message was refused was not noted");
        }
    }
}

/// Of which team and from whom it claims to be; an envelope names no team.
fn claimed(text: &str) -> Option<(String, String)> {
    if envelope::is_one(text) {
        return envelope::Claimed::of(text).map(|claimed| (String::new(), claimed.agent));
    }
    token::claimed(text)
}
