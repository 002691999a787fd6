//! One task in full.

use crate::{
    output::{Done, say, say_json},
    text::{clean, span, utc},
};
use kurultai_core::{Json, tasks::Task};

pub(super) fn shown(task: &Task, json: bool) -> Done {
    if json { say_json(task) } else { show(task) }
}

fn show(task: &Task) -> Done {
    let mut lines: Vec<(&str, String)> = vec![
        ("type", task.task_type.clone()),
        ("status", task.status.to_string()),
        ("priority", format!("{}, weight {}", task.priority, task.priority_weight)),
    ];
    let mut add = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
    let list = |names: &[String]| (!names.is_empty()).then(|| names.join(", "));
    let document = |json: &Option<Json>| json.as_ref().map(|json| json.as_str().to_owned());
    add("text", (!task.description.is_empty()).then(|| task.description.clone()));
    add("payload", Some(task.payload.as_str().to_owned()));
    add("requires", list(&task.required_capabilities));
    add("prefers", list(&task.preferred_capabilities));
    add("assigned to", task.assigned_to.clone());
    add("delegated by", task.delegated_by.clone());
    add("parent", task.parent_id.clone());
    add("correlation", (task.correlation_id != task.id).then(|| task.correlation_id.clone()));
    add("key", task.unique_key.clone());
    add("depends on", list(&task.depends_on));
    add("not before", task.run_at.map(utc));
    add("expires", task.expires_at.map(utc));
    add("attempts", Some(format!("{} of {}", task.attempts, task.max_attempts)));
    add("may take", task.max_runtime.map(|longest| span(longest.as_secs_f64())));
    add("snoozes", (task.snoozes > 0).then(|| task.snoozes.to_string()));
    add("claimed by", task.claimed_by.clone());
    add("claimed at", task.claimed_at.map(utc));
    add("lease ends", task.lease_expires_at.map(utc));
    add("progress", task.progress.map(|p| format!("{:.0} %", p * 100.0)));
    add("checkpoint", document(&task.checkpoint));
    add("result", document(&task.results));
    add("usage", task.usage.map(|u| format!("{} tokens, cost {}, {}", u.tokens, u.cost, span(u.seconds))));
    add("created", Some(utc(task.created_at)));
    add("completed", task.completed_at.map(utc));
    for e in &task.errors {
        let agent = e.agent.as_deref().unwrap_or("nobody");
        add(
            "error",
            Some(format!("attempt {} by {agent} {}, {}: {}", e.attempt, e.kind, utc(e.at), e.error)),
        );
    }
    say(format!("{}  {}", clean(&task.id), clean(&task.title)))?;
    lines.iter().try_for_each(|(name, value)| say(format!("  {name:<12}  {}", clean(value))))
}
