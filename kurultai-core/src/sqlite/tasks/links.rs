//! The bits of the column `links`: what few tasks have, so that the others are not asked for it.

/// One of them, as a part of a statement's text.
macro_rules! links {
    // It depends on others.
    (prerequisites) => {
        "1"
    };
    // Others depend on it.
    (dependents) => {
        "2"
    };
    (children) => {
        "4"
    };
    // The condition of an index, which a parameter instead of a number would keep from being used.
    (dead_letter) => {
        "8"
    };
    // A later task has taken its unique key.
    (gave_up_key) => {
        "16"
    };
    // Its attempts may take only so long.
    (max_runtime) => {
        "32"
    };
}
pub(super) use links;

/// `links!(max_runtime)` as a value.
pub(super) const MAX_RUNTIME: i64 = 32;
