//! Whether everything is in order: what operators ask after a deployment.

use crate::{
    agents::{AgentHealth, NewAgent, Thresholds, Watch},
    clock::{Clock, Micros, machine_now, micros, monotonic},
    error::Result,
    ids,
    kurultai::Kurultai,
    tasks::{Claim, NewTask},
};
use serde::{Deserialize, Serialize};
use std::{future::pending, time::Duration};
use tokio::time::sleep;

/// By more than that, times that other programs write are no use.
const CLOCKS: Duration = Duration::from_secs(5);
/// How old the last sign of either tier may be where the check is strict.
const STRICT: Duration = Duration::from_secs(60);
/// What the namespaces of rehearsals begin with; then comes an id, which tells their time.
const REHEARSAL: &str = "verify-";
/// No rehearsal takes so long: whoever began this one has not come to its end.
const LEFT: Duration = Duration::from_secs(3_600);

/// How to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verify {
    /// Whether both tiers of every agent must be younger than 60 s, whether it holds a task or not.
    pub strict: bool,
    /// From which silence on an agent is dead or stuck.
    pub thresholds: Thresholds,
}

/// What one check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked: `store`, `schema`, `clocks`, `infra`, `functional`, `takeover`.
    pub check: String,
    /// Whether it is in order.
    pub ok: bool,
    /// What was found, in words.
    pub text: String,
}

impl Kurultai {
    /// Checks whether the store answers, the schema is whole, the clocks agree, every agent gives signs of life and
    /// whoever holds a task works on it; and rehearses a death in a namespace of its own, which takes a second or two: an
    /// agent falls silent, a watcher finds it, its task goes on. What is not in order is said in its check.
    ///
    /// Errors: `input.invalid`; `store.unavailable` where the store cannot be asked for anything. Cancel safe, but the
    /// rehearsal's namespace `verify-...` may be left behind; the next call that comes after an hour or later removes it.
    pub async fn verify(&self, verify: Verify) -> Result<Vec<Check>> {
        self.verify_until(verify, pending()).await
    }

    /// The same, but `stop` ends the rehearsal: what it has made is removed at once, and its check has failed.
    pub async fn verify_until(&self, verify: Verify, stop: impl Future<Output = ()>) -> Result<Vec<Check>> {
        let health = self.agents().health(None, verify.thresholds).await?;
        Ok(vec![
            store(self).await,
            schema(self).await,
            clocks(self).await,
            verify.infra(&health),
            verify.functional(&health),
            takeover(self, stop).await,
        ])
    }
}

impl Verify {
    /// The containers live.
    fn infra(&self, health: &[AgentHealth]) -> Check {
        let most = if self.strict { STRICT } else { self.thresholds.dead_after };
        let fresh = |age: Option<Duration>| age.is_some_and(|age| age <= most);
        // A sign of work is one that the process runs.
        let silent =
            health.iter().filter(|h| !fresh(h.infra_age) && (self.strict || !fresh(h.functional_age)));
        let silent: Vec<String> = silent.map(|h| format!("{}: {}", h.agent, age(h.infra_age))).collect();
        let text = match (health.len(), silent.is_empty()) {
            (0, _) => "no agent is registered".to_owned(),
            (1, true) => format!("the one agent gave a sign within {}", span(most)),
            (count, true) => format!("all {count} agents gave a sign within {}", span(most)),
            (_, false) => {
                format!("no sign for more than {}: {}", span(most), silent.join("; "))
            }
        };
        Check { check: "infra".to_owned(), ok: silent.is_empty() && !health.is_empty(), text }
    }

    /// Those that hold a task work on it.
    fn functional(&self, health: &[AgentHealth]) -> Check {
        let most = if self.strict { STRICT } else { self.thresholds.stuck_after };
        let asked = |h: &&AgentHealth| self.strict || h.holds > 0;
        let late = |h: &&AgentHealth| h.functional_age.is_none_or(|age| age > most);
        let lines = |h: &AgentHealth| format!("{}: {}", h.agent, h.reason);
        let failing: Vec<String> = health.iter().filter(asked).filter(late).map(lines).collect();
        let idle: Vec<String> = health.iter().filter(|h| !asked(h)).map(|h| h.agent.clone()).collect();
        let text = if !failing.is_empty() {
            format!("no sign of work for more than {}: {}", span(most), failing.join("; "))
        } else if health.is_empty() {
            "nobody is registered".to_owned()
        } else if idle.is_empty() {
            "everybody works".to_owned()
        } else {
            format!("whoever holds a task works on it; idle, which is normal: {}", idle.join(", "))
        };
        Check { check: "functional".to_owned(), ok: failing.is_empty(), text }
    }
}

fn age(age: Option<Duration>) -> String {
    age.map_or("never".to_owned(), |age| format!("{} ago", span(age)))
}

fn told(check: &str, found: Result<String, String>) -> Check {
    let ok = found.is_ok();
    Check { check: check.to_owned(), ok, text: found.unwrap_or_else(|text| text) }
}

async fn store(kurultai: &Kurultai) -> Check {
    let begun = monotonic();
    let answered = kurultai.events().last_seq().await;
    let (store, namespace) = (kurultai.store_name(), kurultai.namespace());
    let found = answered.map(|seq| {
        let millis = begun.elapsed().as_millis();
        format!("{store} answers within {millis} ms; team {namespace}, {seq} events")
    });
    told("store", found.map_err(|error| error.to_string()))
}

async fn schema(kurultai: &Kurultai) -> Check {
    let found = match kurultai.missing_schema().await {
        Ok(missing) if missing.is_empty() => Ok("tables, constraints and indexes are there".to_owned()),
        Ok(missing) => Err(format!("missing or not ready: {}; run `kurultai migrate`", missing.join(", "))),
        Err(error) => Err(error.to_string()),
    };
    told("schema", found)
}

async fn clocks(kurultai: &Kurultai) -> Check {
    let found = match kurultai.clock_difference().await {
        Ok(difference) => {
            let size = Duration::from_millis(difference.num_milliseconds().unsigned_abs());
            let text = format!("the store's clock differs from this machine's by {}", span(size));
            if size <= CLOCKS { Ok(text) } else { Err(text) }
        }
        Err(error) => Err(error.to_string()),
    };
    told("clocks", found)
}

/// An agent dies in a namespace of its own, a watcher finds it, and its task moves on.
async fn takeover(kurultai: &Kurultai, stop: impl Future<Output = ()>) -> Check {
    let left = clear(kurultai).await;
    let namespace = format!("{REHEARSAL}{}", ids::new_id());
    let found = tokio::select! {
        biased;
        () = stop => Ok(Err("the rehearsal was interrupted".to_owned())),
        found = rehearse(kurultai, &namespace) => found,
    };
    // Also after a rehearsal that has failed.
    let gone = kurultai.delete_namespace(&namespace).await;
    let found = found.map_err(|error| error.to_string()).flatten();
    let found = match left {
        Ok(0) => found,
        Ok(count) => found.map(|text| format!("{text}; removed what {count} interrupted before had left")),
        Err(error) => Err(format!("what was left of a rehearsal before was not removed: {error}")),
    };
    told("takeover", gone.map_err(|error| format!("{namespace} was not removed: {error}")).and(found))
}

/// Removes what rehearsals have left that were interrupted; returns how many it were.
async fn clear(kurultai: &Kurultai) -> Result<usize> {
    let (mut count, before) = (0, machine_now() - micros(LEFT));
    for namespace in kurultai.namespaces().await? {
        let left = begun(&namespace.name).is_some_and(|at| at < before);
        if left
            && namespace.name != kurultai.namespace()
            && kurultai.delete_namespace(&namespace.name).await?
        {
            count += 1;
        }
    }
    Ok(count)
}

/// When the rehearsal of this namespace began; nothing where it is a team's.
fn begun(namespace: &str) -> Option<Micros> {
    let id = uuid::Uuid::try_parse(namespace.strip_prefix(REHEARSAL)?).ok()?;
    let (seconds, nanos) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
    i64::try_from(seconds).ok()?.checked_mul(1_000_000)?.checked_add(i64::from(nanos / 1_000))
}

async fn rehearse(kurultai: &Kurultai, namespace: &str) -> Result<Result<String, String>> {
    let config = kurultai.session().config.clone().namespace(namespace)?.clock(Clock::Store);
    let team = Kurultai::open_with(config).await?;
    let (agents, tasks) = (team.agents(), team.tasks());
    agents.register_many(vec![NewAgent::new("victim"), NewAgent::new("heir")]).await?;
    let task = tasks.enqueue(NewTask::new("rehearsal")).await?.id;
    tasks.claim(Claim::new("victim").lease(Duration::from_secs(3_600))).await?;
    let begun = monotonic();
    let thresholds = Thresholds::default().dead_after(Duration::from_secs(1));
    let mut watcher =
        agents.watcher(Watch::default().every(Duration::from_millis(250)).thresholds(thresholds))?;
    let found = loop {
        agents.beat("heir").await?;
        let watched = watcher.check().await?;
        if watched.dead == ["victim"] {
            break true;
        }
        if begun.elapsed() > Duration::from_secs(10) {
            break false;
        }
        sleep(Duration::from_millis(250)).await;
    };
    let seconds = span(begun.elapsed());
    let claimed = tasks.claim(Claim::new("heir")).await?;
    let moved = claimed.iter().any(|claimed| claimed.id == task);
    team.close().await;
    Ok(match (found, moved) {
        (true, true) => Ok(format!("a rehearsed death was found after {seconds}, and its task went on")),
        (true, false) => Err("a rehearsed death was found, but its task did not move".to_owned()),
        (false, _) => Err(format!("a rehearsed death was not found within {seconds}")),
    })
}

/// `12 ms`, `1.9 s`, `3 min`.
fn span(span: Duration) -> String {
    match span.as_secs_f64() {
        s if s < 1.0 => format!("{:.0} ms", s * 1_000.0),
        s if s < 120.0 => format!("{s:.1} s"),
        s => format!("{:.0} min", s / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rehearsal_has_a_time() {
        let now = begun(&format!("{REHEARSAL}{}", ids::new_id())).expect("the time of the id");
        assert!((machine_now() - now).abs() < micros(LEFT));
        for team in ["verify-prod", "verify-", "default", "verify-6ba7b810-9dad-11d1-80b4-00c04fd430c8"] {
            assert_eq!(begun(team), None, "{team}");
        }
    }
}
