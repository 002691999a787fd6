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
pub(in crate::neo4j) use {clock, finished, hot_lock, lock, locked, micros, native};
