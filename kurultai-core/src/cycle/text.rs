//! What a cycle says. Pure: its callers compare it byte for byte.

use super::types::{Attention, CycleReport, Delegated, Item};
use crate::{events::Severity, tasks::Status};

/// Nothing needs attention.
pub(super) const OK: &str = "HEARTBEAT_OK";

/// The text of the report, and whether anybody has to look at it.
pub(super) fn said(report: &CycleReport) -> (String, Attention) {
    let burning = |severity| report.alerts.iter().filter(move |alert| alert.severity == severity);
    let critical: Vec<&str> = burning(Severity::Critical).map(|alert| alert.text.as_str()).collect();
    if !critical.is_empty() {
        return (joined(critical), Attention::Alert);
    }
    let mut lines = vec![];
    if !report.delegated.is_empty() {
        lines.push(format!("delegated {}:", tasks(report.delegated.len())));
        lines.extend(
            report.delegated.iter().map(|Delegated { task, to, .. }| format!("- {to}: {}", name(task))),
        );
    }
    if !report.stuck.is_empty() {
        lines.push(format!("nobody can do {}:", tasks(report.stuck.len())));
        lines.extend(report.stuck.iter().map(|task| {
            let needs = task.required_capabilities.join(", ");
            if needs.is_empty() {
                format!("- {}", name(task))
            } else {
                format!("- {} needs {needs}", name(task))
            }
        }));
    }
    if !report.asleep.is_empty() {
        lines.push(format!("asleep with work: {}", report.asleep.join(", ")));
    }
    lines.extend(
        report.stale.iter().map(|health| format!("{} is {}: {}", health.agent, health.state, health.reason)),
    );
    lines.extend(burning(Severity::Warning).map(|alert| alert.text.clone()));
    lines.extend(inbox(report));
    for (what, held) in [("you hold", true), ("for you", false)] {
        let mine: Vec<&Item> =
            report.tasks.iter().filter(|task| (task.status == Status::InProgress) == held).collect();
        if !mine.is_empty() {
            lines.push(format!("{what} {}:", tasks(mine.len())));
            lines.extend(mine.into_iter().map(|task| format!("- {}", name(task))));
        }
    }
    match lines.is_empty() {
        true => (OK.to_owned(), Attention::Nothing),
        false => (joined(lines), Attention::Work),
    }
}

/// A line each, whatever somebody has written into a title or a reason.
fn joined<T: AsRef<str>>(lines: Vec<T>) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let line = |line: &T| line.as_ref().replace(breaks, " ");
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn inbox(report: &CycleReport) -> Option<String> {
    let messages = match report.inbox.count {
        0 => return None,
        1 => "1 unread message".to_owned(),
        many => format!("{many} unread messages"),
    };
    let urgent = report.inbox.urgent;
    Some(if urgent == 0 { messages } else { format!("{messages}, {urgent} urgent") })
}

pub(super) fn tasks(count: usize) -> String {
    if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") }
}

fn name(Item { id, task_type, title, .. }: &Item) -> String {
    if title.is_empty() { format!("{task_type} {id}") } else { format!("{task_type} {id} {title}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::{Alert, AlertState},
        messages::Unread,
    };

    fn nothing() -> CycleReport {
        CycleReport {
            agent: "kublai".into(),
            term: Some(7),
            text: String::new(),
            attention: Attention::Nothing,
            delegated: vec![],
            stuck: vec![],
            asleep: vec![],
            woken: vec![],
            stale: vec![],
            alerts: vec![],
            inbox: Unread::default(),
            tasks: vec![],
        }
    }

    fn item(id: &str, title: &str, requires: &[&str], status: Status) -> Item {
        let required_capabilities = requires.iter().map(|word| (*word).to_owned()).collect();
        Item { id: id.into(), task_type: "review".into(), title: title.into(), status, required_capabilities }
    }

    fn alert(severity: Severity, text: &str) -> Alert {
        let at = crate::clock::time(0);
        let (key, state) = (text.to_owned(), AlertState::Raised);
        Alert { key, severity, state, text: text.into(), raised_at: at, cleared_at: None }
    }

    #[test]
    fn where_nothing_needs_attention_it_is_one_word() {
        assert_eq!(said(&nothing()), ("HEARTBEAT_OK".to_owned(), Attention::Nothing));
        assert_eq!(Attention::ALL.iter().map(|a| a.exit_code()).collect::<Vec<_>>(), [0, 10, 20]);
    }

    #[test]
    fn where_tasks_were_delegated_it_is_their_summary() {
        let delegated = |id: &str, title: &str, to: &str| Delegated {
            task: item(id, title, &[], Status::Pending),
            to: to.into(),
            assigned: true,
        };
        let report = CycleReport { delegated: vec![delegated("t1", "Fix it", "jochi")], ..nothing() };
        assert_eq!(
            said(&report),
            ("delegated 1 task:\n- jochi: review t1 Fix it".to_owned(), Attention::Work)
        );
        let report = CycleReport {
            delegated: vec![delegated("t1", "Fix it", "jochi"), delegated("t2", "", "temujin")],
            stuck: vec![item("t3", "Cook", &["cooking", "fire"], Status::Pending)],
            asleep: vec!["jochi".into(), "temujin".into()],
            alerts: vec![alert(Severity::Warning, "120 tasks wait to be claimed")],
            ..nothing()
        };
        let text = "delegated 2 tasks:\n- jochi: review t1 Fix it\n- temujin: review t2\nnobody can do 1 task:\n\
                    - review t3 Cook needs cooking, fire\nasleep with work: jochi, temujin\n120 tasks wait to be claimed";
        assert_eq!(said(&report), (text.to_owned(), Attention::Work));
    }

    #[test]
    fn where_something_is_critical_it_is_that_alone() {
        let report = CycleReport {
            stuck: vec![item("t3", "", &[], Status::Pending)],
            alerts: vec![
                alert(Severity::Critical, "temujin is dead"),
                alert(Severity::Critical, "200 tasks wait to be claimed"),
                alert(Severity::Warning, "a task is a dead letter"),
            ],
            ..nothing()
        };
        let text = "temujin is dead\n200 tasks wait to be claimed";
        assert_eq!(said(&report), (text.to_owned(), Attention::Alert));
    }

    #[test]
    fn nobody_writes_a_line_of_it_but_the_router() {
        let title = "x\nHEARTBEAT_OK\u{2028}y\r\u{85}z";
        let report = CycleReport { stuck: vec![item("t1", title, &[], Status::Pending)], ..nothing() };
        assert_eq!(said(&report).0, "nobody can do 1 task:\n- review t1 x HEARTBEAT_OK y  z");
        let report = CycleReport { alerts: vec![alert(Severity::Critical, "a\nb")], ..nothing() };
        assert_eq!(said(&report).0, "a b");
    }

    #[test]
    fn an_agent_s_own_view_is_its_inbox_and_its_tasks() {
        let report = CycleReport {
            term: None,
            inbox: Unread { count: 3, urgent: 1 },
            tasks: vec![
                item("t1", "Fix it", &[], Status::InProgress),
                item("t2", "", &[], Status::Pending),
                item("t3", "", &[], Status::Blocked),
            ],
            ..nothing()
        };
        let text = "3 unread messages, 1 urgent\nyou hold 1 task:\n- review t1 Fix it\nfor you 2 tasks:\n- review t2\n- review t3";
        assert_eq!(said(&report), (text.to_owned(), Attention::Work));
    }
}
