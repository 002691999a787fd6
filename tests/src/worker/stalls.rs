//! Handlers that hang behind a live process: its lease is renewed, and yet it is found.

use super::{eventually, prompt, soon, worker};
use crate::{
    cases,
    fixture::{Team, steady, task},
};
use kurultai_core::{
    agents::{AgentHealth, AgentStatus, Health, Thresholds, Watch},
    tasks::{FailureKind, Status},
    worker::{Agent, BoxError, Context, End, Limits, OnStall, Stop},
};
use serde_json::Value;
use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::sleep};

cases![
    a_handler_that_awaits_for_ever_makes_its_agent_stuck,
    a_handler_that_blocks_its_thread_is_found_too,
    one_of_two_handlers_may_hang,
    a_sign_of_life_ends_a_stall,
    a_handler_that_is_let_go_has_failed,
    a_type_may_be_silent_for_longer_than_its_agent,
    an_attempt_ends_when_its_max_runtime_is_over,
    an_agent_that_has_ended_by_itself_is_not_dead,
    agents_of_one_process_beat_in_one_statement,
];

const SILENCE: Duration = Duration::from_millis(200);

async fn health(team: &Team) -> AgentHealth {
    team.k.agents().health(Some("temujin"), Thresholds::default()).await.unwrap().remove(0)
}

async fn is(team: &Team, state: Health) {
    eventually(|| async { health(team).await.state == state }).await;
}

/// Runs the agent until that has come about.
async fn run(team: &Team, agent: Agent, until: impl Future<Output = ()>) {
    soon(agent.grace(Duration::from_millis(10)).run_until(&team.k, until)).await.unwrap();
}

async fn a_handler_that_awaits_for_ever_makes_its_agent_stuck(team: Team) {
    let id = team.add(prompt("hangs")).await;
    let (report, mut reports) = mpsc::unbounded_channel();
    let agent = worker()
        .stall_after(SILENCE)
        .on_report(move |told| drop(report.send(told.end.clone())))
        .task("review", |_: Context, _: Value| pending::<Result<(), Infallible>>());
    run(&team, agent, async {
        is(&team, Health::Stuck).await;
        let AgentHealth { reason, holds, .. } = health(&team).await;
        assert!(reason.contains(&id) && reason.contains("review"), "{reason}");
        assert_eq!(holds, 1);
        assert!(matches!(reports.recv().await, Some(End::Stalled { silence }) if silence >= SILENCE));
        // The lease is renewed all the same, and that is no sign of work.
        let before = team.get(&id).await.lease_expires_at;
        let worked = team.k.agents().get("temujin").await.unwrap().last_heartbeat;
        team.seconds(3);
        eventually(|| async { team.get(&id).await.lease_expires_at > before }).await;
        assert_eq!(team.k.agents().get("temujin").await.unwrap().last_heartbeat, worked);
    })
    .await;
    assert_eq!(team.count("agent.stuck").await, 1);
    assert_eq!(team.status(&id).await, Status::Pending);
    assert_eq!(team.get(&id).await.errors, [], "it was given back at the drain");
}

async fn a_handler_that_blocks_its_thread_is_found_too(team: Team) {
    team.add(prompt("blocks")).await;
    let go = Arc::new(AtomicBool::new(false));
    let seen = go.clone();
    let agent = worker().stall_after(SILENCE).task("review", move |_: Context, _: Value| {
        let go = seen.clone();
        async move {
            while !go.load(Ordering::SeqCst) {
                block(Duration::from_millis(5));
            }
            Ok::<_, Infallible>(())
        }
    });
    run(&team, agent, async {
        is(&team, Health::Stuck).await;
        go.store(true, Ordering::SeqCst);
        eventually(|| async { team.count("task.completed").await == 1 }).await;
    })
    .await;
}

#[expect(clippy::disallowed_methods, reason = "a handler that blocks is what is tested")]
fn block(pause: Duration) {
    std::thread::sleep(pause);
}

async fn one_of_two_handlers_may_hang(team: Team) {
    let hangs = team.add(prompt("hangs")).await;
    team.add(task("lives").priority_weight(0.1)).await;
    let agent =
        worker().concurrency(2).stall_after(SILENCE).task("review", |ctx: Context, _: Value| async move {
            if ctx.task.title == "hangs" {
                pending::<()>().await;
            }
            loop {
                if let Err(error) = ctx.progress(0.5).await {
                    return Err::<(), BoxError>(error.into());
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
    run(&team, agent, async {
        is(&team, Health::Stuck).await;
        assert!(health(&team).await.reason.contains(&hangs));
    })
    .await;
}

async fn a_sign_of_life_ends_a_stall(team: Team) {
    let id = team.add(prompt("slow")).await;
    let go = Arc::new(AtomicBool::new(false));
    let seen = go.clone();
    let agent = worker().stall_after(SILENCE).task("review", move |ctx: Context, _: Value| {
        let go = seen.clone();
        async move {
            while !go.load(Ordering::SeqCst) {
                sleep(Duration::from_millis(5)).await;
            }
            ctx.progress(0.9).await?;
            while ctx.stop().is_none() && ctx.task.attempt == 1 && go.load(Ordering::SeqCst) {
                sleep(Duration::from_millis(5)).await;
            }
            Ok::<_, BoxError>(())
        }
    });
    run(&team, agent, async {
        is(&team, Health::Stuck).await;
        go.store(true, Ordering::SeqCst);
        is(&team, Health::Alive).await;
        go.store(false, Ordering::SeqCst);
        team.becomes(&id, Status::Completed).await;
    })
    .await;
    assert_eq!((team.get(&id).await.attempts, team.count("agent.stuck").await), (1, 1));
}

async fn a_handler_that_is_let_go_has_failed(team: Team) {
    let id = team.add(task("hangs").retry(steady())).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let jobs = worker().stall_after(SILENCE).on_stall(OnStall::Release).start(&team.k).await.unwrap();
    let job = super::next(&jobs).await;
    let context = job.context();
    tokio::spawn(async move { tell.send(context.stopped().await) });
    assert_eq!(soon(told.recv()).await, Some(Stop::Stalled));
    team.becomes(&id, Status::Pending).await;
    let failed = team.get(&id).await;
    assert_eq!((failed.errors.len(), failed.errors[0].kind), (1, FailureKind::Stalled));
    let zombie = job.complete(serde_json::json!("late"), None).await;
    assert_eq!(zombie.unwrap_err().code(), "lease.lost");
    assert_eq!((team.status(&id).await, team.count("agent.stuck").await), (Status::Pending, 0));
}

async fn a_type_may_be_silent_for_longer_than_its_agent(team: Team) {
    let id = team.add(prompt("slow")).await;
    let limits = Limits::default().stall_after(Duration::from_secs(600));
    let agent = worker().stall_after(Duration::from_millis(20)).task_with(
        "review",
        limits,
        |_: Context, _: Value| async {
            sleep(SILENCE).await;
            Ok::<_, Infallible>(())
        },
    );
    run(&team, agent, team.becomes(&id, Status::Completed)).await;
    assert_eq!(team.count("agent.stuck").await, 0);
}

async fn an_attempt_ends_when_its_max_runtime_is_over(team: Team) {
    let id = team.add(task("endless").retry(steady()).max_runtime(Duration::from_secs(1))).await;
    let agent = worker().task("review", |_: Context, _: Value| pending::<Result<(), Infallible>>());
    run(&team, agent, eventually(|| async { !team.get(&id).await.errors.is_empty() })).await;
    let failed = team.get(&id).await;
    assert_eq!((failed.status, failed.errors[0].kind), (Status::Pending, FailureKind::MaxRuntime));
    assert_eq!(failed.max_runtime, Some(Duration::from_secs(1)));
}

async fn an_agent_that_has_ended_by_itself_is_not_dead(team: Team) {
    let nothing = |_: Context, _: Value| async { Ok::<_, Infallible>(()) };
    run(&team, worker().task("review", nothing), async {}).await;
    assert_eq!(team.k.agents().get("temujin").await.unwrap().status, AgentStatus::Offline);
    let mut watcher = team.k.agents().watcher(Watch::default()).unwrap();
    for _ in 0..20 {
        team.seconds(10);
        assert_eq!(watcher.check().await.unwrap().dead, [""; 0]);
    }
    let health = health(&team).await;
    assert_eq!(health.state, Health::Unknown);
    assert!(health.reason.contains("stopped"), "{}", health.reason);
    // It is back when it starts again.
    run(&team, worker().task("review", nothing), async {
        assert_eq!(team.k.agents().get("temujin").await.unwrap().status, AgentStatus::Active);
    })
    .await;
}

async fn agents_of_one_process_beat_in_one_statement(team: Team) {
    let beat = Duration::from_millis(40);
    let mut jobs = vec![];
    for agent in 0..20 {
        let agent = Agent::new(format!("agent-{agent}")).heartbeat(beat).wait(Duration::from_secs(60));
        jobs.push(agent.start(&team.k).await.unwrap());
    }
    // Whatever else the process does while it waits is the same for one agent as for twenty.
    let beats = async || {
        team.seconds(1);
        let now = team.clock.now();
        let before = team.k.statements();
        eventually(|| async {
            team.k.agents().list().await.unwrap().iter().all(|agent| agent.infra_heartbeat >= Some(now))
        })
        .await;
        team.k.statements() - before
    };
    beats().await;
    let statements = beats().await;
    assert!(statements < 60, "{statements} statements, some of them ours, until all twenty had beaten");
    drop(jobs);
}
