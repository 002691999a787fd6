//! A team behind a proxy, and calls of every kind.

use crate::{
    fixture::{Team, task},
    proxy::Proxy,
};
use kurultai_core::{
    Config, Kurultai, Result,
    agents::NewAgent,
    events::EventFilter,
    tasks::{Claim, Failure, Lease, NewTask, Status},
};
use serde_json::json;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(4);

/// A call's deadline, and what a busy machine needs beyond it.
pub(super) fn patience() -> Duration {
    DEADLINE + Duration::from_secs(4)
}

/// The team as it is, and as a process sees it through a network.
pub(super) struct Line {
    pub(super) team: Team,
    pub(super) proxy: Proxy,
    pub(super) k: Kurultai,
}

#[derive(Debug)]
pub(super) enum Call {
    Get(String),
    List,
    Stats,
    Events,
    Agents,
    Enqueue(Box<NewTask>),
    Extend(Lease),
    Complete(Lease),
    Fail(Lease),
    Cancel(String),
    Suspend(String),
    Depend(String, String),
    Pause,
    Beat,
    Register,
}

impl Call {
    pub(super) fn is_read(&self) -> bool {
        matches!(self, Call::Get(_) | Call::List | Call::Stats | Call::Events | Call::Agents)
    }
}

impl Line {
    pub(super) async fn new() -> Line {
        Line::of(Team::neo4j().await, DEADLINE).await
    }

    pub(super) async fn of(team: Team, deadline: Duration) -> Line {
        team.agent("temujin", &[]).await;
        let proxy = Proxy::before(&team.url).await;
        let config: Config = Team::config(proxy.url(), &team.namespace, &team.clock);
        let k = Kurultai::open_with(config.call_timeout(deadline)).await.unwrap();
        // Routes and agents are learned by the first calls.
        let warm = k.tasks().enqueue(task("warm")).await.unwrap().id;
        let claimed = k.tasks().claim(Claim::new("temujin")).await.unwrap().remove(0);
        assert_eq!(claimed.id, warm);
        k.tasks().complete(&claimed.lease, json!(0)).await.unwrap();
        Line { team, proxy, k }
    }

    /// One call of each kind, about tasks of their own.
    pub(super) async fn prepare(&self) -> Vec<Call> {
        for i in 0..3 {
            self.team.add(task(&i.to_string()).max_attempts(1)).await;
        }
        let held: Vec<Lease> = self.team.claim("temujin", 3).await.into_iter().map(|c| c.lease).collect();
        let mut ids = Vec::new();
        for name in ["cancelled", "suspended", "first", "second"] {
            ids.push(self.team.add(task(name)).await);
        }
        let [cancelled, suspended, first, second] = <[String; 4]>::try_from(ids).unwrap();
        let [extended, completed, failed] = <[Lease; 3]>::try_from(held).unwrap();
        vec![
            Call::Get(first.clone()),
            Call::List,
            Call::Stats,
            Call::Events,
            Call::Agents,
            Call::Enqueue(task("new").into()),
            Call::Enqueue(task("keyed").unique_key("key").into()),
            Call::Extend(extended),
            Call::Complete(completed),
            Call::Fail(failed),
            Call::Cancel(cancelled),
            Call::Suspend(suspended),
            Call::Depend(second, first),
            Call::Pause,
            Call::Beat,
            Call::Register,
        ]
    }

    pub(super) async fn run(&self, call: &Call) -> Result<()> {
        let (tasks, agents) = (self.k.tasks(), self.k.agents());
        match call {
            Call::Get(id) => tasks.get(id).await.map(drop),
            Call::List => tasks.list(Default::default()).await.map(drop),
            Call::Stats => tasks.stats().await.map(drop),
            Call::Events => self.k.events().read(EventFilter::default()).await.map(drop),
            Call::Agents => agents.list().await.map(drop),
            Call::Enqueue(new) => tasks.enqueue((**new).clone()).await.map(drop),
            Call::Extend(lease) => tasks.extend(lease, Duration::from_secs(60)).await.map(drop),
            Call::Complete(lease) => tasks.complete(lease, json!("done")).await.map(drop),
            Call::Fail(lease) => tasks.fail(lease, Failure::new("boom")).await.map(drop),
            Call::Cancel(id) => tasks.cancel(id, None).await.map(drop),
            Call::Suspend(id) => tasks.suspend(id).await.map(drop),
            Call::Depend(id, on) => tasks.add_dependency(id, on.clone()).await,
            Call::Pause => tasks.pause(Some("nothing")).await,
            Call::Beat => agents.beat("temujin").await,
            Call::Register => agents.register(NewAgent::new("jochi")).await,
        }
    }

    /// Each of them, and none of them twice, though each was called twice.
    pub(super) async fn happened_once(&self, calls: &[Call], when: &str) {
        for call in calls {
            let (id, status, topic) = match call {
                Call::Enqueue(new) => (&new.id, Status::Pending, "task.enqueued"),
                Call::Complete(lease) => (&lease.task_id, Status::Completed, "task.completed"),
                Call::Fail(lease) => (&lease.task_id, Status::DeadLetter, "task.dead_letter"),
                Call::Cancel(id) => (id, Status::Cancelled, "task.cancelled"),
                Call::Suspend(id) => (id, Status::Suspended, "task.suspended"),
                Call::Depend(id, _) => (id, Status::Blocked, "task.blocked"),
                _ => continue,
            };
            assert_eq!(self.team.status(id).await, status, "after {when}: {call:?}");
            let topics = self.team.topics(id).await;
            assert_eq!(
                topics.iter().filter(|t| *t == topic).count(),
                1,
                "after {when}: {call:?}: {topics:?}"
            );
        }
        let events = self
            .team
            .k
            .events()
            .read(EventFilter { limit: 10_000, ..Default::default() })
            .await
            .unwrap()
            .events;
        assert_eq!(events.iter().filter(|e| e.topic == "agent.registered").count(), 2, "after {when}");
        assert!(events.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "after {when}: a gap");
    }
}
