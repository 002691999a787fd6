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
use std::{fs, path::PathBuf};

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
        let answer = match (call::call(&k, start, &call.operation, with).await, call.error) {
            (Ok(answer), None) => answer,
            (Err(error), Some(code)) => {
                assert_eq!(error.code(), code, "{here}: {error}");
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
    cancel
    capabilities
    chains
    children
    circles
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
    registry
    retries
    schedules
    snoozes
    stops
    suspended
    team_keys
    times
    updates
    verify
    waits
}

/// The operations that the scenarios call, for the test of completeness.
pub(crate) fn operations() -> Vec<String> {
    let names = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.filter_map(|f| f.strip_suffix(".json").map(str::to_owned)).collect();
    let steps = names.iter().flat_map(|name| read(name).steps);
    steps.filter_map(|step| if let Step::Call(call) = step { Some(call.operation) } else { None }).collect()
}
