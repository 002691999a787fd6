use super::*;
use crate::schedules::{NewSchedule, Schedule};
use std::time::Duration;

const SECOND: Micros = 1_000_000;
const HOUR: Micros = 3_600 * SECOND;

fn defaults() -> TaskDefaults {
    TaskDefaults::from_env().unwrap()
}

/// Hourly, put at zero.
fn hourly(change: impl FnOnce(NewSchedule) -> NewSchedule) -> Entry {
    let put = NewSchedule::new("s", NewTask::new("report")).every(Duration::from_secs(3_600));
    change(put).entry(None, 0).unwrap()
}

fn ticked(entry: &Entry, busy: bool, now: Micros) -> Tick {
    tick(entry, busy, now, &defaults()).unwrap().expect("it is due")
}

fn keys(tick: &Tick) -> Vec<String> {
    tick.keys().map(str::to_owned).collect()
}

fn at_hour(hour: i64) -> String {
    key("s", hour * HOUR)
}

#[test]
fn a_time_has_one_task_under_its_key() {
    let entry = hourly(|put| put);
    assert_eq!((entry.next_due, entry.due_at), (Some(HOUR), Some(HOUR)), "the put itself is not due");
    assert_eq!(tick(&entry, false, HOUR - 1, &defaults()).unwrap(), None);
    let tick = ticked(&entry, false, HOUR);
    assert_eq!(keys(&tick), ["schedule:s:1970-01-01T01:00:00Z"]);
    assert_eq!((tick.next_due, tick.last_due, tick.last_skipped), (Some(2 * HOUR), Some(HOUR), None));
    assert_eq!(tick.last_task.as_ref(), Some(&tick.tasks[0].id));
    assert_eq!(key("s", 123_456), "schedule:s:1970-01-01T00:00:00.123456Z");
}

#[test]
fn a_late_look_moves_no_time() {
    let entry = hourly(|put| put);
    let tick = ticked(&entry, false, HOUR + 1_799 * SECOND);
    assert_eq!((keys(&tick), tick.next_due), (vec![at_hour(1)], Some(2 * HOUR)));
}

#[test]
fn a_week_of_downtime() {
    let now = 168 * HOUR + HOUR / 2;
    let one = ticked(&hourly(|put| put), false, now);
    assert_eq!((keys(&one), one.last_due), (vec![at_hour(168)], Some(168 * HOUR)));
    let skip = ticked(&hourly(|put| put.catch_up(CatchUp::Skip)), false, now);
    assert_eq!((keys(&skip), skip.last_due, skip.last_skipped), (vec![], None, Some(168 * HOUR)));
    for tick in [one, skip] {
        assert_eq!(tick.next_due, Some(169 * HOUR));
    }
    let mut entry = hourly(|put| put.catch_up(CatchUp::All));
    let mut all = vec![];
    while let Some(tick) = tick(&entry, true, now, &defaults()).unwrap() {
        assert!(tick.tasks.len() <= MOST);
        all.extend(keys(&tick));
        (entry.next_due, entry.due_at) = (tick.next_due, tick.due_at);
    }
    assert_eq!(all, (1..=168).map(at_hour).collect::<Vec<_>>());
    assert_eq!(entry.next_due, Some(169 * HOUR));
}

#[test]
fn what_is_a_minute_late_is_not_missed() {
    let entry = hourly(|put| put.catch_up(CatchUp::Skip));
    assert_eq!(keys(&ticked(&entry, false, 5 * HOUR + PUNCTUAL)), [at_hour(5)]);
    assert!(ticked(&entry, false, 5 * HOUR + PUNCTUAL + 1).tasks.is_empty());
}

#[test]
fn a_time_that_comes_while_the_last_task_is_unfinished() {
    let skip = ticked(&hourly(|put| put), true, HOUR);
    assert_eq!((skip.tasks.len(), skip.last_skipped, skip.last_due), (0, Some(HOUR), None));
    assert_eq!((skip.next_due, skip.busy), (Some(2 * HOUR), true));
    let allow = ticked(&hourly(|put| put.overlap(Overlap::Allow)), true, HOUR);
    assert_eq!(keys(&allow), [at_hour(1)]);
    assert_eq!(run_now(&hourly(|put| put), true, &defaults()).unwrap(), None);
}

#[test]
fn a_run_now_moves_nothing() {
    let entry = hourly(|put| put);
    let tick = run_now(&entry, false, &defaults()).unwrap().unwrap();
    assert_eq!((tick.next_due, tick.due_at, tick.last_due), (entry.next_due, entry.due_at, None));
    assert_eq!(keys(&tick), [format!("schedule:s:now:{}", tick.tasks[0].id)]);
}

#[test]
fn jitter_is_drawn_once_for_each_time_and_less_than_it_may_be() {
    let most = 600 * SECOND;
    let entry = hourly(|put| put.jitter(Duration::from_secs(600)));
    let mut drawn = vec![];
    for hour in 1..=200 {
        let jitter = jitter("s", hour * HOUR, most);
        assert!((0..most).contains(&jitter));
        drawn.push(jitter);
    }
    assert_eq!(drawn[0], jitter("s", HOUR, most));
    assert_ne!(drawn[0], jitter("t", HOUR, most));
    let mean = drawn.iter().sum::<i64>() / 200;
    assert!((most / 3..most * 2 / 3).contains(&mean), "{mean}");
    // Due at its time and its own jitter; the one whose jitter is ahead is not missed, and not yet there.
    assert_eq!(entry.due_at, Some(HOUR + drawn[0]));
    assert_eq!(tick(&entry, false, HOUR + drawn[0] - 1, &defaults()).unwrap(), None);
    let now = 100 * HOUR + drawn[99];
    assert_eq!(keys(&ticked(&entry, false, now - 1)), [at_hour(99)]);
    assert_eq!(keys(&ticked(&entry, false, now)), [at_hour(100)]);
    let tick = ticked(&entry, false, now);
    assert_eq!(tick.due_at, Some(101 * HOUR + drawn[100]));
}

#[test]
fn a_put_keeps_what_its_name_has_been_through() {
    let mut before = hourly(|put| put.catch_up(CatchUp::All));
    before.last_due = Some(7);
    before.last_task = Some("t".into());
    let put = |change: fn(NewSchedule) -> NewSchedule, before: &Entry, now| {
        let again = NewSchedule::new("s", NewTask::new("report")).every(Duration::from_secs(3_600));
        change(again.catch_up(CatchUp::All)).entry(Some(before), now).unwrap()
    };
    let later = 168 * HOUR + 5;
    assert_eq!(put(|put| put, &before, later), before, "nothing has changed, and what was missed is due");
    let other = put(|put| NewSchedule { task: NewTask::new("other"), ..put }, &before, later);
    assert_eq!((other.next_due, other.last_due, other.last_task), (Some(HOUR), Some(7), Some("t".into())));
    let slower = put(|put| put.every(Duration::from_secs(7_200)), &before, later);
    assert_eq!(
        (slower.rhythm.start, slower.next_due),
        (Some(0), Some(170 * HOUR)),
        "counted from the first put"
    );
    let paused = paused(before.clone(), true, later).unwrap();
    assert_eq!((paused.paused, paused.next_due, paused.due_at), (true, None, None));
    for again in
        [put(|put| put, &paused, later), put(|put| put.every(Duration::from_secs(60)), &paused, later)]
    {
        assert_eq!((again.paused, again.next_due), (true, None));
    }
    let unpaused = super::paused(paused, false, later).unwrap();
    assert_eq!((unpaused.paused, unpaused.next_due), (false, Some(169 * HOUR)));
}

#[test]
fn the_next_three_times_are_told() {
    let entry = hourly(|put| put);
    assert_eq!(upcoming(&entry, 5).unwrap(), [HOUR, 2 * HOUR, 3 * HOUR]);
    assert_eq!(upcoming(&entry, 90 * HOUR).unwrap(), [HOUR, 91 * HOUR, 92 * HOUR], "not looked at for long");
    let paused = paused(entry, true, 5).unwrap();
    let schedule = Schedule::of(paused, 5).unwrap();
    assert_eq!((schedule.upcoming.len(), schedule.next_due), (0, None));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let put = || NewSchedule::new("s", NewTask::new("report")).every(Duration::from_secs(3_600));
    let refused = |schedule: NewSchedule| {
        let checked = schedule.check(&defaults()).and_then(|()| schedule.entry(None, 0));
        let error = checked.unwrap_err();
        assert_eq!(error.code(), "input.invalid");
        error.message().split(" is ").next().unwrap().to_owned()
    };
    let task = |task: NewTask| NewSchedule { task, ..put() };
    let report = || NewTask::new("report");
    let cron = |pattern: &str| NewSchedule { every: None, ..put() }.cron(pattern);
    for (field, schedule) in [
        ("name", NewSchedule { name: String::new(), ..put() }),
        ("name", NewSchedule { name: "x".repeat(129), ..put() }),
        ("every", NewSchedule { every: None, ..put() }),
        ("cron", put().cron("0 9 * * *")),
        ("every", put().every(Duration::from_millis(999))),
        ("every", put().every(Duration::from_secs(11 * 365 * 86_400))),
        ("timezone", put().timezone("Europe/Berlin")),
        ("timezone", cron("0 9 * * *").timezone("Mars")),
        ("cron", cron("0 0 30 2 *")),
        ("cron", cron("0 9 * *")),
        ("overlap", put().catch_up(CatchUp::All).overlap(Overlap::Skip)),
        ("jitter", put().jitter(Duration::from_secs(3_600))),
        ("jitter", cron("0,5 9 * * *").jitter(Duration::from_secs(300))),
        ("type", task(NewTask::new(""))),
        ("priority_weight", task(report().priority_weight(2.0))),
        ("unique_key", task(report().unique_key("k"))),
        ("parent", task(report().parent("p"))),
        ("depends_on", task(report().depends_on(["p"]))),
        ("wait_for", task(report().wait_for(crate::tasks::WaitFor::Any))),
        ("run_at", task(report().delay(Duration::from_secs(1)))),
        ("expires_at", task(report().expiry(crate::tasks::Expiry::At(time(5))))),
    ] {
        assert_eq!(refused(schedule.clone()), field, "{schedule:?}");
    }
    cron("0,5 9 * * *").jitter(Duration::from_secs(299)).entry(None, 0).unwrap();
    let all = put().catch_up(CatchUp::All).entry(None, 0).unwrap();
    assert_eq!(all.overlap, Overlap::Allow);
}

#[test]
fn a_key_that_is_taken_stands_for_its_time() {
    let entry = hourly(|put| put.catch_up(CatchUp::All));
    let tick = ticked(&entry, false, 3 * HOUR);
    let taken = |hour| vec![(at_hour(hour), format!("of {hour}"))];
    let without = tick.clone().without(&taken(2));
    assert_eq!((keys(&without), &without.last_task), (vec![at_hour(1), at_hour(3)], &tick.last_task));
    let without = tick.without(&taken(3));
    assert_eq!((keys(&without), without.last_task.as_deref()), (vec![at_hour(1), at_hour(2)], Some("of 3")));
    let known = ["report", "rapport"].into_iter();
    assert!(not_found("reprot", known).message().ends_with("did you mean \"report\"?"));
}
