use super::*;
use chrono::Timelike;

fn at(text: &str) -> Micros {
    text.parse::<DateTime<Utc>>().unwrap().timestamp_micros()
}

fn cron(pattern: &str, timezone: &str) -> Times {
    let rhythm =
        Rhythm { every: None, cron: Some(pattern.to_owned()), timezone: timezone.to_owned(), start: None };
    rhythm.times().unwrap()
}

fn every(seconds: i64, start: &str) -> Times {
    Times::Every { every: seconds * 1_000_000, start: at(start) }
}

/// The due times in this span of time.
fn between(times: &Times, from: &str, to: &str) -> Vec<String> {
    let next = |here: &Micros| times.next_after(*here);
    let dues = std::iter::successors(times.next_after(at(from) - 1), next).take_while(|due| *due < at(to));
    dues.map(|due| time(due).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)).collect()
}

#[test]
fn a_span_counts_from_its_start_and_not_from_the_look() {
    let times = every(3_600, "2026-03-01T09:07:05.123456Z");
    let next = |after: &str| times.next_after(at(after)).unwrap();
    assert_eq!(next("2026-03-01T09:07:05.123455Z"), at("2026-03-01T09:07:05.123456Z"), "the start is one");
    assert_eq!(next("2026-03-01T09:07:05.123456Z"), at("2026-03-01T10:07:05.123456Z"));
    assert_eq!(next("2026-03-01T10:07:05.123455Z"), at("2026-03-01T10:07:05.123456Z"));
    assert_eq!(next("2026-03-08T20:00:00Z"), at("2026-03-08T20:07:05.123456Z"));
    assert_eq!(next("2020-01-01T00:00:00Z"), at("2026-03-01T09:07:05.123456Z"));
}

#[test]
fn a_pattern_goes_by_the_wall_clock_of_its_zone() {
    let nine = cron("0 9 * * MON", "Asia/Ulaanbaatar");
    let expected = ["2026-03-02T01:00:00Z", "2026-03-09T01:00:00Z"];
    assert_eq!(between(&nine, "2026-03-01T00:00:00Z", "2026-03-15T00:00:00Z"), expected);
    let nine = cron("0 9 * * MON", "UTC");
    assert_eq!(nine.next_after(at("2026-03-02T08:59:59.999999Z")), Some(at("2026-03-02T09:00:00Z")));
    assert_eq!(nine.next_after(at("2026-03-02T09:00:00Z")), Some(at("2026-03-09T09:00:00Z")));
    assert_eq!(nine.next_after(at("2026-03-02T09:00:00.000001Z")), Some(at("2026-03-09T09:00:00Z")));
    let last = cron("0 0 L * *", "UTC");
    let expected = ["2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z"];
    assert_eq!(between(&last, "2028-02-01T00:00:00Z", "2028-04-01T00:00:00Z"), expected);
    assert_eq!(between(&cron("@daily", "UTC"), "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z").len(), 2);
}

#[test]
fn nothing_is_due_before_the_start() {
    let start = at("2026-03-09T09:00:00Z");
    let (cron, timezone) = (Some("0 9 * * *".to_owned()), "UTC".to_owned());
    let times = Rhythm { every: None, cron, timezone, start: Some(start) }.times().unwrap();
    assert_eq!(times.next_after(0), Some(start));
    assert_eq!(times.next_after(start), Some(at("2026-03-10T09:00:00Z")));
}

/// Put forward at 01:00Z on the 29th of March, put back at 01:00Z on the 25th of October.
#[test]
fn berlin() {
    let half_past_two = cron("30 2 * * *", "Europe/Berlin");
    let spring = between(&half_past_two, "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z");
    assert_eq!(spring, ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    let autumn = between(&half_past_two, "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z");
    assert_eq!(autumn, ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    let often = cron("*/30 * * * *", "Europe/Berlin");
    let spring = between(&often, "2026-03-29T00:30:00Z", "2026-03-29T02:00:00Z");
    assert_eq!(spring, ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]);
    let autumn = between(&often, "2026-10-25T00:00:00Z", "2026-10-25T02:30:00Z");
    assert_eq!(autumn, ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z"]);
}

/// Put forward at 07:00Z on the 8th of March, put back at 06:00Z on the 1st of November.
#[test]
fn new_york() {
    let spring = cron("30 2 * * *", "America/New_York");
    let spring = between(&spring, "2026-03-07T00:00:00Z", "2026-03-10T00:00:00Z");
    assert_eq!(spring, ["2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]);
    let autumn = cron("30 1 * * *", "America/New_York");
    let autumn = between(&autumn, "2026-10-31T00:00:00Z", "2026-11-03T00:00:00Z");
    assert_eq!(autumn, ["2026-10-31T05:30:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]);
}

/// By half an hour: put back at 15:00Z on the 4th of April, put forward at 15:30Z on the 3rd of October.
#[test]
fn lord_howe() {
    let autumn = cron("45 1 * * *", "Australia/Lord_Howe");
    let autumn = between(&autumn, "2026-04-03T00:00:00Z", "2026-04-06T00:00:00Z");
    assert_eq!(autumn, ["2026-04-03T14:45:00Z", "2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]);
    let spring = cron("15 2 * * *", "Australia/Lord_Howe");
    let spring = between(&spring, "2026-10-02T00:00:00Z", "2026-10-05T00:00:00Z");
    assert_eq!(spring, ["2026-10-02T15:45:00Z", "2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"]);
}

/// A whole day that a country never had: all that was due on it is due once, when the next day begins.
#[test]
fn a_day_that_does_not_exist() {
    let noon = cron("0 12 * * *", "Pacific/Apia");
    let expected = ["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"];
    assert_eq!(between(&noon, "2011-12-29T12:00:00Z", "2011-12-31T12:00:00Z"), expected);
}

/// The definition itself, minute by minute: a time is due when the clock shows it or a later one for the first time.
#[test]
fn each_time_of_the_clock_is_due_once() {
    let patterns = ["*/7 * * * *", "30 2 * * *", "15 1,2,3 * * *", "0 * * * SUN", "59 23 * * *", "0 0 * * *"];
    let changes = [
        ("Europe/Berlin", "2026-03-28T00:00:00Z"),
        ("Europe/Berlin", "2026-10-24T00:00:00Z"),
        ("America/New_York", "2026-03-07T00:00:00Z"),
        ("America/New_York", "2026-10-31T00:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-03T12:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-02T12:00:00Z"),
        // At midnight.
        ("America/Santiago", "2026-09-05T00:00:00Z"),
        ("America/Santiago", "2026-04-04T00:00:00Z"),
        ("Asia/Ulaanbaatar", "2026-03-28T00:00:00Z"),
    ];
    for (name, from) in changes {
        let zone = super::zone(name).unwrap();
        let begin: DateTime<Utc> = from.parse().unwrap();
        for pattern in patterns {
            let parsed = parse(pattern).unwrap();
            let mut shown = (begin - TimeDelta::minutes(1)).with_timezone(&zone).naive_local();
            let mut expected = vec![];
            for minute in 0..3 * 24 * 60 {
                let moment = begin + TimeDelta::minutes(minute);
                let shows = moment.with_timezone(&zone).naive_local();
                let mut due = false;
                while shown < shows {
                    shown += TimeDelta::minutes(1);
                    due |= parsed.is_time_matching(&shown.and_utc()).unwrap();
                }
                if due {
                    expected.push(moment.timestamp_micros());
                }
            }
            let times = cron(pattern, name);
            let end = (begin + TimeDelta::days(3)).timestamp_micros();
            let first = times.next_after(begin.timestamp_micros() - 1);
            let found: Vec<_> = std::iter::successors(first, |due| times.next_after(*due))
                .take_while(|due| *due < end)
                .collect();
            assert_eq!(found, expected, "{pattern} in {name} from {from}");
            // From wherever it is asked, the answer is the next one.
            for minute in (0..3 * 24 * 60 - 60).step_by(13) {
                let after = (begin + TimeDelta::minutes(minute)).with_second(7).unwrap().timestamp_micros();
                let next = expected.iter().find(|due| **due > after).copied();
                assert_eq!(times.next_after(after).filter(|due| *due < end), next, "{pattern} in {name}");
            }
        }
    }
}

#[test]
fn the_last_one_is_found_after_any_downtime() {
    let kinds = [
        (cron("*/10 * * * *", "Europe/Berlin"), "2026-01-01T00:00:00Z"),
        (cron("* 4 29 2 *", "UTC"), "2020-02-29T04:00:00Z"),
        (every(1, "2026-01-01T00:00:00Z"), "2026-01-01T00:00:00Z"),
        (every(604_800, "2026-01-01T00:00:00Z"), "2026-01-01T00:00:00Z"),
    ];
    for (times, first) in kinds {
        let first = at(first);
        assert_eq!(times.last_until(first, first), first);
        let mut walked = first;
        for hours in [1, 5, 24, 170, 2_000, 30_000] {
            let until = first + hours * 3_600_000_000 + 17;
            // Seconds are too many to walk through.
            if matches!(times, Times::Every { every: 1_000_000, .. }) {
                walked = first + hours * 3_600_000_000;
            } else {
                walked = times.walk(walked, until);
            }
            assert_eq!(times.last_until(first, until), walked, "{times:?} after {hours} hours");
        }
    }
}

#[test]
fn what_cannot_be_read_says_what_may_be() {
    let refused = |cron: &str, timezone: &str| {
        let rhythm = Rhythm { every: None, cron: Some(cron.into()), timezone: timezone.into(), start: None };
        let error = rhythm.times().unwrap_err();
        assert_eq!(error.code(), "input.invalid");
        error.message().to_owned()
    };
    let hour = refused("0 25 * * MON", "UTC");
    assert_eq!(
        hour,
        "cron is \"0 25 * * MON\"; allowed: as its hour, which is \"25\": 0 to 23; *; and lists, ranges and steps of them"
    );
    assert!(refused("61 * * * *", "UTC").contains("as its minute, which is \"61\""));
    assert!(refused("* * 0 * *", "UTC").contains("as its day, which is \"0\""));
    assert!(refused("* * * FOO *", "UTC").contains("as its month, which is \"FOO\""));
    assert!(refused("* * * * MOON", "UTC").contains("as its weekday, which is \"MOON\""));
    for wrong in ["", "* * * *", "* * * * * *", "@fortnightly", "0 9 * * MON 2026", "@daily *"] {
        assert!(refused(wrong, "UTC").contains("five fields, minute hour day month weekday"), "{wrong:?}");
    }
    assert!(refused("0 9 * * *", "Asia/Ulaanbatar").ends_with("did you mean \"Asia/Ulaanbaatar\"?"));
    assert!(refused("0 9 * * *", "europe/berlin").ends_with("did you mean \"Europe/Berlin\"?"));
    assert!(refused("0 9 * * *", "Mars").contains("an IANA time zone"));
}
