//! What goes out: the core's types as JSON text, in Node's names. Each is taken apart without `..`, so that a field
//! that the core gains does not compile until it is here.

use crate::failure::Failure;
use chrono::{DateTime, Utc};
use kurultai_core::{
    Check, Error, Json, NamespaceInfo, Result,
    agents::{
        AgentHealth, AgentInfo, AgentStatus, FailoverEvent, FailoverStatus, Health, NewAgent, RoleLease,
        Trigger,
    },
    cycle::{Attention, CycleReport, Delegated, Item},
    events::{Alert, AlertState, DeadEvent, Event, EventPage, Published, Severity, Subscription},
    messages::{
        AgentKey, AgentMessage, Algorithm, ImportedKeys, KeyState, MessagePage, MessageStatus, Recipient,
        Sent, Settled, Signer, SkippedKey, Unread, token::Token,
    },
    schedules::{CatchUp, Overlap, Schedule},
    tasks::{
        Adoption, Claimed, DependencyType, EmergencyStop, Enqueued, Explanation, Extended, FailureKind,
        Finding, FindingKind, Finished, Lease, Page, Percentiles, Prerequisite, Priority, Reason, Signal,
        Stats, Status, Task, TaskError, Usage,
    },
};
use serde::de::IgnoredAny;
use std::{collections::BTreeMap, time::Duration};

pub(crate) trait Wire {
    fn wire(&self, out: &mut Vec<u8>);
}

/// JSON text. It begins with a space where a payload has an integer that a double may not hold, which JavaScript
/// reads with more care, and otherwise with a new line: looking at payloads here is cheaper than at all text there.
pub(crate) fn text(value: &impl Wire) -> String {
    let mut out = Vec::with_capacity(256);
    out.push(b'\n');
    value.wire(&mut out);
    // Only text and checked JSON was written, so nothing is ever replaced.
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn has_long_integer(json: &str) -> bool {
    let mut run = 0;
    json.bytes().any(|byte| {
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        run == 16
    })
}

/// A struct as an object: `field => "nameInNode"`.
macro_rules! wire {
    ($type:ident { $first:ident => $first_name:literal $(, $field:ident => $name:literal)* $(,)? }) => {
        impl Wire for $type {
            fn wire(&self, out: &mut Vec<u8>) {
                let $type { $first $(, $field)* } = self;
                out.extend(concat!("{\"", $first_name, "\":").as_bytes());
                $first.wire(out);
                $(
                    out.extend(concat!(",\"", $name, "\":").as_bytes());
                    $field.wire(out);
                )*
                out.push(b'}');
            }
        }
    };
}

/// Claimed tasks, column by column: JavaScript reads neither the names nor what all tasks share anew for each one.
pub(crate) struct Batch<'a>(pub(crate) &'a [Claimed]);

impl<'a> Batch<'a> {
    /// A value for each task.
    fn each<T: Wire>(&self, field: impl Fn(&'a Claimed) -> T, out: &mut Vec<u8>) {
        list(self.0.iter().map(field), out);
        out.push(b',');
    }

    /// The value itself where all have the same, else a value for each. Of what is no list or object in JavaScript.
    fn once<T: Wire + PartialEq>(&self, field: impl Fn(&'a Claimed) -> T, out: &mut Vec<u8>) {
        match self.0 {
            [first, rest @ ..] if rest.iter().all(|task| field(task) == field(first)) => {
                field(first).wire(out);
                out.push(b',');
            }
            _ => self.each(field, out),
        }
    }

    /// `null` where it is the task's id.
    fn unless_id(&self, field: impl Fn(&'a Claimed) -> &'a String, out: &mut Vec<u8>) {
        self.once(|task| Some(field(task)).filter(|value| **value != task.id), out);
    }

    fn micros(&self, field: impl Fn(&'a Claimed) -> &'a DateTime<Utc>, out: &mut Vec<u8>) {
        self.once(|task| field(task).timestamp_micros(), out);
    }
}

/// In the order in which `claimedOf` of ts/results.ts takes them; of the lease, whose task is known, after a semicolon.
macro_rules! columns {
    ($($how:ident $field:ident),+; $($lease_how:ident $part:ident),+) => {
        impl Wire for Batch<'_> {
            fn wire(&self, out: &mut Vec<u8>) {
                let _ = |Claimed { $($field: _,)+ lease: Lease { task_id: _, $($part: _),+ } }: Claimed| ();
                out.push(b'[');
                $(self.$how(|task| &task.$field, out);)+
                $(self.$lease_how(|task| &task.lease.$part, out);)+
                out.pop();
                out.push(b']');
            }
        }
    };
}
columns!(
    each id, once task_type, once title, once description, each payload, once priority, once attempt,
    once max_attempts, once max_runtime, once snoozes, once delegated_by, once parent_id, unless_id correlation_id,
    each checkpoint, each prerequisites;
    each claim_id, once version, once attempt, micros expires_at
);

wire!(Enqueued { id => "id", deduplicated => "deduplicated" });
wire!(Finished { id => "id", status => "status", repeated => "repeated", run_at => "runAt", failed => "failed" });
wire!(Extended { lease => "lease", signal => "signal", reason => "reason", unread => "unread" });
wire!(Usage { tokens => "tokens", cost => "cost", seconds => "seconds" });
wire!(TaskError { attempt => "attempt", agent => "agent", kind => "kind", error => "error", at => "at" });
wire!(Page { tasks => "tasks", next => "next" });
wire!(NamespaceInfo { name => "name", tasks => "tasks", agents => "agents" });
wire!(Check { check => "check", ok => "ok", text => "text" });
wire!(Percentiles { p50 => "p50", p95 => "p95", p99 => "p99" });
wire!(Explanation { id => "id", status => "status", reasons => "reasons", candidates => "candidates" });
wire!(Prerequisite {
    id => "id", dependency_type => "dependencyType", status => "status", results => "results",
    omitted => "omitted",
});
wire!(Task {
    id => "id", task_type => "type", title => "title", description => "description", status => "status",
    priority => "priority", priority_weight => "priorityWeight", payload => "payload",
    required_capabilities => "requiredCapabilities", preferred_capabilities => "preferredCapabilities",
    assigned_to => "assignedTo", delegated_by => "delegatedBy", parent_id => "parentId", correlation_id => "correlationId",
    unique_key => "uniqueKey", depends_on => "dependsOn", run_at => "runAt", expires_at => "expiresAt",
    attempts => "attempts", max_attempts => "maxAttempts", max_runtime => "maxRuntimeMs", snoozes => "snoozes", claimed_by => "claimedBy",
    claimed_at => "claimedAt", lease_version => "leaseVersion", lease_expires_at => "leaseExpiresAt",
    progress => "progress", checkpoint => "checkpoint", results => "results",
    error_message => "errorMessage", errors => "errors", usage => "usage", created_at => "createdAt",
    updated_at => "updatedAt", completed_at => "completedAt",
});
wire!(Stats {
    by_status => "byStatus", oldest_pending_seconds => "oldestPendingSeconds", wait_seconds => "waitSeconds",
    run_seconds => "runSeconds", expired_last_day => "expiredLastDay",
    paused => "paused", stopped => "stopped",
});
wire!(EmergencyStop { reason => "reason", at => "at" });
wire!(Adoption {
    dry_run => "dryRun", tasks => "tasks", agents => "agents", by_status => "byStatus", findings => "findings",
});
wire!(Finding { kind => "kind", what => "what", count => "count", examples => "examples" });
wire!(RoleLease {
    role => "role", holder => "holder", instance => "instance", term => "term", expires_at => "expiresAt",
});

wire!(FailoverEvent {
    id => "id", role => "role", from_agent => "fromAgent", to_agent => "toAgent", term => "term", reason => "reason",
    triggered_by => "triggeredBy", activated_at => "activatedAt", deactivated_at => "deactivatedAt", status => "status",
});

/// A role that is held here.
pub(crate) struct Led {
    pub(crate) number: u32,
    pub(crate) lease: RoleLease,
}
wire!(Led { number => "number", lease => "lease" });
wire!(AgentInfo {
    id => "id", display_name => "displayName", role => "role", aliases => "aliases",
    capabilities => "capabilities", status => "status", max_concurrent => "maxConcurrent",
    current_load => "currentLoad", infra_heartbeat => "infraHeartbeat", last_heartbeat => "lastHeartbeat",
    created_at => "createdAt", metadata => "metadata",
});
wire!(AgentHealth {
    agent => "agent", state => "state", reason => "reason", infra_age => "infraAgeMs",
    functional_age => "functionalAgeMs", holds => "holds", oldest_claim_age => "oldestClaimAgeMs", leads => "leads",
    dead_at => "deadAt", watched_for => "watchedForMs",
});
wire!(Schedule {
    name => "name", task_type => "type", payload => "payload", task_fields => "taskFields", every => "everyMs",
    cron => "cron", timezone => "timezone", start => "start", catch_up => "catchUp", overlap => "overlap",
    jitter => "jitterMs", paused => "paused", next_due => "nextDue", upcoming => "upcoming", last_due => "lastDue",
    last_task => "lastTask", last_skipped => "lastSkipped", created_at => "createdAt", updated_at => "updatedAt",
});
wire!(NewAgent {
    id => "id", display_name => "displayName", role => "role", aliases => "aliases",
    capabilities => "capabilities", max_concurrent => "maxConcurrent", metadata => "metadata",
});
wire!(Event {
    seq => "seq", topic => "topic", source => "source", task_id => "taskId", task_type => "taskType", correlation_id => "correlationId",
    payload => "payload", created_at => "createdAt",
});

wire!(Alert {
    key => "key", severity => "severity", state => "state", text => "text", raised_at => "raisedAt",
    cleared_at => "clearedAt",
});
wire!(CycleReport {
    agent => "agent", term => "term", text => "text", attention => "attention", delegated => "delegated",
    stuck => "stuck", asleep => "asleep", woken => "woken", stale => "stale", alerts => "alerts", inbox => "inbox",
    tasks => "tasks",
});
wire!(Delegated { task => "task", to => "to", assigned => "assigned" });
wire!(Item {
    id => "id", task_type => "type", title => "title", status => "status",
    required_capabilities => "requiredCapabilities",
});
wire!(Published { seq => "seq", deduplicated => "deduplicated" });
wire!(Subscription {
    name => "name", topic => "topic", agent => "agent", source => "source", filter => "where", batch => "batchMs",
    quiet => "quietMs", paused => "paused", cursor => "cursor", lag => "lag", held_until => "heldUntil", tries => "tries",
    error => "error", created_at => "createdAt", updated_at => "updatedAt",
});
wire!(DeadEvent { seq => "seq", topic => "topic", tries => "tries", error => "error", at => "at" });

/// Events that JavaScript has, and the number by which it ends their batch.
pub(crate) struct Consumed<'a> {
    pub(crate) batch: u32,
    pub(crate) events: &'a Vec<Event>,
}

impl Wire for Consumed<'_> {
    fn wire(&self, out: &mut Vec<u8>) {
        object(&[("batch", &self.batch), ("events", self.events)], out);
    }
}

wire!(EventPage { events => "events", next => "next" });
wire!(Sent { id => "id", deduplicated => "deduplicated", recipient => "recipient" });
wire!(Signer { agent => "agent", key_id => "keyId", version => "version" });
wire!(Settled { id => "id", status => "status", repeated => "repeated" });
wire!(Unread { count => "count", urgent => "urgent" });
wire!(MessagePage { messages => "messages", next => "next" });
wire!(AgentMessage {
    id => "id", sender => "sender", to => "to", message_type => "type", body => "body", task_id => "taskId",
    reply_to => "replyTo", thread => "thread", urgent => "urgent", status => "status", delivery => "delivery",
    code => "code", created_at => "createdAt", expires_at => "expiresAt", verified => "verified",
});

/// Of the secret that the team keeps the id of its wrapping key alone.
impl Wire for AgentKey {
    fn wire(&self, out: &mut Vec<u8>) {
        let AgentKey {
            agent_id,
            key_id,
            algorithm,
            state,
            created_at,
            activated_at,
            expires_at,
            public_key,
            secret,
            reason,
        } = self;
        let wrapping_key = secret.as_ref().map(|secret| secret.wrapping_key().to_owned());
        let fields: [(&str, &dyn Wire); 10] = [
            ("agentId", agent_id),
            ("keyId", key_id),
            ("algorithm", algorithm),
            ("state", state),
            ("createdAt", created_at),
            ("activatedAt", activated_at),
            ("expiresAt", expires_at),
            ("publicKey", &public_key.map(|key| key.to_string())),
            ("wrappingKey", &wrapping_key),
            ("reason", reason),
        ];
        object(&fields, out);
    }
}

wire!(SkippedKey { agent_id => "agentId", key_id => "keyId", code => "code", why => "why" });
wire!(ImportedKeys { dry_run => "dryRun", imported => "imported", skipped => "skipped" });

impl Wire for Token {
    fn wire(&self, out: &mut Vec<u8>) {
        let fields: [(&str, &dyn Wire); 11] = [
            ("id", &self.id),
            ("namespace", &self.namespace),
            ("sender", &self.sender),
            ("keyId", &self.key_id),
            ("audience", &self.audience),
            ("type", &self.message_type),
            ("body", &self.body),
            ("taskId", &self.task),
            ("replyTo", &self.reply_to),
            ("issuedAt", &self.issued_at),
            ("expiresAt", &self.expires_at),
        ];
        object(&fields, out);
    }
}

/// In its compact form, which has all its fields and is what comes back.
impl Wire for Lease {
    fn wire(&self, out: &mut Vec<u8>) {
        self.to_string().wire(out);
    }
}

/// With its sentence.
impl Wire for Reason {
    fn wire(&self, out: &mut Vec<u8>) {
        let text = self.to_string();
        let (reason, detail): (&str, Option<(&str, &dyn Wire)>) = match self {
            Reason::Finished { status, error } => {
                let fields: [(&str, &dyn Wire); 4] =
                    [("reason", &"finished"), ("text", &text), ("status", status), ("error", error)];
                return object(&fields, out);
            }
            Reason::Held { by, until } => {
                return object(&[("reason", &"held"), ("text", &text), ("by", by), ("until", until)], out);
            }
            Reason::Failed { attempt, max_attempts, error, run_at } => {
                let fields: [(&str, &dyn Wire); 6] = [
                    ("reason", &"failed"),
                    ("text", &text),
                    ("attempt", attempt),
                    ("maxAttempts", max_attempts),
                    ("error", error),
                    ("runAt", run_at),
                ];
                return object(&fields, out);
            }
            Reason::Suspended => ("suspended", None),
            Reason::BlockedBy { tasks } => ("blocked_by", Some(("tasks", tasks))),
            Reason::WaitsForChildren { tasks } => ("waits_for_children", Some(("tasks", tasks))),
            Reason::Scheduled { run_at } => ("scheduled", Some(("runAt", run_at))),
            Reason::Paused { task_type } => ("paused", Some(("taskType", task_type))),
            Reason::AssigneeAbsent { agent } => ("assignee_absent", Some(("agent", agent))),
            Reason::CapabilityMissing { capabilities } => {
                ("capability_missing", Some(("capabilities", capabilities)))
            }
            Reason::NobodyHasAll { capabilities } => ("nobody_has_all", Some(("capabilities", capabilities))),
            Reason::NobodyAlive => ("nobody_alive", None),
            Reason::Busy { agents } => ("busy", Some(("agents", agents))),
            // The sentence tells the rest.
            _ => ("other", None),
        };
        let fields: [(&str, &dyn Wire); 2] = [("reason", &reason), ("text", &text)];
        let fields: Vec<_> = fields.into_iter().chain(detail).collect();
        object(&fields, out);
    }
}

/// A task and where it stands.
impl Wire for (String, Status) {
    fn wire(&self, out: &mut Vec<u8>) {
        object(&[("id", &self.0), ("status", &self.1)], out);
    }
}

/// An answer of its own for each of many.
impl<T: Wire> Wire for Result<T> {
    fn wire(&self, out: &mut Vec<u8>) {
        match self {
            Ok(value) => value.wire(out),
            Err(error) => object(&[("error", error)], out),
        }
    }
}

impl Wire for Error {
    fn wire(&self, out: &mut Vec<u8>) {
        let Failure { kind, code, message, retryable, retry_after_ms, cause, task_id } = self.into();
        let fields: [(&str, &dyn Wire); 7] = [
            ("kind", &kind),
            ("code", &code),
            ("message", &message),
            ("retryable", &retryable),
            ("retryAfterMs", &retry_after_ms),
            ("cause", &cause),
            ("taskId", &task_id),
        ];
        object(&fields, out);
    }
}

impl Wire for BTreeMap<Status, u64> {
    fn wire(&self, out: &mut Vec<u8>) {
        let fields: Vec<(&str, &dyn Wire)> = self.iter().map(|(k, v)| (k.as_str(), v as _)).collect();
        object(&fields, out);
    }
}

pub(crate) fn object(fields: &[(&str, &dyn Wire)], out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, (name, value)) in fields.iter().enumerate() {
        out.extend(if at == 0 { "\"" } else { ",\"" }.as_bytes());
        out.extend(name.as_bytes());
        out.extend(b"\":");
        value.wire(out);
    }
    out.push(b'}');
}

/// Text that another program stored and that is no JSON is given as a string.
impl Wire for Json {
    fn wire(&self, out: &mut Vec<u8>) {
        match serde_json::from_str::<IgnoredAny>(self.as_str()) {
            Ok(_) => {
                if has_long_integer(self.as_str()) {
                    out[0] = b' ';
                }
                out.extend(self.as_str().as_bytes());
            }
            Err(_) => self.as_str().wire(out),
        }
    }
}

impl Wire for DateTime<Utc> {
    fn wire(&self, out: &mut Vec<u8>) {
        self.timestamp_millis().wire(out);
    }
}

/// Milliseconds.
impl Wire for Duration {
    fn wire(&self, out: &mut Vec<u8>) {
        (self.as_micros() as f64 / 1e3).wire(out);
    }
}

impl<T: Wire + ?Sized> Wire for &T {
    fn wire(&self, out: &mut Vec<u8>) {
        (**self).wire(out);
    }
}

impl<T: Wire> Wire for Option<T> {
    fn wire(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.wire(out),
            None => out.extend(b"null"),
        }
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn wire(&self, out: &mut Vec<u8>) {
        list(self, out);
    }
}

fn list<T: Wire>(items: impl IntoIterator<Item = T>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        item.wire(out);
    }
    out.push(b']');
}

macro_rules! as_serde {
    ($($type:ty),+) => { $(
        impl Wire for $type {
            fn wire(&self, out: &mut Vec<u8>) {
                serde_json::to_writer(out, self).expect("plain values are JSON");
            }
        }
    )+ };
}
as_serde!(String, str, bool, f64, u8, u32, u64, usize, i64);
as_serde!(Status, Priority, Signal, DependencyType, AgentStatus, Health, FailureKind, FindingKind);
as_serde!(Trigger, FailoverStatus);
as_serde!(MessageStatus, Recipient, Algorithm, KeyState, Severity, AlertState, CatchUp, Overlap, Attention);

/// Nothing to say but that it is done.
impl Wire for () {
    fn wire(&self, out: &mut Vec<u8>) {
        out.extend(b"null");
    }
}
