//! What goes wrong on purpose, drawn from the seed.

use kurultai_core::tasks::NewTask;
use std::collections::{HashMap, HashSet};

/// The ids of the tasks that meet with an accident in their first attempt.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Fails and is tried again.
    pub(super) flaky: Option<String>,
    /// Its agent vanishes in the middle of it.
    pub(super) crash: Option<String>,
    /// Fails for good; the operator replays it.
    pub(super) fatal: Option<String>,
}

impl Faults {
    pub(super) fn draw(tasks: &[NewTask], seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let parents: HashSet<&str> = tasks.iter().filter_map(|task| task.parent_id.as_deref()).collect();
        let awaited: HashSet<&str> =
            tasks.iter().flat_map(|task| &task.depends_on).map(|edge| edge.prerequisite.as_str()).collect();
        let mut left: Vec<&NewTask> =
            tasks.iter().filter(|task| !parents.contains(task.id.as_str())).collect();
        let mut asked: HashMap<&[String], usize> = HashMap::new();
        for task in &left {
            *asked.entry(&task.required_capabilities).or_default() += 1;
        }
        let most =
            asked.iter().max_by_key(|(names, count)| (**count, **names)).map(|(names, _)| names.to_vec());
        let matters = |task: &NewTask| {
            awaited.contains(task.id.as_str())
                || task.parent_id.as_deref().is_some_and(|id| awaited.contains(id))
        };
        let mut pick = |fits: &dyn Fn(&NewTask) -> bool| {
            let fitting: Vec<usize> = (0..left.len()).filter(|i| fits(left[*i])).collect();
            let among = if fitting.is_empty() { (0..left.len()).collect() } else { fitting };
            let index = dice.choice(among);
            index.map(|index| left.swap_remove(index).id.clone())
        };
        let crash = pick(&|task| matters(task) && Some(&task.required_capabilities) == most.as_ref());
        let fatal = pick(&matters);
        let flaky = pick(&|_| true);
        Faults { flaky, crash, fatal }
    }
}
