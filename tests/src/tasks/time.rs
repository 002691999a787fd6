use crate::{
    cases,
    fixture::{Team, task},
};
use kurultai_core::{
    Clock, Json,
    config::Retention,
    events::EventFilter,
    tasks::{Expiry, Failure, Priority, RetryPolicy, Status},
};
use std::time::Duration;

cases![
    a_scheduled_task_waits_for_its_time,
    a_waiting_claim_takes_what_comes_due,
    a_task_that_waited_too_long_expires,
    of_a_crowd_only_those_expire_that_still_wait,
    who_rises_out_of_a_crowd_expires_like_the_rest,
    the_time_to_wait_counts_from_when_a_task_could_be_claimed,
    what_never_expires_is_unblocked_like_the_rest,
    a_task_that_waits_again_does_not_expire_meanwhile,
    a_scheduled_task_keeps_its_place_when_it_waits_for_another,
    a_fixed_end_holds_for_blocked_tasks_too,
    what_waits_long_rises,
    only_time_in_the_queue_makes_a_task_rise,
    a_light_task_beside_a_steady_stream_of_urgent_ones_is_served_some_day,
    what_is_over_is_removed_when_asked_for,
    events_outlive_their_task_and_still_name_it,
];

async fn a_scheduled_task_waits_for_its_time(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("later").delay(Duration::from_secs(60))).await;
    team.seconds(59);
    assert!(team.claim("temujin", 1).await.is_empty());
    team.seconds(1);
    assert_eq!(team.claim_ids("temujin", 1).await, [id]);
}

async fn a_waiting_claim_takes_what_comes_due(team: Team) {
    // With the store's own clock, since a waiting claim sleeps in real time.
    let k = team.reopen(|config| config.clock(Clock::Store).background(true)).await;
    k.agents().register(kurultai_core::agents::NewAgent::new("temujin")).await.unwrap();
    k.tasks().enqueue(task("soon").delay(Duration::from_millis(300))).await.unwrap();
    let claim = kurultai_core::tasks::Claim::new("temujin").wait(Duration::from_secs(60));
    let claimed = tokio::time::timeout(Duration::from_secs(20), k.tasks().claim(claim)).await;
    assert_eq!(claimed.expect("long before the wait ends").unwrap().len(), 1);
}

async fn a_task_that_waited_too_long_expires(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one").expiry(Expiry::After(Duration::from_secs(60)))).await;
    let never = team.add(task("never").expiry(Expiry::Never)).await;
    team.seconds(61);
    assert_eq!(team.claim_ids("temujin", 9).await, [never]);
    team.k.maintain().await.unwrap();
    assert_eq!(team.status(&id).await, Status::Expired);
    assert_eq!(team.topics(&id).await, ["task.enqueued", "task.expired"]);
    assert_eq!(team.k.tasks().requeue(&id).await.unwrap(), Status::Pending);
}

async fn of_a_crowd_only_those_expire_that_still_wait(team: Team) {
    team.agent("temujin", &[]).await;
    let other = team.reopen(|config| config).await;
    for minutes in [1, 2, 1] {
        let expiry = Expiry::After(Duration::from_secs(60 * minutes));
        let crowd = || (0..200).map(|i| task(&i.to_string()).expiry(expiry)).collect();
        team.k.tasks().enqueue_many(crowd()).await.unwrap();
        other.tasks().enqueue_many(crowd()).await.unwrap();
        team.seconds(1);
    }
    let oldest = team.claim("temujin", 35).await;
    for released in &oldest[30..] {
        team.k.tasks().release(&released.lease).await.unwrap();
    }
    for done in &oldest[..30] {
        team.complete(done).await;
    }
    let count = async |status| team.k.tasks().stats().await.unwrap().by_status.get(&status).copied();
    team.seconds(56);
    team.k.maintain().await.unwrap();
    assert_eq!(count(Status::Expired).await, None);
    team.seconds(3);
    // The released ones wait anew.
    assert_eq!(team.claim("temujin", 1_000).await.len(), 400 + 5);
    team.k.maintain().await.unwrap();
    assert_eq!(count(Status::Expired).await, Some(765));
}

async fn who_rises_out_of_a_crowd_expires_like_the_rest(team: Team) {
    let expiry = Expiry::After(Duration::from_secs(7_200));
    let crowd = || (0..200).map(|i| task(&i.to_string()).priority(Priority::P3).expiry(expiry)).collect();
    let first = team.k.tasks().enqueue_many(crowd()).await.unwrap();
    let second = team.k.tasks().enqueue_many(crowd()).await.unwrap();
    let urgent = |on: &str| task("urgent").priority(Priority::P0).depends_on([on]).expiry(Expiry::Never);
    team.add(urgent(&first[7].id)).await;
    let depends = team.add(task("urgent").priority(Priority::P0).expiry(Expiry::Never)).await;
    team.k.tasks().add_dependency(&depends, &second[7].id).await.unwrap();
    team.seconds(3_700);
    team.k.maintain().await.unwrap();
    team.seconds(3_501);
    team.k.maintain().await.unwrap();
    let by_status = team.k.tasks().stats().await.unwrap().by_status;
    assert_eq!(by_status.get(&Status::Expired), Some(&400));
}

async fn the_time_to_wait_counts_from_when_a_task_could_be_claimed(team: Team) {
    team.agent("temujin", &[]).await;
    let a = team.add(task("a").expiry(Expiry::Never)).await;
    let minute = Expiry::After(Duration::from_secs(60));
    let b = team.add(task("b").depends_on([&a]).expiry(minute)).await;
    let c = team.add(task("c").delay(Duration::from_secs(600)).expiry(minute)).await;
    team.seconds(300);
    team.k.maintain().await.unwrap();
    assert_eq!((team.status(&b).await, team.status(&c).await), (Status::Blocked, Status::Pending));
    team.complete(&team.claim_one("temujin").await).await;
    assert_eq!(team.get(&b).await.expires_at, Some(team.clock.now() + Duration::from_secs(60)));
    team.seconds(61);
    team.k.maintain().await.unwrap();
    assert_eq!(team.status(&b).await, Status::Expired);
}

async fn what_never_expires_is_unblocked_like_the_rest(team: Team) {
    team.agent("temujin", &[]).await;
    let a = team.add(task("a").expiry(Expiry::Never)).await;
    let b = team.add(task("b").depends_on([&a]).expiry(Expiry::Never)).await;
    team.complete(&team.claim_one("temujin").await).await;
    let got = team.get(&b).await;
    assert_eq!((got.status, got.expires_at, got.run_at), (Status::Pending, None, Some(team.clock.now())));
}

async fn a_task_that_waits_again_does_not_expire_meanwhile(team: Team) {
    let a = team.add(task("a").expiry(Expiry::Never)).await;
    let b = team.add(task("b").expiry(Expiry::After(Duration::from_secs(60)))).await;
    team.k.tasks().suspend(&b).await.unwrap();
    team.k.tasks().add_dependency(&b, &a).await.unwrap();
    assert_eq!(team.k.tasks().resume(&b).await.unwrap(), Status::Blocked);
    team.seconds(61);
    team.k.maintain().await.unwrap();
    assert_eq!(team.status(&b).await, Status::Blocked);
}

async fn a_scheduled_task_keeps_its_place_when_it_waits_for_another(team: Team) {
    team.agent("temujin", &[]).await;
    let a = team.add(task("a").expiry(Expiry::Never)).await;
    let b = team.add(task("b").delay(Duration::from_secs(60)).expiry(Expiry::Never)).await;
    team.k.tasks().add_dependency(&b, &a).await.unwrap();
    team.seconds(61);
    team.complete(&team.claim_one("temujin").await).await;
    assert_eq!(team.claim_ids("temujin", 1).await, [b]);
}

async fn a_fixed_end_holds_for_blocked_tasks_too(team: Team) {
    let a = team.add(task("a").expiry(Expiry::Never)).await;
    let end = team.clock.now() + Duration::from_secs(100);
    let b = team.add(task("b").depends_on([&a]).expiry(Expiry::At(end))).await;
    team.seconds(101);
    team.k.maintain().await.unwrap();
    assert_eq!(team.status(&b).await, Status::Expired);
}

async fn what_waits_long_rises(team: Team) {
    team.agent("temujin", &[]).await;
    team.add(task("old p3").priority(Priority::P3).expiry(Expiry::Never)).await;
    team.seconds(3_700);
    team.k.maintain().await.unwrap();
    team.add(task("p2").expiry(Expiry::Never)).await;
    assert_eq!(team.claim_one("temujin").await.title, "old p3");
    team.add(task("older p3").priority(Priority::P3).expiry(Expiry::Never)).await;
    for _ in 0..9 {
        team.seconds(3_700);
        team.k.maintain().await.unwrap();
    }
    team.add(task("p0").priority(Priority::P0).expiry(Expiry::Never)).await;
    let titles: Vec<String> = team.claim("temujin", 9).await.into_iter().map(|c| c.title).collect();
    assert_eq!(
        titles,
        ["old p3", "p2", "older p3", "p0"]
            .into_iter()
            .filter(|t| titles.contains(&(*t).to_owned()))
            .collect::<Vec<_>>()
    );
    assert_eq!(titles.last().unwrap(), "p0");
}

async fn only_time_in_the_queue_makes_a_task_rise(team: Team) {
    team.agent("temujin", &[]).await;
    let hours = |n: u64| Duration::from_secs(3_600 * n);
    let low = |title: &str| task(title).priority(Priority::P3).expiry(Expiry::Never);
    let gate = team.add(task("gate").expiry(Expiry::Never)).await;
    team.add(low("delayed").delay(hours(4))).await;
    team.add(low("blocked").depends_on([&gate])).await;
    let suspended = team.add(low("suspended")).await;
    team.k.tasks().suspend(&suspended).await.unwrap();
    let dead = team.add(low("requeued").max_attempts(1)).await;
    let retry = RetryPolicy { base: hours(4), cap: hours(4), jitter: false };
    let failing = team.add(low("backing off").retry(retry)).await;
    let held = team.add(low("released")).await;
    let leases = team.claim("temujin", 9).await;
    let lease = |id: &str| leases.iter().find(|c| c.id == id).unwrap().lease.clone();
    team.k.tasks().fail(&lease(&failing), Failure::new("later")).await.unwrap();
    team.k.tasks().fail(&lease(&dead), Failure::new("never")).await.unwrap();
    for id in [&held, &gate] {
        team.k.tasks().extend(&lease(id), hours(5)).await.unwrap();
    }
    team.seconds(4 * 3_600);
    team.k.tasks().resume(&suspended).await.unwrap();
    team.k.tasks().requeue(&dead).await.unwrap();
    team.k.tasks().release(&lease(&held)).await.unwrap();
    team.k.tasks().complete(&lease(&gate), Json::default()).await.unwrap();
    team.add(task("urgent").priority(Priority::P1).expiry(Expiry::Never)).await;
    for _ in 0..4 {
        team.seconds(60);
        team.k.maintain().await.unwrap();
    }
    // Completed, since what is held for hours without renewal comes back and grows old too.
    let first = team.claim_one("temujin").await;
    assert_eq!(first.title, "urgent");
    team.complete(&first).await;
    // A time long past does not count either.
    let past = team.clock.now() - hours(40);
    team.add(low("past").run_at(past)).await;
    team.k.maintain().await.unwrap();
    let oldest = team.k.tasks().stats().await.unwrap().oldest_pending_seconds.unwrap();
    assert!(oldest < 300.0, "{oldest}");
    team.add(task("medium").expiry(Expiry::Never)).await;
    let first = team.claim_one("temujin").await;
    assert_eq!(first.title, "medium");
    team.complete(&first).await;
    // Three ranks up take three hours, and a fourth brings it before every weight.
    for (hours, rank) in [(3, 0), (4, 1)] {
        for _ in 0..hours {
            team.seconds(3_600);
            team.k.maintain().await.unwrap();
            team.k.maintain().await.unwrap();
        }
        let heavy = task("heavy").priority(Priority::P0).priority_weight(0.6).expiry(Expiry::Never);
        let id = team.add(heavy).await;
        let first = team.claim_one("temujin").await;
        assert_eq!(usize::from(first.id != id), rank, "{}", first.title);
        team.complete(&first).await;
    }
}

async fn a_light_task_beside_a_steady_stream_of_urgent_ones_is_served_some_day(team: Team) {
    team.agent("temujin", &[]).await;
    let light =
        team.add(task("light").priority(Priority::P3).priority_weight(0.4).expiry(Expiry::Never)).await;
    let urgent = || task("urgent").priority(Priority::P0).expiry(Expiry::Never);
    team.add(urgent()).await;
    let mut served = 0;
    while team.status(&light).await == Status::Pending && served < 9 {
        team.add(urgent()).await;
        team.seconds(3_600);
        team.k.maintain().await.unwrap();
        let claimed = team.claim_one("temujin").await;
        team.complete(&claimed).await;
        served += 1;
    }
    assert_eq!(team.status(&light).await, Status::Completed, "after {served} others");
}

async fn what_is_over_is_removed_when_asked_for(team: Team) {
    team.agent("temujin", &[]).await;
    let old = team.add(task("old")).await;
    let needed = team.add(task("needed")).await;
    let waits = team.add(task("waits").depends_on([&needed]).expiry(Expiry::Never)).await;
    let open = team.add(task("open").expiry(Expiry::Never)).await;
    let claimed = team.claim("temujin", 2).await;
    team.complete(&claimed[0]).await;
    team.k.tasks().suspend(&waits).await.unwrap();
    team.complete(&claimed[1]).await;
    team.seconds(1_000);
    let young = team.add(task("young")).await;
    team.k.tasks().cancel(&young, None).await.unwrap();
    let span = Some(Duration::from_secs(500));
    let keep = Retention { tasks: span, events: span, ..Retention::default() };
    let k = team.reopen(|config| config.retention(keep)).await;
    k.maintain().await.unwrap();
    let ids = [old.as_str(), &needed, &waits, &open, &young];
    let left: Vec<bool> = k.tasks().get_many(&ids).await.unwrap().iter().map(|t| t.is_some()).collect();
    assert_eq!(left, [false, true, true, true, true]);
    let events = k.events().read(EventFilter::default()).await.unwrap().events;
    assert_eq!(events.len(), 2);
    assert_eq!(k.events().last_seq().await.unwrap(), events[1].seq);
}

async fn events_outlive_their_task_and_still_name_it(team: Team) {
    team.agent("temujin", &[]).await;
    let old = task("old");
    let id = team.add(old.clone()).await;
    team.complete(&team.claim_one("temujin").await).await;
    team.add(task("open").expiry(Expiry::Never)).await;
    team.seconds(1_000);
    let span = Some(Duration::from_secs(500));
    let k = team.reopen(|config| config.retention(Retention { tasks: span, ..Retention::default() })).await;
    k.maintain().await.unwrap();
    assert!(k.tasks().get_many(&[&id]).await.unwrap()[0].is_none(), "removed");
    assert_eq!(team.topics(&id).await, ["task.enqueued", "task.claimed", "task.completed"]);
    let all = k.events().read(EventFilter::default()).await.unwrap().events;
    assert!(all.iter().all(|e| e.task_id.is_some() == e.topic.starts_with("task.")), "{all:?}");

    // A task of the same id is another one, and comes after it in the log.
    team.add(old).await;
    assert_eq!(team.topics(&id).await[3..], ["task.enqueued"]);
    let k = team.reopen(|config| config.retention(Retention { events: span, ..Retention::default() })).await;
    k.maintain().await.unwrap();
    assert_eq!(team.topics(&id).await, ["task.enqueued"]);
    if let Some(path) = team.url.strip_prefix("sqlite:") {
        let file = rusqlite::Connection::open(path.split('?').next().unwrap()).unwrap();
        let kept = file.query_row("select count(*) from swept", [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(kept, 0, "nothing names it any more");
    }
}
