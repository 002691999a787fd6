//! `kurultai keys`: by which keys the team knows its agents. Secrets go to files, never to the terminal.

use crate::{
    output::{Done, say, say_all, say_json, table, text, whole},
    text::{clean, utc},
};
use kurultai_core::{
    Error, Kurultai,
    messages::{AgentKey, Ed25519Key, PublicKey},
};
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// The keys of an agent, or of all
    List { agent: Option<String> },
    /// Make an agent's next key: its secret half goes to a new file, its public half to the team
    Rotate {
        agent: String,
        /// Where the secret half goes, for its owner alone to read; default AGENT.key
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Tell the team the public half of a key that an agent has made elsewhere
    Add {
        agent: String,
        /// 32 bytes in base64url, or a key file, of which the public half alone is used
        #[arg(value_name = "PUBLIC|FILE")]
        key: String,
    },
    /// Nothing that the key has signed counts any more, also what is in the inboxes
    Revoke {
        agent: String,
        key_id: String,
        #[arg(long)]
        reason: String,
    },
}

impl Command {
    pub(crate) async fn run(self, kurultai: &Kurultai, json: bool) -> Done {
        let keys = kurultai.keys();
        match self {
            Command::List { agent } => {
                let all = keys.list(agent.as_deref()).await?;
                if json {
                    return say_json(&all);
                }
                if all.is_empty() { say("no key is known") } else { say_all(&listed(&all)) }
            }
            Command::Rotate { agent, out } => {
                let path = out.unwrap_or_else(|| PathBuf::from(format!("{agent}.key")));
                if path.exists() {
                    let there = format!("{}; a key file is never overwritten", path.display());
                    return Err(Error::invalid("out", there, "a file that does not exist").into());
                }
                // First the file: a key that nobody has cannot be used, and one that the team does not know can be imported.
                let secret = Ed25519Key::generate(&agent)?;
                secret.write(&path)?;
                let key = keys.add(&agent, &secret.public_key().to_string()).await?;
                if json {
                    return say_json(&key);
                }
                say(format!(
                    "{}  {}, in {}",
                    clean(&key.key_id),
                    key.state,
                    clean(&path.display().to_string())
                ))
            }
            Command::Add { agent, key } => {
                let public = match PublicKey::from_text(&key) {
                    Ok(public) => public,
                    Err(error) if key.len() == 43 => return Err(error.into()),
                    Err(_) => Ed25519Key::read(&key)?.public_key(),
                };
                let key = keys.add(&agent, &public.to_string()).await?;
                if json { say_json(&key) } else { say(format!("{}  {}", clean(&key.key_id), key.state)) }
            }
            Command::Revoke { agent, key_id, reason } => {
                let key = keys.revoke(&agent, &key_id, &reason).await?;
                if json { say_json(&key) } else { say(format!("{} is revoked", clean(&key.key_id))) }
            }
        }
    }
}

fn listed(keys: &[AgentKey]) -> Vec<String> {
    let row = |key: &AgentKey| {
        vec![
            key.agent_id.clone(),
            key.key_id.clone(),
            key.state.to_string(),
            utc(key.expires_at),
            key.reason.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
    table(&[whole("AGENT"), whole("KEY"), whole("STATE"), whole("EXPIRES"), text("REASON")], &rows)
}
