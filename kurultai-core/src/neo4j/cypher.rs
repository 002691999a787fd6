//! What statements have in common.

/// The lock, and the clock read once it is held: the statement's own start may lie long before.
macro_rules! locked {
    () => {
        "
MATCH (ns:Namespace {namespace: $ns}) SET ns._lock = 0
WITH ns, datetime.realtime() AS c
WITH ns, coalesce($now, c.epochSeconds * 1000000 + c.microsecond) AS now
WITH ns, now, datetime({epochSeconds: now / 1000000, nanosecond: now % 1000000 * 1000}) AS at
"
    };
}
macro_rules! lock {
    () => {
        concat!("CYPHER 5", $crate::neo4j::cypher::locked!())
    };
}
/// For statements that never stop. They ask for seeks in the indexes of tasks, so the counts of nodes do not matter to
/// them; but the server would plan them anew every ten seconds while those grow, and a plan takes half a second.
macro_rules! hot_lock {
    () => {
        concat!("CYPHER 5 replan=skip", $crate::neo4j::cypher::locked!())
    };
}
/// For statements that lock nothing.
macro_rules! clock {
    () => {
        "CYPHER 5
WITH datetime.realtime() AS c
WITH coalesce($now, c.epochSeconds * 1000000 + c.microsecond) AS now
"
    };
}
/// A native DATETIME of microseconds.
macro_rules! native {
    ($micros:literal) => {
        concat!(
            "datetime({epochSeconds: (",
            $micros,
            ") / 1000000, nanosecond: (",
            $micros,
            ") % 1000000 * 1000})"
        )
    };
}
macro_rules! micros {
    ($time:literal) => {
        concat!("(", $time, ".epochSeconds * 1000000 + ", $time, ".microsecond)")
    };
}
macro_rules! finished {
    () => {
        "['completed', 'dead_letter', 'cancelled', 'expired']"
    };
}
/// A rank in a sort key: [`RANK`](crate::tasks::order::RANK).
macro_rules! rank {
    () => {
        "1152921504606846976"
    };
}
/// The lightest weight in a sort key: [`LIGHTEST`](crate::tasks::order::LIGHTEST).
macro_rules! lightest {
    () => {
        "1125899906842624"
    };
}
pub(in crate::neo4j) use {clock, finished, hot_lock, lightest, lock, locked, micros, native, rank};

#[cfg(test)]
mod tests {
    use crate::tasks::order::{LIGHTEST, RANK};

    #[test]
    fn keys_are_made_of_the_same_numbers_in_both_languages() {
        assert_eq!((rank!().parse(), lightest!().parse()), (Ok(RANK), Ok(LIGHTEST)));
    }
}
