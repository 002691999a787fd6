//! How a worker comes and goes: registration, heartbeats, drain.

use super::{LEASE, eventually, next, prompt, soon, worker};
use crate::{
    cases,
    fixture::{Team, code},
};
use kurultai_core::{
    agents::{AgentStatus, NewAgent},
    tasks::Status,
    worker::{Agent, Context, Stop},
};
use serde_json::{Value, json};
use std::{convert::Infallible, time::Duration};

cases![
    a_worker_registers_its_agent_and_keeps_what_it_is_not_told,
    a_worker_of_a_new_agent_registers_it,
    a_drained_agent_is_on_duty_again_when_its_worker_starts,
    a_worker_without_work_beats,
    a_worker_that_cannot_be_is_refused,
    a_drain_lets_running_jobs_end_and_releases_the_rest,
    what_outlasts_the_grace_is_stopped_and_released,
    a_store_that_is_closed_gets_back_what_its_agents_hold,
    an_agent_that_is_drained_before_its_store_is_closed_leaves_nothing_held,
    an_agent_that_starts_while_its_store_is_closed_ends_at_once,
    a_handler_may_close_its_store,
    dropped_jobs_strand_nothing,
];

async fn a_worker_registers_its_agent_and_keeps_what_it_is_not_told(team: Team) {
    let entry = NewAgent {
        role: Some("developer".into()),
        ..NewAgent::new("temujin")
            .display_name("Temüjin")
            .aliases(["dev"])
            .capabilities(["coding"])
            .max_concurrent(2)
    };
    team.k.agents().register(entry).await.unwrap();
    let before = team.k.agents().get("temujin").await.unwrap();
    team.seconds(5);
    let _first = worker().start(&team.k).await.unwrap();
    let same = team.k.agents().get("temujin").await.unwrap();
    let now = Some(team.clock.now());
    assert_eq!(
        same,
        kurultai_core::agents::AgentInfo { infra_heartbeat: now, ..before.clone() },
        "it only says that it is there"
    );
    let _second = worker()
        .capabilities(["rust"])
        .display_name("T")
        .aliases(["t"])
        .role("lead")
        .max_concurrent(3)
        .start(&team.k)
        .await
        .unwrap();
    let changed = team.k.agents().get("temujin").await.unwrap();
    assert_eq!((changed.capabilities, changed.aliases), (vec!["rust".to_owned()], vec!["t".to_owned()]));
    assert_eq!((changed.display_name.as_str(), changed.role.as_deref()), ("T", Some("lead")));
    assert_eq!((changed.max_concurrent, changed.created_at), (Some(3), before.created_at));
}

async fn a_worker_of_a_new_agent_registers_it(team: Team) {
    let _jobs = worker().capabilities(["coding"]).concurrency(7).start(&team.k).await.unwrap();
    let got = team.k.agents().get("temujin").await.unwrap();
    assert_eq!((got.display_name.as_str(), got.capabilities), ("temujin", vec!["coding".to_owned()]));
    assert_eq!((got.max_concurrent, got.infra_heartbeat), (None, Some(team.clock.now())));
}

async fn a_drained_agent_is_on_duty_again_when_its_worker_starts(team: Team) {
    team.agent("temujin", &["coding"]).await;
    team.k.agents().drain("temujin").await.unwrap();
    let _jobs = worker().start(&team.k).await.unwrap();
    let got = team.k.agents().get("temujin").await.unwrap();
    assert_eq!((got.status, got.capabilities), (AgentStatus::Active, vec!["coding".to_owned()]));
}

async fn a_worker_without_work_beats(team: Team) {
    let _jobs = worker().heartbeat(Duration::from_millis(20)).start(&team.k).await.unwrap();
    team.seconds(40);
    let beaten =
        || async { team.k.agents().get("temujin").await.unwrap().infra_heartbeat == Some(team.clock.now()) };
    eventually(beaten).await;
}

async fn a_worker_that_cannot_be_is_refused(team: Team) {
    for wrong in [
        Agent::new("No Such Id"),
        worker().concurrency(0),
        worker().concurrency(1001),
        worker().types(Vec::<String>::new()),
        worker().lease(Duration::from_millis(1)),
        worker().wait(Duration::ZERO),
        worker().heartbeat(Duration::ZERO),
        worker().max_concurrent(0),
    ] {
        assert_eq!(code(wrong.start(&team.k).await), "input.invalid");
    }
    assert!(team.k.agents().list().await.unwrap().is_empty());
}

async fn a_drain_lets_running_jobs_end_and_releases_the_rest(team: Team) {
    for i in 0..4 {
        team.add(prompt(&i.to_string())).await;
    }
    let jobs = worker().concurrency(3).grace(super::LONG).start(&team.k).await.unwrap();
    let job = next(&jobs).await;
    let (pulling, finishing) = (jobs.next(), jobs.finished());
    tokio::pin!(finishing);
    jobs.drain();
    assert!(soon(pulling).await.unwrap().is_none());
    assert!(
        tokio::time::timeout(Duration::from_millis(50), &mut finishing).await.is_err(),
        "a job still runs"
    );
    job.complete(json!(1), None).await.unwrap();
    assert_eq!(soon(finishing).await, 0);
    assert!(soon(jobs.next()).await.unwrap().is_none());
    let by_status = team.k.tasks().stats().await.unwrap().by_status;
    assert_eq!(
        by_status,
        [(Status::Pending, 3), (Status::Completed, 1)].into(),
        "nothing left behind, nothing new"
    );
}

async fn what_outlasts_the_grace_is_stopped_and_released(team: Team) {
    let id = team.add(prompt("one")).await;
    let jobs = worker().grace(Duration::from_millis(20)).start(&team.k).await.unwrap();
    let job = next(&jobs).await;
    assert_eq!(soon(jobs.finished()).await, 1);
    assert_eq!((job.stop(), job.ended()), (Some(Stop::Drained), true));
    let got = team.get(&id).await;
    assert_eq!((got.status, got.attempts, got.errors.len()), (Status::Pending, 0, 0));
    assert_eq!(code(job.complete(json!("late"), None).await), "lease.lost");
}

async fn a_store_that_is_closed_gets_back_what_its_agents_hold(team: Team) {
    let k = team.reopen(|config| config).await;
    let ids: Vec<String> = team
        .k
        .tasks()
        .enqueue_many((0..4).map(|i| prompt(&i.to_string())).collect())
        .await
        .unwrap()
        .into_iter()
        .map(|task| task.id)
        .collect();
    let jobs = worker().concurrency(3).grace(super::LONG * 10).start(&k).await.unwrap();
    let (job, done) = (next(&jobs).await, next(&jobs).await);
    done.complete(json!(1), None).await.unwrap();
    soon(k.close()).await;
    assert!(soon(jobs.next()).await.unwrap().is_none());
    assert_eq!((job.stop(), job.ended(), soon(jobs.finished()).await), (Some(Stop::Drained), true, 0));
    let by_status = team.k.tasks().stats().await.unwrap().by_status;
    assert_eq!(
        by_status,
        [(Status::Pending, 3), (Status::Completed, 1)].into(),
        "nothing left behind, nothing new"
    );
    for task in team.k.tasks().get_many(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap() {
        let task = task.unwrap();
        assert_eq!((task.attempts, task.errors.len()), (u32::from(task.status == Status::Completed), 0));
    }
}

/// Whatever its claim is doing when it is drained.
async fn an_agent_that_is_drained_before_its_store_is_closed_leaves_nothing_held(team: Team) {
    team.k.tasks().enqueue_many((0..40).map(|i| prompt(&i.to_string())).collect()).await.unwrap();
    for round in 0..40 {
        let k = team.reopen(|config| config).await;
        let jobs = worker().start(&k).await.unwrap();
        tokio::time::sleep(Duration::from_micros(50 * round)).await;
        soon(jobs.finished()).await;
        soon(k.close()).await;
        let by_status = team.k.tasks().stats().await.unwrap().by_status;
        assert_eq!(by_status, [(Status::Pending, 40)].into(), "round {round}");
    }
}

async fn an_agent_that_starts_while_its_store_is_closed_ends_at_once(team: Team) {
    let k = team.reopen(|config| config).await;
    let (jobs, ()) = soon(async { tokio::join!(worker().start(&k), k.clone().close()) }).await;
    assert!(soon(jobs.unwrap().next()).await.unwrap().is_none());
    assert_eq!(code(worker().start(&k).await), "store.closed", "it was closed before");
}

async fn a_handler_may_close_its_store(team: Team) {
    let k = team.reopen(|config| config).await;
    let id = team.add(prompt("one")).await;
    let own = k.clone();
    let closes = move |_: Context, _: Value| {
        let k = own.clone();
        async move {
            k.close().await;
            Ok::<_, Infallible>("not reached: it is stopped")
        }
    };
    let agent = worker().grace(super::LONG * 10).task("review", closes);
    assert_eq!(soon(agent.run_until(&k, std::future::pending())).await.unwrap(), 0);
    let got = team.get(&id).await;
    assert_eq!((got.status, got.attempts), (Status::Pending, 0));
    eventually(|| async { k.tasks().stats().await.is_err() }).await;
    assert_eq!(code(k.tasks().stats().await), "store.closed");
}

async fn dropped_jobs_strand_nothing(team: Team) {
    let tasks = (0..3).map(|i| prompt(&i.to_string())).collect();
    team.k.tasks().enqueue_many(tasks).await.unwrap();
    let jobs = worker().concurrency(3).start(&team.k).await.unwrap();
    let job = next(&jobs).await;
    drop(jobs);
    let pending =
        || async { team.k.tasks().stats().await.unwrap().by_status.get(&Status::Pending) == Some(&2) };
    eventually(pending).await;
    team.seconds(2);
    let renewed = team.clock.now() + LEASE;
    eventually(|| async { job.lease().expires_at == renewed }).await;
    job.complete(json!(1), None).await.unwrap();
}

/// The first signal lets the handler end, which it never does; the second waits for nobody.
#[cfg(unix)]
#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("team.db").display());
    let mut child = crate::sqlite::child::begin(&["work", &url]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.ends_with("said working")));
    let signal = |name: &str| {
        let pid = child.id().to_string();
        assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    signal("-TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    signal("-INT");
    assert_eq!(child.wait().unwrap().code(), Some(128 + 2), "{:?}", lines.collect::<Vec<_>>());
}
