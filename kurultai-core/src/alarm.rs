//! What of a team may burn: gathered from the rooms, and told by the log.

use crate::{
    agents::Alarms,
    error::Result,
    events::{
        SubscriptionManager,
        alerts::{Alert, Observation, Observations, Severity},
    },
    messages::{Mailbox, rules},
    tasks::{TaskQueue, contract::Burden},
};
use async_trait::async_trait;
use std::sync::Arc;

/// Beyond it nobody counts.
const MOST: u64 = 10_000;

#[derive(Debug)]
pub(crate) struct Alarm {
    pub(crate) tasks: Arc<dyn TaskQueue>,
    pub(crate) mailbox: Arc<dyn Mailbox>,
    pub(crate) log: Arc<dyn SubscriptionManager>,
    /// So many tasks that can be claimed are a warning, and twice as many critical; none of it where it is 0.
    pub(crate) depth: u64,
}

#[async_trait]
impl Alarms for Alarm {
    async fn tell(&self, mut seen: Observations) -> Result<Vec<Alert>> {
        let most = MOST.max(self.depth.saturating_mul(2)) as usize;
        let burden = self.tasks.burden(most).await?;
        seen.each.extend(depth(&burden, self.depth));
        seen.each.extend(dead_letters(&burden));
        seen.each.extend(
            burden.stopped.iter().map(|stop| Observation::new(STOPPED, Severity::Critical, stop.text())),
        );
        for (sender, code) in self.mailbox.forgeries().await? {
            let forgery = rules::forgeries(&sender, &code);
            if seen.each.iter().all(|one| one.key != forgery.key) {
                seen.each.push(forgery);
            }
        }
        seen.families.extend([DEPTH, DEAD_LETTERS, STOPPED, rules::FORGERIES]);
        self.log.observe(seen).await
    }
}

const DEPTH: &str = "queue.depth";
const DEAD_LETTERS: &str = "tasks.dead_letters";
pub(crate) const STOPPED: &str = "tasks.stopped";

fn depth(burden: &Burden, threshold: u64) -> Option<Observation> {
    let steps = [(threshold, Severity::Warning), (threshold.saturating_mul(2), Severity::Critical)];
    let text = format!("{} tasks wait to be claimed", burden.ready);
    (threshold > 0).then(|| Observation::level(DEPTH, burden.ready, &steps, text))
}

/// One of the highest priority is more than a warning.
fn dead_letters(burden: &Burden) -> Option<Observation> {
    let Burden { dead_letters, urgent, .. } = burden;
    let text = match (dead_letters, urgent) {
        (0, _) => return None,
        (1, 0) => "a task is a dead letter".to_owned(),
        (1, _) => "a task is a dead letter, of P0".to_owned(),
        (many, 0) => format!("{many} tasks are dead letters"),
        (many, urgent) => format!("{many} tasks are dead letters, {urgent} of P0"),
    };
    let severity = if *urgent > 0 { Severity::Critical } else { Severity::Warning };
    Some(Observation::new(DEAD_LETTERS, severity, text).retold())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_are_told_of_tasks() {
        let dead = |count: u64, urgent: u64| {
            let burden = Burden { ready: 0, dead_letters: count, urgent, stopped: None };
            dead_letters(&burden).map(|one| (one.severity, one.text))
        };
        assert_eq!(dead(0, 0), None);
        assert_eq!(dead(1, 0), Some((Some(Severity::Warning), "a task is a dead letter".to_owned())));
        let critical = Some((Some(Severity::Critical), "3 tasks are dead letters, 1 of P0".to_owned()));
        assert_eq!(dead(3, 1), critical);
        let wait = |ready| Burden { ready, dead_letters: 0, urgent: 0, stopped: None };
        assert_eq!(depth(&wait(500), 0), None, "it was switched off");
        let one = depth(&wait(200), 100).unwrap();
        assert_eq!(
            (one.severity, one.text.as_str()),
            (Some(Severity::Critical), "200 tasks wait to be claimed")
        );
    }
}
