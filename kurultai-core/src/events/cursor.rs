//! What a reader may ask for, and from where it may go on.

use super::{
    reader::Wanted,
    topic::Pattern,
    types::{EventFilter, MOST_EVENTS},
};
use crate::{
    check,
    error::{Error, Kind, Result},
};

pub(super) fn checked(filter: EventFilter) -> Result<Wanted> {
    if !(1..=10_000).contains(&filter.limit) {
        return Err(Error::invalid("limit", filter.limit, "1 to 10000"));
    }
    if !(0..MOST_EVENTS).contains(&filter.after_seq) {
        return Err(Error::invalid("after_seq", filter.after_seq, "0, or the seq of an event"));
    }
    if let Some(task_type) = &filter.task_type {
        check::text("type", task_type, 128)?;
    }
    filter.since.map_or(Ok(()), check::since)?;
    let pattern = filter.topic.as_deref().map(Pattern::new).transpose()?;
    Ok(Wanted { filter, pattern, topics: &[], conditions: None })
}

/// Whether a reader may go on after this `seq`. 0 is no cursor yet, but the wish to begin with what there is.
pub(super) fn check_cursor(after_seq: i64, first: i64) -> Result<()> {
    if after_seq == 0 || after_seq + 1 >= first {
        return Ok(());
    }
    let message = format!(
        "events {} to {} were removed by retention; go on with after_seq {}, which the first that is left follows",
        after_seq + 1,
        first - 1,
        first - 1
    );
    Err(Error::new(Kind::Conflict, "event.cursor_too_old", message))
}
