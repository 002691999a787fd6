//! `kurultai keys`: by which keys the team knows its agents. Secrets come from files, stdin and the environment and go to
//! files, never to the terminal.

use crate::{
    output::{Done, say, say_all, say_json, table, text, whole},
    stdin,
    text::{clean, count, utc},
};
use kurultai_core::{
    Error, Kind, Kurultai,
    messages::{AgentKey, Ed25519Key, ImportedKeys, KeyImport, PublicKey, SkippedKey, wrap::WrappingKey},
};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// The keys of an agent, or of all
    List { agent: Option<String> },
    /// Make an agent's next key: its secret half goes to a new file, its public half to the team
    Rotate {
        agent: String,
        /// Where the secret half goes, for its owner alone to read; default AGENT.key
        #[arg(long, value_name = "FILE", conflicts_with = "in_store")]
        out: Option<PathBuf>,
        /// The secret half goes into the store, wrapped: whoever has the wrapping key sends as this agent
        #[arg(long)]
        in_store: bool,
    },
    /// Import the keys of an older program and keep them wrapped: those that lie in the graph, or rows from stdin
    Import {
        /// A JSON array of rows from stdin: agent_id, key_id, secret_key, and where it matters revoked, created_at, expires_at
        #[arg(long)]
        stdin: bool,
        /// Only those of these agents
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        agents: Option<Vec<String>>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Wrap every secret of the store under another wrapping key, all of them or none
    Rewrap {
        /// The new wrapping key's file
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Make a new wrapping key, into a new file that its owner alone can read
    WrappingKey {
        #[arg(value_name = "FILE")]
        path: PathBuf,
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
            Command::Rotate { agent, in_store: true, .. } => {
                let key = keys.rotate_in_store(&agent).await?;
                if json {
                    return say_json(&key);
                }
                say(format!("{}  {}, in the store", clean(&key.key_id), key.state))
            }
            Command::Import { stdin, agents, dry_run } => {
                let rows = if stdin { Some(stdin::secret()?) } else { None };
                let report = keys.import_rows(KeyImport { rows, agents, dry_run }).await?;
                if json { say_json(&report) } else { say_all(&told(&report)) }
            }
            Command::Rewrap { to } => {
                let to = WrappingKey::read(&to)?;
                let id = to.id().to_owned();
                let rewrapped = keys.rewrap(to).await?;
                if json {
                    return say_json(&serde_json::json!({ "wrapping_key": id, "rewrapped": rewrapped }));
                }
                say(format!("{} wrapped with {id}", count(rewrapped as usize, "secret")))
            }
            Command::WrappingKey { path } => wrapping_key(&path, json),
            Command::Rotate { agent, out, in_store: false } => {
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
                    Err(_) if Path::new(&key).exists() => Ed25519Key::read(&key)?.public_key(),
                    Err(_) => return Err(no_key().into()),
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

/// Needs no store.
pub(crate) fn wrapping_key(path: &Path, json: bool) -> Done {
    let key = WrappingKey::generate()?;
    key.write(path)?;
    if json {
        return say_json(&serde_json::json!({ "wrapping_key": key.id() }));
    }
    say(format!("{}, in {}", key.id(), clean(&path.display().to_string())))
}

fn told(report: &ImportedKeys) -> Vec<String> {
    let verb = if report.dry_run { "would be imported" } else { "imported" };
    let name = |agent: Option<&str>, key: Option<&str>| {
        format!("{} of {}", clean(key.unwrap_or("a key")), clean(agent.unwrap_or("nobody")))
    };
    let mut lines = vec![format!("{} {verb}", count(report.imported.len(), "key"))];
    for key in &report.imported {
        lines.push(format!("  {}  {}", name(Some(&key.agent_id), Some(&key.key_id)), key.state));
    }
    for SkippedKey { agent_id, key_id, code, why } in &report.skipped {
        let name = name(agent_id.as_deref(), key_id.as_deref());
        lines.push(format!("  {name}  not: {} ({code})", clean(why)));
    }
    lines
}

/// Without what was given: it may be a secret.
fn no_key() -> Error {
    let message = "this is neither a public key, 32 bytes in base64url, nor a key file that is there";
    Error::new(Kind::Config, "config.key", message)
}

fn listed(keys: &[AgentKey]) -> Vec<String> {
    let row = |key: &AgentKey| {
        vec![
            key.agent_id.clone(),
            key.key_id.clone(),
            key.state.to_string(),
            key.secret.as_ref().map(|secret| secret.wrapping_key().to_owned()).unwrap_or_default(),
            utc(key.expires_at),
            key.reason.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
    table(
        &[
            whole("AGENT"),
            whole("KEY"),
            whole("STATE"),
            whole("WRAPPED WITH"),
            whole("EXPIRES"),
            text("REASON"),
        ],
        &rows,
    )
}
