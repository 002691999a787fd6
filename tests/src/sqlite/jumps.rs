//! The machine's clock is set, or the machine has slept: no time has passed for its agents.

use crate::fixture::{Team, code, steady, task};
use chrono::TimeDelta;
use kurultai_core::{
    agents::Thresholds,
    tasks::{Expiry, Extend, Failure, Handler, Status},
};
use std::time::Duration;

const HALF_AN_HOUR: Duration = Duration::from_secs(1_800);

async fn spans_go_on_over(jump: TimeDelta) {
    let team = Team::sqlite().await;
    let other = team.reopen(|config| config).await;
    team.agent("temujin", &[]).await;
    let held = team.add(task("held")).await;
    let lease = team.claim_one("temujin").await.lease;
    let failing = team.add(task("failing").retry(steady())).await;
    let tried = team.claim_one("temujin").await;
    team.k.tasks().fail(&tried.lease, Failure::new("no")).await.unwrap();
    let short = team.add(task("short").max_runtime(HALF_AN_HOUR)).await;
    let brief = team.claim_one("temujin").await;
    let silent =
        Extend { handler: Handler::Stalled(Duration::from_secs(60)), ..Extend::new(brief.lease.clone()) };
    team.k.tasks().renew(silent).await.unwrap();
    let waits = team.add(task("waits").expiry(Expiry::After(HALF_AN_HOUR))).await;
    let later = task("later").delay(Duration::from_secs(600)).expiry(Expiry::After(HALF_AN_HOUR));
    let later = team.add(later).await;
    let appointed = team.clock.now() + HALF_AN_HOUR;
    let appointment = team.add(task("appointment").expiry(Expiry::At(appointed))).await;
    other.maintain().await.unwrap();
    let claimed = team.get(&short).await.claimed_at.unwrap();
    let before = [team.get(&failing).await, team.get(&waits).await];
    let named = team.get(&later).await.run_at;
    let beaten = team.k.agents().get("temujin").await.unwrap().last_heartbeat.unwrap();

    team.clock.jump(jump);
    // What is undone moves nothing, and what is done moves everything once.
    assert_eq!(code(team.k.tasks().add_dependency(&waits, "nobody").await), "task.dependency_unknown");
    other.maintain().await.unwrap();
    team.k.maintain().await.unwrap();
    team.k.tasks().extend(&lease, Duration::from_secs(300)).await.unwrap();
    other.maintain().await.unwrap();

    assert_eq!(team.status(&held).await, Status::InProgress);
    let extended = team.k.tasks().extend(&brief.lease, 2 * HALF_AN_HOUR).await.unwrap();
    assert_eq!(extended.lease.expires_at, claimed + jump + HALF_AN_HOUR);
    let stuck = team.k.agents().health(Some("temujin"), Thresholds::default()).await.unwrap().remove(0);
    assert!(stuck.reason.contains("silent for 63 s"), "{}", stuck.reason);
    for before in &before {
        let after = team.get(&before.id).await;
        assert_eq!(after.status, Status::Pending, "{}", after.title);
        assert_eq!(after.expires_at, before.expires_at.map(|at| at + jump), "{}", after.title);
    }
    assert_eq!(team.get(&failing).await.run_at, before[0].run_at.map(|at| at + jump));
    let later = team.get(&later).await;
    assert_eq!(
        (later.status, later.run_at),
        (Status::Pending, named),
        "a time that somebody has named stays"
    );
    let late = if jump > TimeDelta::zero() { Status::Expired } else { Status::Pending };
    assert_eq!(
        (team.get(&appointment).await.expires_at, team.status(&appointment).await),
        (Some(appointed), late)
    );
    let agent = team.k.agents().get("temujin").await.unwrap();
    assert!(agent.last_heartbeat.unwrap() >= beaten + jump);

    // From here on time passes as ever, also for who opens the file now.
    let new = team.reopen(|config| config).await;
    team.seconds(1_200);
    new.maintain().await.unwrap();
    assert_eq!(team.status(&held).await, Status::Pending, "the lease has lapsed");
    assert_eq!(team.status(&waits).await, Status::Pending);
    team.seconds(601);
    new.maintain().await.unwrap();
    assert_eq!(team.status(&waits).await, Status::Expired);
    for k in [team.k, other, new] {
        k.close().await;
    }
}

#[tokio::test]
async fn spans_go_on_over_a_jump_ahead() {
    spans_go_on_over(TimeDelta::hours(1)).await;
}

#[tokio::test]
async fn spans_go_on_over_a_jump_back() {
    spans_go_on_over(TimeDelta::hours(-1)).await;
}

/// What the store decides about a task from facts of before the jump must not happen.
#[tokio::test]
async fn a_claim_right_after_a_jump_lets_no_lease_lapse() {
    let team = Team::sqlite().await;
    team.agent("temujin", &[]).await;
    team.add(task("held")).await;
    let held = team.claim_one("temujin").await;
    team.clock.jump(TimeDelta::hours(8));
    assert!(team.claim("temujin", 1).await.is_empty());
    team.complete(&held).await;
    team.k.close().await;
}

#[tokio::test]
async fn a_clock_that_is_corrected_a_little_moves_nothing() {
    let team = Team::sqlite().await;
    team.agent("temujin", &[]).await;
    let id = team.add(task("waits").expiry(Expiry::After(HALF_AN_HOUR))).await;
    let before = team.get(&id).await.expires_at;
    team.clock.jump(TimeDelta::seconds(4));
    team.add(task("other")).await;
    assert_eq!(team.get(&id).await.expires_at, before);
    team.k.close().await;
}
