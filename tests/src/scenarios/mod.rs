//! Replays `tests/scenarios/*.json` as Python and Node do; the folder's README has the format.

mod answer;
mod call;

use crate::fixture::Team;
use answer::{Known, fits};
use kurultai_core::{
    Config,
    messages::{Ed25519Key, wrap::WrappingKey},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fs, path::PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    #[serde(rename = "why")]
    _why: String,
    /// The agents for which the team is opened.
    #[serde(default)]
    identities: Vec<String>,
    /// Whether it is opened with a wrapping key.
    #[serde(default)]
    wrapping_key: bool,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Advance(Advance),
    Call(Call),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    #[serde(rename = "do")]
    operation: String,
    #[serde(default)]
    with: Map<String, Value>,
    #[serde(rename = "as")]
    keep: Option<String>,
    /// `Some(Null)` where null is expected.
    #[serde(default, deserialize_with = "given")]
    expect: Option<Value>,
    error: Option<String>,
    /// The kind of that error.
    kind: Option<String>,
}

fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn read(name: &str) -> Scenario {
    let text = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}.json: {e}"))
}

async fn replay(name: &str, team: Team) {
    let start = team.clock.now();
    let Scenario { identities, wrapping_key, steps, .. } = read(name);
    let keys: Vec<_> = identities.iter().map(|agent| Ed25519Key::generate(agent).unwrap()).collect();
    let kept = keys.iter().map(|key| (key.agent().to_owned(), call::identity(key))).collect();
    let mut known = Known { run: team.namespace.clone(), kept };
    let open = |config| {
        let config = keys.into_iter().fold(config, Config::identity);
        if wrapping_key { config.wrapping_key(WrappingKey::generate().unwrap()) } else { config }
    };
    let k = team.reopen(open).await;
    for (number, step) in steps.into_iter().enumerate() {
        let call = match step {
            Step::Advance(Advance { advance }) => {
                team.seconds(advance);
                continue;
            }
            Step::Call(call) => call,
        };
        let here = format!("{name}.json, step {} ({})", number + 1, call.operation);
        let with = call.with.into_iter().map(|(key, value)| (key, known.resolve(value))).collect();
        let answer = match (call::call(&k, &known.run, start, &call.operation, with).await, call.error) {
            (Ok(answer), None) => answer,
            (Err(error), Some(code)) => {
                assert_eq!(error.code(), code, "{here}: {error}");
                if let Some(kind) = call.kind {
                    assert_eq!(error.kind().as_str(), kind, "{here}: {error}");
                }
                continue;
            }
            (Ok(answer), Some(code)) => panic!("{here}: should have failed with {code}, but gave {answer}"),
            (Err(error), None) => panic!("{here}: {error}"),
        };
        if let Some(expected) = call.expect {
            let expected = known.resolve(expected);
            if let Err(why) = fits(&expected, &answer, start) {
                panic!("{here}: {why}\n  expected {expected}\n  got      {answer}");
            }
        }
        if let Some(name) = call.keep {
            known.kept.insert(name, answer);
        }
    }
}

/// A test of each scenario for each store, and one that no file is left out.
macro_rules! scenarios {
    ($($name:ident)+) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() { super::replay(stringify!($name), crate::fixture::Team::sqlite().await).await; })+
        }
        mod neo4j {
            $(#[tokio::test]
            async fn $name() { super::replay(stringify!($name), crate::fixture::Team::neo4j().await).await; })+
        }

        #[test]
        fn every_file_is_replayed() {
            let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
            let mut files: Vec<_> = files.filter_map(|f| f.strip_suffix(".json").map(str::to_owned)).collect();
            files.sort();
            assert_eq!(files, [$(stringify!($name)),+]);
        }
    };
}

scenarios! {
    a_batch_of_ends
    a_task_from_start_to_end
    alerts
    cancel
    capabilities
    chains
    children
    circles
    cycle
    dead_letters
    dependencies
    duplicates
    events
    failed_prerequisites
    legacy
    lists
    liveness
    lost_leases
    many
    messages
    pauses
    priorities
    publish
    refusals
    registry
    retries
    roles
    schedules
    snoozes
    stops
    subscriptions
    suspended
    team_keys
    times
    under_a_term
    updates
    verify
    waits
}

/// Why an import leaves a key out, and what no language but Rust offers: to ask a key whether it may sign, and to unwrap.
const NO_REFUSALS: [&str; 3] = ["key.known", "key.state", "key.unwrap"];

/// Each `sig.*` and `key.*` that the core can answer is provoked in three languages.
#[test]
fn every_refusal_is_provoked() {
    let mut codes = BTreeSet::new();
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../kurultai-core/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            let words = text.split('"').filter(|word| word.starts_with("sig.") || word.starts_with("key."));
            let is_code =
                |word: &&str| word[4..].bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            codes.extend(words.filter(is_code).map(str::to_owned));
        }
    }
    assert!(codes.len() > 15, "{codes:?}");
    let refused: BTreeSet<String> = calls().into_iter().filter_map(|call| call.error).collect();
    let missing: Vec<_> = codes.iter().filter(|code| !refused.contains(*code)).collect();
    assert_eq!(missing, NO_REFUSALS);
}

fn calls() -> Vec<Call> {
    let names = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.filter_map(|f| f.strip_suffix(".json").map(str::to_owned)).collect();
    let steps = names.iter().flat_map(|name| read(name).steps);
    steps.filter_map(|step| if let Step::Call(call) = step { Some(call) } else { None }).collect()
}

/// The operations that the scenarios call, for the test of completeness.
pub(crate) fn operations() -> Vec<String> {
    calls().into_iter().map(|call| call.operation).collect()
}
