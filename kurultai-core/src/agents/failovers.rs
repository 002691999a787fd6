//! Failovers: a role went from one agent to another, and is not back yet. Pure.

use crate::words::words;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

words! {
    /// Who brought it about that a role went from one agent to another.
    Trigger, "triggered_by" {
        /// A watch.
        Auto = "auto",
        /// Whoever called `lead` or `hand_back`.
        Manual = "manual",
    }
}

words! {
    /// Whether a role is still away from where it was.
    FailoverStatus, "status" {
        /// It is.
        Active = "active",
        /// It is back.
        Resolved = "resolved",
    }
}

/// A role went from one agent to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailoverEvent {
    /// A UUIDv7.
    pub id: String,
    /// Which role.
    pub role: String,
    /// Who held it before.
    pub from_agent: String,
    /// Who holds it since.
    pub to_agent: String,
    /// Under which term.
    pub term: i64,
    /// Why.
    pub reason: String,
    /// Who brought it about.
    pub triggered_by: Trigger,
    /// When the role was taken.
    pub activated_at: DateTime<Utc>,
    /// When it was back.
    pub deactivated_at: Option<DateTime<Utc>>,
    /// Whether it is still so.
    pub status: FailoverStatus,
}

/// An active failover, as a decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Away {
    pub(crate) term: i64,
    pub(crate) from_agent: String,
}

/// A new failover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) from: String,
    pub(crate) by: Trigger,
}

/// What it means for a role's active failovers that it goes on to an agent: whether this is a new one, and from which term on
/// they are over. `failover` is `None` where the role comes back to whom it belongs.
pub(super) fn after(
    from: Option<&str>,
    to: &str,
    failover: Option<Trigger>,
    away: &[Away],
) -> (Option<Taken>, Option<i64>) {
    let is_over = |away: &&Away| failover.is_none() || away.from_agent == to;
    let resolved_from = away.iter().filter(is_over).map(|away| away.term).min();
    let is_new = resolved_from.is_none() && from != Some(to);
    let taken = from.zip(failover).filter(|_| is_new).map(|(from, by)| Taken { from: from.to_owned(), by });
    (taken, resolved_from)
}
