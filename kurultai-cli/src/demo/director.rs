//! The course of events: imports the plan, lets the agents work, follows the event log, and plays the operator.

use super::{
    cast::{Cast, Crash, lease},
    faults::Faults,
    screen::Screen,
    story::{Seen, Story},
};
use crate::output::Done;
use kurultai_core::{Kurultai, agents::NewAgent, clock::monotonic, events::EventFilter, tasks::NewTask};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::time::sleep;

const LOOK: Duration = Duration::from_millis(80);
/// How long the operator thinks about a dead letter.
const THINK: Duration = Duration::from_millis(700);
/// How long an agent stays away after somebody took its task over.
const AWAY: Duration = Duration::from_millis(600);
/// Nothing more will happen.
const SILENCE: Duration = Duration::from_secs(30);

pub(super) struct Director {
    kurultai: Kurultai,
    agents: Vec<NewAgent>,
    seed: u64,
    ms_per_hour: f64,
}

/// An agent that is away.
struct Absence {
    agent: String,
    task: String,
    stand_in: Option<NewAgent>,
    returns: Option<Instant>,
}

impl Director {
    pub(super) fn new(kurultai: &Kurultai, agents: Vec<NewAgent>, seed: u64, ms_per_hour: f64) -> Self {
        let agents = agents.into_iter().map(|agent| agent.max_concurrent(2)).collect();
        Director { kurultai: kurultai.clone(), agents, seed, ms_per_hour }
    }

    pub(super) async fn play(&mut self, tasks: Vec<NewTask>, screen: &mut Screen) -> Done {
        let mut story = Story::new(&self.agents, &tasks);
        let mut planned: HashMap<String, Vec<String>> = HashMap::new();
        for task in &tasks {
            planned.insert(task.id.clone(), task.required_capabilities.clone());
        }
        let (mut cast, mut crashed) =
            Cast::new(&self.kurultai, Faults::draw(&tasks, self.seed), self.ms_per_hour);
        self.kurultai.agents().register_many(self.agents.clone()).await?;
        self.kurultai.tasks().enqueue_many(tasks).await?;
        self.agents.iter().for_each(|agent| cast.enter(&agent.id));

        let (mut after_seq, mut absence) = (0, None::<Absence>);
        let mut replays: Vec<(Instant, String)> = Vec::new();
        let mut last_news = monotonic();
        while !story.all_done() && last_news.elapsed() < SILENCE {
            sleep(LOOK).await;
            cast.trouble().await?;
            if let Ok(crash) = crashed.try_recv() {
                absence = Some(self.vanish(crash, &planned, &mut cast, &mut story, screen).await?);
            }
            let events =
                self.kurultai.events().read(EventFilter { after_seq, ..EventFilter::default() }).await?;
            for event in events {
                (after_seq, last_news) = (event.seq, monotonic());
                let (words, seen) = story.hear(&event);
                if let Some(words) = words {
                    screen.tell(&words)?;
                }
                match (seen, event.task_id) {
                    (Seen::DeadLetter, Some(task)) => replays.push((monotonic() + THINK, task)),
                    (Seen::TakenOver, Some(task)) => {
                        let waited_for = |away: &&mut Absence| away.task == task && away.returns.is_none();
                        if let Some(away) = absence.as_mut().filter(waited_for) {
                            away.returns = Some(monotonic() + AWAY);
                        }
                    }
                    _ => {}
                }
            }
            if let Some(due) = replays.iter().position(|(at, _)| *at <= monotonic()) {
                let (_, task) = replays.swap_remove(due);
                self.kurultai.tasks().requeue(&task).await?;
            }
            if let Some(back) = absence.take_if(|a| a.returns.is_some_and(|at| at <= monotonic())) {
                self.come_back(back, &mut cast, &mut story, screen).await?;
            }
            screen.draw(&story)?;
        }
        cast.leave().await;
        Ok(())
    }

    /// An agent vanishes; where nobody else can do its work, somebody stands in.
    async fn vanish(
        &self,
        crash: Crash,
        planned: &HashMap<String, Vec<String>>,
        cast: &mut Cast,
        story: &mut Story,
        screen: &mut Screen,
    ) -> Done<Absence> {
        let Crash { agent, task } = crash;
        cast.vanish(&agent);
        story.set_away(&agent, true);
        let seconds = lease(&self.kurultai).as_secs_f64();
        let (who, what) = (story.agent(&agent), story.task(&task));
        screen.tell(
            &story.now(format!("{who} vanishes in the middle of {what}; its lease ends in {seconds} s")),
        )?;
        let needed = planned.get(&task).cloned().unwrap_or_default();
        let able = |a: &&NewAgent| a.id != agent && needed.iter().all(|c| a.capabilities.contains(c));
        let mut absence = Absence { agent: agent.clone(), task, stand_in: None, returns: None };
        if self.agents.iter().any(|a| able(&a)) {
            return Ok(absence);
        }
        let asked = |a: &&NewAgent| {
            planned.values().filter(|needed| needed.iter().any(|c| a.capabilities.contains(c))).count()
        };
        let Some(stand_in) = self.agents.iter().filter(|a| a.id != agent).min_by_key(asked) else {
            absence.returns = Some(monotonic() + 2 * lease(&self.kurultai));
            return Ok(absence);
        };
        absence.stand_in = Some(stand_in.clone());
        let mut learned = stand_in.clone();
        learned.capabilities.extend(needed.iter().cloned());
        self.kurultai.agents().register(learned).await?;
        let stand_in = story.agent(&stand_in.id);
        screen.tell(&story.now(format!("{stand_in} stands in for {who} ({})", needed.join(", "))))?;
        Ok(absence)
    }

    async fn come_back(
        &self,
        absence: Absence,
        cast: &mut Cast,
        story: &mut Story,
        screen: &mut Screen,
    ) -> Done {
        if let Some(stand_in) = absence.stand_in {
            self.kurultai.agents().register(stand_in).await?;
        }
        cast.enter(&absence.agent);
        story.set_away(&absence.agent, false);
        screen.tell(&story.now(format!("{} is back", story.agent(&absence.agent))))
    }
}
