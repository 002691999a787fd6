//! Which names and words of other programs stand for which of ours. ADOPTING.md shows these tables to people.

use crate::tasks::Status;

/// What a word of a status means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Is(Status),
    /// In progress where somebody owns the task, else pending.
    Owned,
}

pub(super) const STATUSES: &[(Meaning, &[&str])] = &[
    (Meaning::Is(Status::Pending), &["pending", "ready", "delegated"]),
    (Meaning::Owned, &["in_progress", "assigned"]),
    (Meaning::Is(Status::Blocked), &["blocked"]),
    (Meaning::Is(Status::Completed), &["completed", "complete", "done", "closed", "finished", "archived"]),
    (Meaning::Is(Status::DeadLetter), &["dead_letter", "failed"]),
    (Meaning::Is(Status::Cancelled), &["cancelled", "canceled", "aborted"]),
    (Meaning::Is(Status::Expired), &["expired"]),
    (Meaning::Is(Status::Suspended), &["suspended", "paused"]),
    (Meaning::Is(Status::PendingReview), &["pending_review", "review"]),
];

/// A property of ours, and the others that are read where it is not there, in this order.
pub(super) type Names = (&'static str, &'static [&'static str]);

pub(super) const TASK: &[Names] = &[
    ("id", &["task_id"]),
    ("type", &["task_type"]),
    // Of a list the first; without any of them an edge ASSIGNED_TO counts, in either direction.
    ("assigned_to", &["target_agent", "required_agents"]),
    ("attempts", &["retry_count"]),
    ("max_attempts", &["max_retries"]),
    ("claimed_at", &["started_at"]),
    ("results", &["result", "results_map"]),
    ("error_message", &["error"]),
    ("completed_at", &["failed_at"]),
];

pub(super) const AGENT: &[Names] =
    &[("id", &["agent_id"]), ("display_name", &["name"]), ("max_concurrent", &["max_concurrent_tasks"])];

/// Ids of the tasks that a task waits for, and of those that wait for it.
pub(super) const WAITS_FOR: &[&str] = &["blocked_by", "depends_on"];
pub(super) const HOLDS_UP: &[&str] = &["blocks"];

/// Ours first, then the others.
pub(super) fn names(table: &[Names], ours: &'static str) -> impl Iterator<Item = &'static str> {
    let others = table.iter().find(|(name, _)| *name == ours).map_or(&[][..], |(_, others)| others);
    std::iter::once(ours).chain(others.iter().copied())
}

pub(super) fn meaning(word: &str) -> Option<Meaning> {
    let bare = bare(word);
    STATUSES.iter().find(|(_, words)| words.iter().any(|known| self::bare(known) == bare)).map(|(m, _)| *m)
}

/// A word without what people write differently: case, spaces, punctuation.
pub(super) fn bare(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_however_they_are_written() {
        for word in ["in_progress", "In Progress", " IN-PROGRESS ", "inProgress"] {
            assert_eq!(meaning(word), Some(Meaning::Owned), "{word:?}");
        }
        assert_eq!(meaning("Archived"), Some(Meaning::Is(Status::Completed)));
        assert_eq!((meaning("escalated"), meaning(""), meaning("-")), (None, None, None));
        for status in Status::ALL {
            let ours = meaning(status.as_str());
            assert!(ours == Some(Meaning::Is(*status)) || *status == Status::InProgress, "{status}");
        }
    }

    /// The tables that people read say the same.
    #[test]
    fn adopting_md_has_every_name() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ADOPTING.md");
        let text = std::fs::read_to_string(path).unwrap();
        let rows: Vec<Vec<String>> = text
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned).collect())
            .collect();
        let has =
            |all: Vec<&str>| assert!(rows.iter().any(|row| *row == all), "no row of {all:?} in {rows:#?}");
        for (meaning, words) in STATUSES {
            let others: Vec<&str> =
                words.iter().copied().filter(|word| meaning_word(*meaning) != *word).collect();
            has([meaning_word(*meaning)].into_iter().chain(others).collect());
        }
        for (ours, others) in TASK.iter().chain(AGENT) {
            has([*ours].into_iter().chain(others.iter().copied()).collect());
        }
        for name in WAITS_FOR.iter().chain(HOLDS_UP) {
            assert!(text.contains(&format!("`{name}`")), "{name}");
        }
    }

    fn meaning_word(meaning: Meaning) -> &'static str {
        match meaning {
            Meaning::Is(status) => status.as_str(),
            Meaning::Owned => "in_progress",
        }
    }
}
