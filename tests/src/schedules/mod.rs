//! What is due when.

mod day;
mod faults;
mod processes;

pub(crate) use processes::tick;

use crate::{
    cases,
    fixture::{Team, code, task},
};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use kurultai_core::{
    Kurultai,
    events::EventFilter,
    schedules::{CatchUp, NewSchedule, Overlap, Schedule},
    tasks::{Claim, Filter, NewTask, Priority, Status, Task, TaskUpdate},
};
use serde_json::json;
use std::time::Duration;

cases![
    a_schedule_is_put_changed_and_removed,
    a_time_has_its_task_once_whoever_looks,
    a_week_of_downtime,
    a_time_waits_for_nobody_or_is_skipped,
    a_paused_schedule_enqueues_nothing,
    a_task_now,
    a_key_that_somebody_took_is_the_task_of_its_time,
    schedules_of_one_moment_go_together,
    who_waits_for_work_gets_what_comes_due,
    the_background_enqueues_what_comes_due,
];

const HOUR: Duration = Duration::from_secs(3_600);

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Hourly, from its put on.
fn hourly(name: &str) -> NewSchedule {
    NewSchedule::new(name, NewTask::new("report")).every(HOUR)
}

async fn put(k: &Kurultai, schedule: NewSchedule) -> Schedule {
    k.schedules().put(schedule).await.unwrap()
}

/// All tasks, in the order in which they were made.
async fn all(k: &Kurultai) -> Vec<Task> {
    let (mut tasks, mut filter) = (vec![], Filter { limit: 1_000, ..Filter::default() });
    loop {
        let page = k.tasks().list(filter.clone()).await.unwrap();
        tasks.extend(page.tasks);
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            return tasks;
        }
    }
}

/// The times of a schedule that have a task, in their order; one that has two stands there twice.
async fn times(k: &Kurultai, name: &str) -> Vec<DateTime<Utc>> {
    let prefix = format!("schedule:{name}:");
    let keys = all(k).await.into_iter().filter_map(|task| task.unique_key);
    let mut times: Vec<_> = keys.filter_map(|key| Some(at(key.strip_prefix(&prefix)?))).collect();
    times.sort();
    times
}

async fn a_schedule_is_put_changed_and_removed(team: Team) {
    let (k, began) = (&team.k, team.clock.now());
    let report = NewTask::new("report").payload(json!({"n": 1})).priority(Priority::P1).requires(["writing"]);
    let weekly = NewSchedule::new("weekly", report).cron("0 9 * * MON").timezone("Asia/Ulaanbaatar");
    let schedule = put(k, weekly.clone()).await;
    let mondays = [at("2026-03-02T01:00:00Z"), at("2026-03-09T01:00:00Z"), at("2026-03-16T01:00:00Z")];
    assert_eq!((schedule.next_due, &schedule.upcoming[..]), (Some(mondays[0]), &mondays[..]));
    assert_eq!(schedule.task_fields.value(), json!({"priority": "P1", "requires": ["writing"]}));
    assert_eq!((schedule.catch_up, schedule.overlap, schedule.paused), (CatchUp::One, Overlap::Skip, false));
    assert_eq!((schedule.created_at, schedule.updated_at), (began, began));
    assert_eq!((&schedule.last_task, schedule.last_due, schedule.last_skipped), (&None, None, None));
    team.seconds(60);
    assert_eq!(put(k, weekly.clone()).await, schedule, "nothing has changed");

    let hourly = put(k, hourly("Ünïcode: '; drop").jitter(Duration::from_secs(60))).await;
    assert_eq!((hourly.every, hourly.start), (Some(HOUR), Some(began + TimeDelta::seconds(60))));
    assert_eq!(k.schedules().get("weekly").await.unwrap(), schedule);
    assert_eq!(k.schedules().list().await.unwrap(), [schedule.clone(), hourly.clone()]);

    let daily = put(k, weekly.cron("0 9 * * *")).await;
    assert_eq!((daily.next_due, daily.created_at), (Some(at("2026-03-02T01:00:00Z")), began));
    assert_eq!(daily.updated_at, began + TimeDelta::seconds(60));
    k.schedules().remove("weekly").await.unwrap();
    let gone = [
        code(k.schedules().get("weekly").await),
        code(k.schedules().remove("weekly").await),
        code(k.schedules().pause("weekly").await),
        code(k.schedules().unpause("weekly").await),
        code(k.schedules().run_now("weekly").await),
    ];
    assert_eq!(gone, ["schedule.not_found"; 5]);
    let near = k.schedules().get("Unicode: drop").await.unwrap_err();
    assert!(near.message().contains("did you mean"), "{near}");
    let wrong = k.schedules().put(NewSchedule::new("x", NewTask::new("y")).cron("0 25 * * *")).await;
    assert!(wrong.unwrap_err().message().contains("as its hour, which is \"25\": 0 to 23"));
    let long = NewTask::new("y").payload(json!("x".repeat(2 << 20)));
    assert_eq!(code(k.schedules().put(NewSchedule::new("x", long).every(HOUR)).await), "input.payload");
    assert_eq!(k.schedules().list().await.unwrap(), [hourly]);
}

/// The task is as it was put, is told once, and is there once, though five look at the same moment.
async fn a_time_has_its_task_once_whoever_looks(team: Team) {
    let report = NewTask::new("report").payload(json!({"n": 1})).delegated_by("kublai").max_attempts(7);
    put(&team.k, NewSchedule::new("r", report).cron("0 10 * * *")).await;
    let others = join_all((0..4).map(|_| team.reopen(|config| config))).await;
    team.k.maintain().await.unwrap();
    assert!(all(&team.k).await.is_empty(), "nothing is due");
    for day in 1..=3 {
        team.clock.advance(Duration::from_secs(86_400));
        let looks = others.iter().chain([&team.k]).map(|k| k.maintain());
        join_all(looks).await.into_iter().for_each(|looked| looked.unwrap());
        let made = all(&team.k).await;
        assert_eq!(made.len(), day);
        let made = made.last().unwrap();
        let key = format!("schedule:r:2026-03-0{day}T10:00:00Z");
        assert_eq!(made.unique_key.as_deref(), Some(key.as_str()));
        assert_eq!((made.payload.value(), made.max_attempts), (json!({"n": 1}), 7));
        assert_eq!(made.delegated_by.as_deref(), Some("kublai"));
        assert_eq!(team.topics(&made.id).await, ["task.enqueued"]);
        let schedule = team.k.schedules().get("r").await.unwrap();
        assert_eq!(schedule.last_task.as_deref(), Some(made.id.as_str()));
        assert_eq!(schedule.last_due, Some(at(&format!("2026-03-0{day}T10:00:00Z"))));
        assert_eq!(schedule.next_due, Some(at(&format!("2026-03-0{}T10:00:00Z", day + 1))));
        team.k.tasks().cancel(&made.id, None).await.unwrap();
    }
    let newest = team.k.events().last_seq().await.unwrap();
    let events = team.k.events().read(EventFilter::default()).await.unwrap().events;
    assert_eq!(events.len() as i64, newest, "the log has no gap");
}

/// Nobody had the store open. What is put again when the program starts still counts from before.
async fn a_week_of_downtime(team: Team) {
    let quarter = |minutes: i64| team.clock.now() + TimeDelta::minutes(minutes);
    let (start, kinds) = (quarter(0), [CatchUp::One, CatchUp::Skip, CatchUp::All]);
    let schedule = |kind: CatchUp| hourly(kind.as_str()).catch_up(kind);
    for kind in kinds {
        put(&team.k, schedule(kind)).await;
    }
    team.clock.advance(Duration::from_secs(7 * 86_400 + 1_800));
    let k = team.reopen(|config| config).await;
    for kind in kinds {
        put(&k, schedule(kind)).await;
    }
    k.maintain().await.unwrap();
    let hour = |hours: i64| start + TimeDelta::hours(hours);
    assert_eq!(times(&k, "one").await, [hour(168)]);
    assert!(times(&k, "skip").await.is_empty());
    assert_eq!(times(&k, "all").await, (1..=168).map(hour).collect::<Vec<_>>());
    let skipped = k.schedules().get("skip").await.unwrap();
    assert_eq!((skipped.last_skipped, skipped.last_due), (Some(hour(168)), None));
    team.clock.advance(HOUR / 2);
    k.maintain().await.unwrap();
    assert_eq!(times(&k, "skip").await, [hour(169)]);
    assert_eq!(times(&k, "one").await, [hour(168)], "its task is unfinished");
    assert_eq!(times(&k, "all").await.len(), 169);
}

async fn a_time_waits_for_nobody_or_is_skipped(team: Team) {
    team.agent("temujin", &[]).await;
    put(&team.k, hourly("skips")).await;
    put(&team.k, hourly("allows").overlap(Overlap::Allow)).await;
    let tick = async || {
        team.clock.advance(HOUR);
        team.k.maintain().await.unwrap();
        let get = async |name: &str| team.k.schedules().get(name).await.unwrap();
        (get("skips").await, get("allows").await)
    };
    let (skips, allows) = tick().await;
    assert_eq!((skips.last_skipped, allows.last_skipped), (None, None));
    let (first, mut lease) = (skips.last_task.clone().unwrap(), None);
    // It would expire.
    team.k.tasks().update(&first, TaskUpdate::new().expires_at(None)).await.unwrap();
    for (ticks, status) in [Status::Pending, Status::InProgress, Status::Suspended].into_iter().enumerate() {
        match status {
            Status::InProgress => {
                let claim = Claim::new("temujin").max(9).lease(Duration::from_secs(86_400));
                let held = team.k.tasks().claim(claim).await.unwrap();
                lease = held.into_iter().find(|held| held.id == first).map(|held| held.lease);
            }
            Status::Suspended => {
                team.k.tasks().release(&lease.take().unwrap()).await.unwrap();
                team.k.tasks().suspend(&first).await.unwrap();
            }
            _ => {}
        }
        assert_eq!(team.status(&first).await, status);
        let (skips, allows) = tick().await;
        assert_eq!(skips.last_task.as_ref(), Some(&first), "{status}");
        assert_eq!(skips.last_skipped, skips.next_due.map(|next| next - TimeDelta::hours(1)), "{status}");
        assert_eq!(times(&team.k, "allows").await.len(), ticks + 2, "{status}");
        assert_eq!(allows.last_skipped, None);
    }
    team.k.tasks().cancel(&first, None).await.unwrap();
    let (skips, _) = tick().await;
    assert!(skips.last_task.is_some_and(|last| last != first), "the one before is over");
    assert_eq!(times(&team.k, "skips").await.len(), 2);
}

async fn a_paused_schedule_enqueues_nothing(team: Team) {
    let (k, start) = (&team.k, team.clock.now());
    put(k, hourly("h")).await;
    let paused = k.schedules().pause("h").await.unwrap();
    assert_eq!((paused.paused, paused.next_due, paused.upcoming.len()), (true, None, 0));
    team.clock.advance(3 * HOUR + HOUR / 2);
    k.maintain().await.unwrap();
    let again = put(k, hourly("h")).await;
    assert!(again.paused && again.next_due.is_none(), "a put does not undo what somebody has decided");
    assert_eq!(k.schedules().pause("h").await.unwrap(), again);
    assert!(all(k).await.is_empty());
    let unpaused = k.schedules().unpause("h").await.unwrap();
    assert_eq!((unpaused.paused, unpaused.next_due), (false, Some(start + TimeDelta::hours(4))));
    team.clock.advance(HOUR / 2);
    k.maintain().await.unwrap();
    assert_eq!(times(k, "h").await, [start + TimeDelta::hours(4)]);
}

async fn a_task_now(team: Team) {
    let k = &team.k;
    let put = put(k, hourly("h")).await;
    k.schedules().pause("h").await.unwrap();
    let first = k.schedules().run_now("h").await.unwrap();
    assert!(!first.deduplicated);
    let made = team.get(&first.id).await;
    assert_eq!((made.task_type.as_str(), made.status), ("report", Status::Pending));
    assert_eq!(made.unique_key, Some(format!("schedule:h:now:{}", first.id)));
    let second = k.schedules().run_now("h").await.unwrap();
    assert_eq!((second.id, second.deduplicated), (first.id.clone(), true));
    k.tasks().cancel(&first.id, None).await.unwrap();
    assert!(!k.schedules().run_now("h").await.unwrap().deduplicated);
    let schedule = k.schedules().unpause("h").await.unwrap();
    assert_eq!((schedule.next_due, schedule.last_due), (put.next_due, None));
}

/// As after the clock was set back: no time has two tasks.
async fn a_key_that_somebody_took_is_the_task_of_its_time(team: Team) {
    put(&team.k, NewSchedule::new("r", NewTask::new("report")).cron("0 10 * * *")).await;
    let there = task("there").unique_key("schedule:r:2026-03-01T10:00:00Z");
    let id = team.k.tasks().enqueue(there).await.unwrap().id;
    team.k.tasks().cancel(&id, None).await.unwrap();
    team.clock.advance(HOUR);
    team.k.maintain().await.unwrap();
    assert_eq!(all(&team.k).await.len(), 1);
    let schedule = team.k.schedules().get("r").await.unwrap();
    assert_eq!(schedule.last_task, Some(id));
    assert_eq!(schedule.next_due, Some(at("2026-03-02T10:00:00Z")));
}

/// More than one transaction takes, and with long payloads.
async fn schedules_of_one_moment_go_together(team: Team) {
    for i in 0..130 {
        let payload = json!("x".repeat(if i % 3 == 0 { 40_000 } else { 10 }));
        let report = NewTask::new("report").payload(payload);
        put(&team.k, NewSchedule::new(format!("s-{i}"), report).every(HOUR)).await;
    }
    team.clock.advance(HOUR);
    let other = team.reopen(|config| config).await;
    let (one, two) = futures::join!(team.k.maintain(), other.maintain());
    one.and(two).unwrap();
    let mut keys: Vec<_> = all(&team.k).await.into_iter().filter_map(|task| task.unique_key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!((keys.len(), all(&team.k).await.len()), (130, 130));
    let next = team.clock.now() + TimeDelta::hours(1);
    assert!(team.k.schedules().list().await.unwrap().iter().all(|schedule| schedule.next_due == Some(next)));
}

async fn who_waits_for_work_gets_what_comes_due(team: Team) {
    team.agent("temujin", &[]).await;
    put(&team.k, hourly("h")).await;
    let tasks = team.k.tasks();
    let waits = tokio::spawn(async move {
        tasks.claim(Claim::new("temujin").wait(Duration::from_secs(60))).await.unwrap()
    });
    team.clock.advance(HOUR);
    let claimed = waits.await.unwrap();
    assert_eq!(claimed.iter().map(|task| task.task_type.as_str()).collect::<Vec<_>>(), ["report"]);
}

async fn the_background_enqueues_what_comes_due(team: Team) {
    let k = team.reopen(|config| config.background(true)).await;
    put(&team.k, hourly("h")).await;
    team.clock.advance(HOUR);
    let mut looks = 0;
    while all(&team.k).await.is_empty() {
        looks += 1;
        assert!(looks < 1_000, "nobody has enqueued it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(times(&team.k, "h").await, [team.clock.now()]);
    k.close().await;
}
