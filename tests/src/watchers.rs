//! Two watchers with arbitrary pauses, random sequences: nobody is declared dead who gave a sign within the threshold,
//! nobody twice, and no task is moved twice for one death.

use crate::fixture::{Team, task};
use kurultai_core::{
    agents::{Watch, Watcher},
    events::EventFilter,
    tasks::{Claim, Status},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestError, TestRunner},
};
use std::{collections::BTreeMap, time::Duration};

const AGENTS: [&str; 4] = ["chagatai", "jochi", "kublai", "mongke"];
const DEAD_AFTER: i64 = 120;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// So many seconds pass.
    Pass(u64),
    /// Seconds pass by the clock, and not by anybody's stopwatch: it is set, or the machine has slept.
    Jump(i64),
    Beat(usize),
    /// An agent claims what there is.
    Claim(usize),
    /// One of the watchers looks.
    Check(usize),
    /// One of the watchers looks every ten seconds for so many of them, while some agents beat.
    Watch(usize, u64, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1..200u64).prop_map(Step::Pass),
        1 => (-7_200..7_200i64).prop_map(Step::Jump),
        4 => (0..AGENTS.len()).prop_map(Step::Beat),
        2 => (0..AGENTS.len()).prop_map(Step::Claim),
        3 => (0..2usize).prop_map(Step::Check),
        4 => (0..2usize, 1..20u64, any::<u8>()).prop_map(|(who, looks, alive)| Step::Watch(who, looks, alive)),
    ]
}

struct World {
    team: Team,
    watchers: Vec<Watcher>,
    /// When each gave its last sign, in seconds by the stopwatch of the world.
    signs: BTreeMap<&'static str, i64>,
    passed: i64,
    /// Each death: of whom, and after how long a silence.
    deaths: Vec<(String, i64)>,
}

impl World {
    async fn new(team: Team) -> World {
        let second = team.reopen(|config| config).await;
        let watcher = |k: &kurultai_core::Kurultai| k.agents().watcher(Watch::default()).unwrap();
        let watchers = vec![watcher(&team.k), watcher(&second)];
        for agent in AGENTS {
            team.agent(agent, &[]).await;
            for _ in 0..2 {
                let task = task(agent).expiry(kurultai_core::tasks::Expiry::Never).max_attempts(1_000);
                team.k.tasks().enqueue(task).await.unwrap();
            }
        }
        let signs = AGENTS.iter().map(|agent| (*agent, 0)).collect();
        World { team, watchers, signs, passed: 0, deaths: vec![] }
    }

    fn pass(&mut self, seconds: u64) {
        self.team.seconds(seconds);
        self.passed += seconds as i64;
    }

    async fn beat(&mut self, agent: usize) {
        self.team.k.agents().beat(AGENTS[agent]).await.unwrap();
        self.signs.insert(AGENTS[agent], self.passed);
    }

    async fn check(&mut self, watcher: usize) {
        for agent in self.watchers[watcher].check().await.unwrap().dead {
            let silence = self.passed - self.signs[agent.as_str()];
            self.deaths.push((agent, silence));
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Pass(seconds) => self.pass(seconds),
            Step::Jump(seconds) => self.team.clock.jump(chrono::TimeDelta::seconds(seconds)),
            Step::Beat(agent) => self.beat(agent).await,
            Step::Claim(agent) => {
                let claim = Claim::new(AGENTS[agent]).max(2).lease(Duration::from_secs(86_400));
                // A claim that finds nothing writes nothing.
                if !self.team.k.tasks().claim(claim).await.unwrap().is_empty() {
                    self.signs.insert(AGENTS[agent], self.passed);
                }
            }
            Step::Check(watcher) => self.check(watcher).await,
            Step::Watch(watcher, looks, alive) => {
                for look in 0..looks {
                    self.pass(10);
                    for agent in (0..AGENTS.len()).filter(|agent| alive & (1 << agent) != 0 && look % 3 == 0)
                    {
                        self.beat(agent).await;
                    }
                    self.check(watcher).await;
                }
            }
        }
    }

    async fn judge(&self) -> Result<(), String> {
        if let Some((agent, silence)) = self.deaths.iter().find(|(_, silence)| *silence <= DEAD_AFTER) {
            return Err(format!("{agent} was declared dead {silence} s after its last sign"));
        }
        let read = async |topic: &str| {
            let filter =
                EventFilter { topic: Some(topic.to_owned()), limit: 10_000, ..EventFilter::default() };
            self.team.k.events().read(filter).await.unwrap().events
        };
        for agent in AGENTS {
            let mut dead = false;
            for event in read("agent.*").await.iter().filter(|event| event.source.as_deref() == Some(agent)) {
                match (event.topic.as_str(), dead) {
                    ("agent.dead", false) => dead = true,
                    ("agent.recovered", true) => dead = false,
                    ("agent.registered", false) => {}
                    (topic, _) => return Err(format!("{topic} of {agent} out of turn")),
                }
            }
        }
        let (dead, lapsed) = (read("agent.dead").await, read("task.lapsed").await);
        // Leases last for a day, so only a death ends one; each agent had two tasks at the most of each claim.
        for event in &lapsed {
            let before = |other: &&kurultai_core::events::Event| other.seq < event.seq;
            let of = |e: &&kurultai_core::events::Event| e.source == event.source;
            let deaths = dead.iter().filter(before).filter(of).count();
            let task = |e: &&kurultai_core::events::Event| e.task_id == event.task_id;
            let moves = lapsed.iter().filter(|e| e.seq <= event.seq).filter(of).filter(task).count();
            if moves > deaths {
                return Err(format!("task {:?} was moved {moves} times for {deaths} deaths", event.task_id));
            }
        }
        for task in self.team.k.tasks().list(Default::default()).await.unwrap().tasks {
            let lapses = lapsed.iter().filter(|e| e.task_id.as_deref() == Some(&task.id)).count() as u32;
            if task.status == Status::InProgress && task.attempts != lapses + 1 {
                return Err(format!("{} attempts after {lapses} lapses", task.attempts));
            }
        }
        Ok(())
    }
}

/// Returns how many deaths there were.
async fn run(team: Team, steps: &[Step]) -> Result<usize, String> {
    let mut world = World::new(team).await;
    for step in steps {
        world.take(*step).await;
        // As the background of any process would, within a second.
        world.team.k.maintain().await.unwrap();
    }
    world.judge().await.map(|()| world.deaths.len())
}

fn check<F: Future<Output = Team>>(cases: u32, team: impl Fn() -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    });
    let deaths = std::cell::Cell::new(0);
    let outcome = runner.run(&prop::collection::vec(step(), 1..=30), |steps| {
        let ran = runtime.block_on(async { run(team().await, &steps).await });
        ran.map(|found| deaths.set(deaths.get() + found)).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => assert!(deaths.get() > 0, "nobody died, so nothing was tested"),
        Err(TestError::Fail(why, steps)) => panic!("{why}: {steps:?}"),
        Err(TestError::Abort(why)) => panic!("proptest gave up: {why}"),
    }
}

mod sqlite {
    #[test]
    fn two_watchers_never_move_one_task_twice() {
        super::check(64, crate::fixture::Team::sqlite);
    }
}

mod neo4j {
    #[test]
    fn two_watchers_never_move_one_task_twice() {
        super::check(12, crate::fixture::Team::neo4j);
    }
}
