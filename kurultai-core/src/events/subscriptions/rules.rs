//! What becomes of a subscription. Pure: the handle reads a row, lets these decide, and stores what they say where the row is
//! still the one that was read.

use super::types::{DeadEvent, NewSubscription, Row};
use crate::{
    clock::{Micros, micros, time},
    error::{Error, Kind, Result},
    events::Event,
};
use std::time::Duration;

/// So often events are given that nobody acknowledges.
pub const MAX_TRIES: u32 = 5;
/// So often of those all that were given the first time; then the first alone, so that no other is taken for the one that
/// cannot be handled.
pub(crate) const WHOLE_TRIES: u32 = 3;
/// Over so many events that do not match the cursor moves by itself.
pub(crate) const SKIP: i64 = 1_000;

/// How somebody ends having events, or goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Everything up to here is done.
    Ack(i64),
    /// They reached nobody, or nobody could finish with them: this try does not count.
    Back,
    /// They are to be given again, because of this and not before this time has passed.
    Fail(String, Duration),
    /// They are worked on, for so long at least.
    Renew(Duration),
}

/// A subscription of this name from now on. `start` is where one begins that was not there.
pub(crate) fn defined(new: &NewSubscription, before: Option<&Row>, start: i64, now: Micros) -> Row {
    let fresh = Row {
        name: new.name.clone(),
        agent: new.agent.clone(),
        topic: new.topic.clone(),
        source: new.source.clone(),
        filter: new.filter.clone(),
        batch: micros(new.batch),
        quiet: micros(new.quiet),
        active: true,
        cursor: start,
        fence: now,
        held_until: None,
        tries: 0,
        error: None,
        revision: now,
        created_at: now,
        updated_at: now,
    };
    let Some(before) = before else { return fresh };
    let same = fresh.takes(before);
    Row {
        active: before.active,
        cursor: before.cursor,
        fence: before.fence,
        held_until: before.held_until,
        // Of other events the first may be another.
        tries: if same { before.tries } else { 0 },
        error: before.error.clone().filter(|_| same),
        revision: before.revision,
        created_at: before.created_at,
        updated_at: before.updated_at,
        ..fresh
    }
}

impl Row {
    /// Takes the same events.
    fn takes(&self, other: &Row) -> bool {
        (&self.topic, &self.source, &self.filter) == (&other.topic, &other.source, &other.filter)
    }

    /// Higher than any before, also of a subscription of this name that was removed.
    fn next_fence(&self, now: Micros) -> i64 {
        now.max(self.fence + 1)
    }
}

pub(crate) fn is_free(row: &Row, now: Micros) -> bool {
    row.held_until.is_none_or(|until| until <= now)
}

/// Somebody has its next events.
pub(crate) fn held(row: &Row, hold: Duration, now: Micros) -> Row {
    Row {
        fence: row.next_fence(now),
        held_until: Some(now.saturating_add(micros(hold))),
        tries: row.tries + 1,
        ..row.clone()
    }
}

/// Of whoever has them under this fence; `None` where it had ended so before. Fails with `event.stale_consumer`.
pub(crate) fn settled(row: &Row, fence: i64, ending: &Ending, now: Micros) -> Result<Option<Row>> {
    let ours = row.fence == fence;
    let free = Row { held_until: None, ..row.clone() };
    if ours && !is_free(row, now) {
        return Ok(Some(match ending {
            Ending::Ack(to) => Row { cursor: row.cursor.max(*to), tries: 0, error: None, ..free },
            Ending::Back => Row { tries: row.tries.saturating_sub(1), ..free },
            Ending::Fail(why, after) if after.is_zero() => Row { error: Some(why.clone()), ..free },
            // Nobody's until then.
            Ending::Fail(why, after) => Row {
                error: Some(why.clone()),
                fence: row.next_fence(now),
                held_until: Some(now.saturating_add(micros(*after))),
                ..free
            },
            Ending::Renew(hold) => Row { held_until: Some(now.saturating_add(micros(*hold))), ..free },
        }));
    }
    let ended = ours && row.held_until.is_none();
    let repeated = match ending {
        Ending::Ack(to) => row.cursor >= *to,
        Ending::Back | Ending::Fail(..) => true,
        Ending::Renew(_) => false,
    };
    if ended && repeated {
        return Ok(None);
    }
    let why = match () {
        () if !ours => "they were given to another consumer, or the subscription was rewound",
        () if ended => "they were given back",
        () => "its hold is over",
    };
    let message = format!(
        "this consumer of subscription {:?} no longer has its events: {why}; the cursor stays at {}",
        row.name, row.cursor
    );
    Err(Error::new(Kind::LeaseLost, "event.stale_consumer", message))
}

/// It goes on behind the event of this number, and who has events of it has them no more.
pub(crate) fn moved(row: &Row, to: i64, now: Micros) -> Row {
    Row { cursor: to, fence: row.next_fence(now), held_until: None, tries: 0, error: None, ..row.clone() }
}

/// It goes on without its next event, which nobody has acknowledged.
pub(crate) fn buried(row: &Row, event: &Event, now: Micros) -> (Row, DeadEvent) {
    let Event { seq, topic, .. } = event;
    let (tries, error) = (row.tries, row.error.clone());
    let dead = DeadEvent { seq: *seq, topic: topic.clone(), tries, error, at: time(now) };
    (moved(row, *seq, now), dead)
}

/// How many of its next events are given, where so many are wanted.
pub(crate) fn most(row: &Row, wanted: usize) -> usize {
    if row.tries >= WHOLE_TRIES { 1 } else { wanted }
}

/// When the events that there are can be given. `None`: now.
pub(crate) fn waits(row: &Row, events: &[Event], full: bool, now: Micros) -> Option<Micros> {
    // What was given before is given as it is.
    if full || row.tries > 0 || (row.batch == 0 && row.quiet == 0) {
        return None;
    }
    let at = |event: Option<&Event>, span: Micros| {
        event.filter(|_| span > 0).map(|event| event.created_at.timestamp_micros().saturating_add(span))
    };
    let over = [at(events.first(), row.batch), at(events.last(), row.quiet)].into_iter().flatten().min();
    over.filter(|over| *over > now)
}

/// Whether what it has yet to look at is still there.
pub(crate) fn check_cursor(row: &Row, first: i64) -> Result<()> {
    if row.cursor + 1 >= first {
        return Ok(());
    }
    let message = format!(
        "events {} to {} were removed by retention before subscription {:?} took them; rewind it to {}, which the first that is left follows",
        row.cursor + 1,
        first - 1,
        row.name,
        first - 1
    );
    Err(Error::conflict("event.cursor_too_old", message))
}

pub(crate) fn not_found<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let hint = match crate::ids::nearest(name, known.map(|known| (known, known))) {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None => "subscribe first".to_owned(),
    };
    Error::new(Kind::NotFound, "subscription.not_found", format!("there is no subscription {name:?}; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn row() -> Row {
        defined(&NewSubscription::new("s", "a.**"), None, 10, SECOND)
    }

    fn event(seq: i64, at: Micros) -> Event {
        Event {
            seq,
            topic: "a".into(),
            source: None,
            task_id: None,
            task_type: None,
            correlation_id: None,
            payload: None,
            created_at: time(at),
        }
    }

    fn code(result: Result<Option<Row>>) -> &'static str {
        result.unwrap_err().code()
    }

    #[test]
    fn only_whoever_has_them_moves_the_cursor() {
        let first = held(&row(), Duration::from_secs(30), SECOND);
        assert!(!is_free(&first, 31 * SECOND - 1) && is_free(&first, 31 * SECOND));
        let acked = settled(&first, first.fence, &Ending::Ack(12), 2 * SECOND).unwrap().unwrap();
        assert_eq!((acked.cursor, acked.tries, acked.held_until), (12, 0, None));
        assert_eq!(
            settled(&acked, first.fence, &Ending::Ack(12), 3 * SECOND).unwrap(),
            None,
            "it is repeated"
        );
        assert_eq!(code(settled(&acked, first.fence, &Ending::Ack(13), 3 * SECOND)), "event.stale_consumer");
        assert_eq!(code(settled(&first, first.fence, &Ending::Ack(12), 31 * SECOND)), "event.stale_consumer");
        let second = held(&first, Duration::from_secs(30), 31 * SECOND);
        assert!(second.fence > first.fence && second.tries == 2);
        let failed = Ending::Fail("x".into(), Duration::ZERO);
        for late in [Ending::Ack(12), Ending::Back, failed, Ending::Renew(Duration::ZERO)] {
            assert_eq!(code(settled(&second, first.fence, &late, 32 * SECOND)), "event.stale_consumer");
        }
        let renewed = Ending::Renew(Duration::from_secs(60));
        let renewed = settled(&second, second.fence, &renewed, 32 * SECOND).unwrap().unwrap();
        assert_eq!((renewed.held_until, renewed.tries), (Some(92 * SECOND), 2));
    }

    #[test]
    fn a_try_that_reached_nobody_does_not_count() {
        let held = held(&row(), Duration::from_secs(30), SECOND);
        let back = settled(&held, held.fence, &Ending::Back, SECOND).unwrap().unwrap();
        assert_eq!((back.tries, back.held_until, back.cursor), (0, None, 10));
        let fail =
            |after| settled(&held, held.fence, &Ending::Fail("no".into(), after), SECOND).unwrap().unwrap();
        let failed = fail(Duration::ZERO);
        assert_eq!((failed.tries, failed.error.as_deref(), failed.held_until), (1, Some("no"), None));
        let later = fail(Duration::from_secs(9));
        assert!(!is_free(&later, 10 * SECOND - 1) && is_free(&later, 10 * SECOND));
        assert_eq!(code(settled(&later, held.fence, &Ending::Ack(12), 2 * SECOND)), "event.stale_consumer");
        let (rest, dead) = buried(&Row { tries: MAX_TRIES, ..failed }, &event(11, 0), 5 * SECOND);
        assert_eq!((rest.cursor, rest.tries, rest.error), (11, 0, None));
        assert_eq!((dead.seq, dead.tries, dead.error.as_deref()), (11, MAX_TRIES, Some("no")));
    }

    #[test]
    fn what_cannot_be_handled_is_found_by_itself() {
        let at = |tries| most(&Row { tries, ..row() }, 100);
        assert_eq!([0, 1, 2, 3, 4].map(at), [100, 100, 100, 1, 1]);
    }

    #[test]
    fn another_definition_goes_on_where_it_was() {
        let before = Row { cursor: 40, tries: 3, active: false, ..row() };
        let same =
            defined(&NewSubscription::new("s", "a.**").quiet(Duration::from_secs(2)), Some(&before), 99, 0);
        assert_eq!((same.cursor, same.tries, same.quiet, same.active), (40, 3, 2 * SECOND, false));
        let other = defined(&NewSubscription::new("s", "b"), Some(&before), 99, 0);
        assert_eq!((other.cursor, other.tries, other.fence), (40, 0, before.fence));
    }

    #[test]
    fn a_burst_is_given_together() {
        let burst = [event(11, 10 * SECOND), event(12, 14 * SECOND)];
        let of = |batch, quiet| Row { batch: batch * SECOND, quiet: quiet * SECOND, ..row() };
        assert_eq!(waits(&of(0, 0), &burst, false, 0), None);
        assert_eq!(waits(&of(5, 0), &burst, false, 14 * SECOND), Some(15 * SECOND), "after the first");
        assert_eq!(waits(&of(5, 0), &burst, false, 15 * SECOND), None);
        assert_eq!(waits(&of(0, 3), &burst, false, 16 * SECOND), Some(17 * SECOND), "after the last");
        assert_eq!(waits(&of(5, 3), &burst, false, 14 * SECOND), Some(15 * SECOND), "no longer than that");
        assert_eq!(waits(&of(60, 3), &burst, false, 14 * SECOND), Some(17 * SECOND));
        assert_eq!(waits(&of(60, 3), &burst, true, 14 * SECOND), None, "as many as are wanted");
        assert_eq!(
            waits(&Row { tries: 1, ..of(60, 3) }, &burst, false, 14 * SECOND),
            None,
            "they were given before"
        );
    }

    #[test]
    fn a_rewound_subscription_is_taken_from_whoever_has_it() {
        let held = held(&row(), Duration::from_secs(30), SECOND);
        let moved = moved(&held, 3, 2 * SECOND);
        assert_eq!((moved.cursor, moved.tries), (3, 0));
        assert_eq!(code(settled(&moved, held.fence, &Ending::Ack(12), 3 * SECOND)), "event.stale_consumer");
        assert_eq!(check_cursor(&moved, 4).map_err(|error| error.code()), Ok(()));
        assert_eq!(check_cursor(&moved, 5).map_err(|error| error.code()), Err("event.cursor_too_old"));
    }
}
