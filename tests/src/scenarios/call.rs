//! A step's call: its arguments by name, its answer as JSON.

use chrono::{DateTime, TimeDelta, Utc};
use kurultai_core::{
    Error, Json, Kurultai, Result, Verify,
    agents::{AgentUpdate, HandBack, Lead, NewAgent, RoleLease, Thresholds},
    events::{self, Consume, EventFilter, NewEvent, NewSubscription},
    messages::{
        Accept, Ed25519Key, Inbox, KeyImport, KeyList, MessageFilter, MessageSigner, NewMessage, Receipt,
        token::{self, Draft, Expect, Token},
        wrap::WrappingKey,
    },
    schedules::NewSchedule,
    tasks::{
        AdoptOptions, Cancel, Claim, Dependency, Expiry, Extend, Failure, Filter, Finish, Lease, NewTask,
        Outcome, RetryPolicy, Start, TaskUpdate, Usage, WaitFor,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::{fs, os::unix::fs::PermissionsExt, str::FromStr, time::Duration};

pub(super) async fn call(
    k: &Kurultai,
    namespace: &str,
    start: DateTime<Utc>,
    operation: &str,
    with: Map<String, Value>,
) -> Result<Value> {
    let (tasks, agents, events) = (k.tasks(), k.agents(), k.events());
    let (messages, keys) = (k.messages(), k.keys());
    let mut with = Args { with, start };
    let args = &mut with;
    let under = args.take::<RoleLease>("under");
    let (tasks, messages) = match &under {
        Some(lease) => (tasks.under(lease), messages.under(lease)),
        None => (tasks, messages),
    };
    let answer = match operation {
        "tasks.enqueue" => answer(tasks.enqueue(new_task(args)).await?),
        "tasks.enqueue_many" => answer(tasks.enqueue_many(args.many("tasks", new_task)).await?),
        "tasks.claim" => {
            let mut claim = Claim::new(args.need::<String>("agent")).max(args.take("max").unwrap_or(1));
            (claim.types, claim.lease) = (args.take("types"), args.span("lease"));
            answer(tasks.claim(claim).await?)
        }
        "tasks.complete" | "tasks.fail" | "tasks.release" => {
            let Finish { lease, outcome } = finish(operation, args);
            answer(match outcome {
                Outcome::Complete { results, usage: None } => tasks.complete(&lease, results).await?,
                Outcome::Fail(failure) => tasks.fail(&lease, failure).await?,
                Outcome::Release => tasks.release(&lease).await?,
                with_usage => tasks.finish(&lease, with_usage).await?,
            })
        }
        "tasks.snooze" => {
            let (lease, after) = (args.lease(), args.span("after").expect("after"));
            answer(tasks.snooze(&lease, after).await?)
        }
        "tasks.finish" => {
            let Finish { lease, outcome } = tagged(&mut args.inner("finish"));
            answer(tasks.finish(&lease, outcome).await?)
        }
        "tasks.finish_many" => {
            let each = tasks.finish_many(args.many("finishes", tagged)).await?;
            let each = each.into_iter().map(|one| one.map_or_else(|e| json!({"error": e.code()}), answer));
            each.collect()
        }
        "tasks.extend" => {
            let ttl = args.span("ttl").expect("ttl");
            answer(tasks.extend(&args.lease(), ttl).await?)
        }
        "tasks.progress" => answer(tasks.progress(&args.lease(), args.need("progress")).await?),
        "tasks.checkpoint" => {
            answer(tasks.checkpoint(&args.lease(), args.need::<Value>("checkpoint")).await?)
        }
        "tasks.renew" => {
            let (lease, ttl) = (args.lease(), args.span("ttl"));
            let request = Extend {
                ttl,
                progress: args.take("progress"),
                checkpoint: args.take("checkpoint"),
                ..Extend::new(lease)
            };
            answer(tasks.renew(request).await?)
        }
        "tasks.cancel" => {
            let (reason, children) = (args.take("reason"), args.take("children").unwrap_or_default());
            answer(tasks.cancel(&args.id("task"), Cancel { reason, children }).await?)
        }
        "tasks.cancel_many" => {
            let reason: Option<String> = args.take("reason");
            answer(tasks.cancel_many(filter(args), reason.as_deref()).await?)
        }
        "tasks.requeue_many" => answer(tasks.requeue_many(filter(args)).await?),
        "tasks.update" => answer(tasks.update(&args.id("task"), update(args)).await?),
        "tasks.reprioritize" => {
            let (task, priority, weight) =
                (args.id("task"), args.take::<String>("priority"), args.take("weight"));
            let priority = priority.map(|word| word.parse()).transpose()?;
            answer(tasks.reprioritize(&task, priority, weight).await?)
        }
        "tasks.assign" => {
            let (task, agent, by): (_, Option<String>, Option<String>) =
                (args.id("task"), args.need("agent"), args.take("by"));
            answer(tasks.assign(&task, agent.as_deref(), by.as_deref()).await?)
        }
        "tasks.find" => answer(tasks.find(&args.need::<String>("unique_key")).await?),
        "tasks.suspend" => answer(tasks.suspend(&args.id("task")).await?),
        "tasks.resume" => answer(tasks.resume(&args.id("task")).await?),
        "tasks.requeue" => answer(tasks.requeue(&args.id("task")).await?),
        "tasks.discard" => answer(tasks.discard(&args.id("task")).await?),
        "tasks.pause" => answer(tasks.pause(args.take::<String>("type").as_deref()).await?),
        "tasks.unpause" => answer(tasks.unpause(args.take::<String>("type").as_deref()).await?),
        "tasks.stop_all" => answer(tasks.stop_all(&args.need::<String>("reason")).await?),
        "tasks.start_all" => answer(tasks.start_all().await?),
        "tasks.add_dependency" => {
            let on = dependency(args.need("on"));
            answer(tasks.add_dependency(&args.id("task"), on).await?)
        }
        "tasks.wait_for" => {
            answer(tasks.wait_for(&args.id("task"), args.span("timeout").unwrap_or_default()).await?)
        }
        "tasks.call" => {
            let mut given = args.inner("task");
            let task = new_task(&mut given);
            given.done();
            answer(tasks.call(task, args.span("timeout").unwrap_or_default()).await?)
        }
        "tasks.get" => answer(tasks.get(&args.id("task")).await?),
        "tasks.get_many" => {
            let ids: Vec<String> = args.need::<Vec<Value>>("tasks").into_iter().map(id).collect();
            answer(tasks.get_many(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await?)
        }
        "tasks.list" => answer(tasks.list(filter(args)).await?),
        "tasks.dead_letters" => answer(tasks.dead_letters(filter(args)).await?),
        "tasks.stats" => answer(tasks.stats().await?),
        "tasks.explain" => answer(tasks.explain(&args.id("task")).await?),
        "cycle" => answer(k.cycle(&args.need::<String>("agent")).await?),
        "maintain" => answer(k.maintain().await?),
        "verify" => {
            let strict = args.take("strict").unwrap_or_default();
            answer(k.verify(Verify { strict, thresholds: thresholds(args) }).await?)
        }
        "adopt" => {
            let options = AdoptOptions {
                dry_run: args.take("dry_run").unwrap_or_default(),
                labels: args.take("labels"),
                ids: args.take("ids"),
                types: args.take("types"),
                statuses: args.take("statuses"),
            };
            answer(k.adopt(options).await?)
        }
        "agents.register" => answer(agents.register(new_agent(args)).await?),
        "agents.register_many" => answer(agents.register_many(args.many("agents", new_agent)).await?),
        "agents.beat" => answer(agents.beat(&args.need::<String>("agent")).await?),
        "agents.beat_many" => {
            let (names, create): (Vec<String>, _) = (args.need("agents"), args.take("create"));
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            answer(agents.beat_many(&names, create.unwrap_or_default()).await?)
        }
        "agents.health" => {
            let (agent, thresholds) = (args.take::<String>("agent"), thresholds(args));
            answer(agents.health(agent.as_deref(), thresholds).await?)
        }
        "agents.lead" => {
            let lead = Lead {
                ttl: args.span("ttl").unwrap_or(Lead::default().ttl),
                reason: args.take("reason"),
                ..Lead::default()
            };
            let (role, agent) = (args.need::<String>("role"), args.need::<String>("agent"));
            let held = agents.lead(&role, &agent, lead).await?;
            let lease = held.lease();
            // It is held for as long as the team is open.
            std::mem::forget(held);
            answer(lease)
        }
        "agents.failovers" => {
            let (active, since) = (args.take("active"), args.time("since"));
            answer(agents.failovers(active, since).await?)
        }
        "agents.leader" => answer(agents.leader(&args.need::<String>("role")).await?),
        "agents.hand_back" => {
            let how = HandBack { to: args.take("to"), reason: args.take("reason") };
            let (role, agent) = (args.need::<String>("role"), args.need::<String>("agent"));
            answer(agents.hand_back(&role, &agent, how).await?)
        }
        "agents.get" => answer(agents.get(&args.need::<String>("name")).await?),
        "agents.list" => answer(agents.list().await?),
        "agents.with_capability" => answer(agents.with_capability(&args.need::<String>("capability")).await?),
        "agents.drain" => answer(agents.drain(&args.need::<String>("agent")).await?),
        "agents.update" => {
            let update = AgentUpdate {
                add: args.take("add").unwrap_or_default(),
                remove: args.take("remove").unwrap_or_default(),
                metadata: args.take("metadata"),
            };
            answer(agents.update(&args.need::<String>("agent"), update).await?)
        }
        "agents.deregister" => {
            let force = args.take("force").unwrap_or_default();
            answer(agents.deregister(&args.need::<String>("agent"), force).await?)
        }
        "schedules.put" => {
            let (name, every, cron): (String, _, _) =
                (args.need("name"), args.span("every"), args.take("cron"));
            let usual = NewSchedule::new(name, NewTask::new(""));
            let schedule = NewSchedule {
                every,
                cron,
                timezone: args.take("timezone").unwrap_or(usual.timezone),
                start: args.time("start"),
                catch_up: word(args.take("catch_up"))?.unwrap_or(usual.catch_up),
                overlap: word(args.take("overlap"))?,
                jitter: args.span("jitter").unwrap_or_default(),
                task: new_task(args),
                name: usual.name,
            };
            answer(k.schedules().put(schedule).await?)
        }
        "schedules.list" => answer(k.schedules().list().await?),
        "schedules.get" => answer(k.schedules().get(&args.need::<String>("name")).await?),
        "schedules.pause" => answer(k.schedules().pause(&args.need::<String>("name")).await?),
        "schedules.unpause" => answer(k.schedules().unpause(&args.need::<String>("name")).await?),
        "schedules.remove" => answer(k.schedules().remove(&args.need::<String>("name")).await?),
        "schedules.run_now" => answer(k.schedules().run_now(&args.need::<String>("name")).await?),
        "events.read" => {
            let filter = EventFilter {
                after_seq: args.take("after_seq").unwrap_or_default(),
                topic: args.take("topic"),
                source: args.take("source"),
                task_id: args.take("task").map(id),
                task_type: args.take("type"),
                since: args.time("since"),
                limit: args.take("limit").unwrap_or(1_000),
                ..EventFilter::default()
            };
            answer(events.read(filter).await?)
        }
        "events.publish" => answer(events.publish(new_event(args)).await?),
        "events.publish_many" => answer(events.publish_many(args.many("events", new_event)).await?),
        "events.subscribe" => {
            let (name, topic): (String, String) = (args.need("name"), args.need("topic"));
            let subscription = NewSubscription {
                agent: args.take("agent"),
                source: args.take("source"),
                filter: args.take("where"),
                start: place(args),
                batch: args.span("batch").unwrap_or_default(),
                quiet: args.span("quiet").unwrap_or_default(),
                ..NewSubscription::new(name, topic)
            };
            answer(events.subscribe(subscription).await?)
        }
        "events.consume" => {
            let usual = Consume::new(args.need::<String>("name"));
            let max = args.take("max").unwrap_or(usual.max);
            let batch = events.consume(usual.max(max)).await?;
            match args.take::<String>("retry") {
                Some(error) => batch.retry(&error, Duration::ZERO).await?,
                None => batch.ack().await?,
            }
            json!({"events": answer(&batch.events)})
        }
        "events.subscriptions" => {
            answer(events.subscriptions(args.take::<String>("agent").as_deref()).await?)
        }
        "events.pause" => answer(events.pause(&args.need::<String>("name")).await?),
        "events.unpause" => answer(events.unpause(&args.need::<String>("name")).await?),
        "events.rewind" => {
            let (name, to) = (args.need::<String>("name"), place(args));
            answer(events.rewind(&name, to).await?)
        }
        "events.unsubscribe" => answer(events.unsubscribe(&args.need::<String>("name")).await?),
        "events.dead" => answer(events.dead(&args.need::<String>("name")).await?),
        "events.alerts" => answer(events.alerts().await?),
        "events.last_seq" => answer(events.last_seq().await?),
        "messages.send" => answer(messages.send(new_message(args)).await?),
        "messages.send_many" => answer(messages.send_many(args.many("messages", new_message)).await?),
        "messages.ask" => {
            let timeout = args.span("timeout").unwrap_or_default();
            answer(messages.ask(new_message(args), timeout).await?)
        }
        "messages.accept" => {
            answer(messages.accept(Accept { text: args.need("token"), to: args.take("to") }).await?)
        }
        "messages.inbox" => {
            let usual = Inbox::default();
            let request = Inbox {
                agent: args.take("agent"),
                max: args.take("max").unwrap_or(usual.max),
                types: args.take("types"),
                visible: args.span("visible").unwrap_or(usual.visible),
                ..usual
            };
            answer(messages.inbox(request).await?)
        }
        "messages.ack" => {
            let each = messages.ack(&args.need::<Vec<Receipt>>("messages")).await?;
            let each = each.into_iter().map(|one| one.map_or_else(|e| json!({"error": e.code()}), answer));
            each.collect()
        }
        "messages.reject" => {
            let reason: String = args.need("reason");
            answer(messages.reject(&args.need("message"), &reason).await?)
        }
        "messages.retry" => {
            let after = args.span("after").expect("after");
            answer(messages.retry(&args.need("message"), after).await?)
        }
        "messages.unread" => answer(messages.unread(args.take::<String>("agent").as_deref()).await?),
        "messages.thread" => answer(messages.thread(&args.id("id")).await?),
        "messages.list" => {
            let filter = MessageFilter {
                to: args.take("to"),
                from: args.take("from"),
                limit: args.take("limit").unwrap_or(100),
                cursor: args.take("cursor"),
            };
            answer(messages.list(filter).await?)
        }
        "keys.list" => answer(keys.list(args.take::<String>("agent").as_deref()).await?),
        "keys.rotate" => identity(&keys.rotate(&args.need::<String>("agent")).await?),
        "keys.rotate_in_store" => answer(keys.rotate_in_store(&args.need::<String>("agent")).await?),
        "keys.rewrap" => answer(keys.rewrap(WrappingKey::generate()?).await?),
        "keys.import_rows" => {
            let import = KeyImport {
                rows: args.take::<Value>("rows").map(|rows| rows.to_string().into()),
                agents: args.take("agents"),
                dry_run: args.take("dry_run").unwrap_or_default(),
            };
            answer(keys.import_rows(import).await?)
        }
        "keys.add" => {
            let (agent, public_key): (String, String) = (args.need("agent"), args.need("public_key"));
            answer(keys.add(&agent, &public_key).await?)
        }
        "keys.revoke" => {
            let [agent, key_id, reason] = ["agent", "key_id", "reason"].map(|name| args.need::<String>(name));
            answer(keys.revoke(&agent, &key_id, &reason).await?)
        }
        "identities.read" => identity(&key_file(&args.need::<String>("text"), args.take("mode"))?),
        "tokens.sign" => {
            let key = key_file(&args.need::<String>("key"), None)?;
            let (to, of_type, at) =
                (args.need::<String>("audience"), args.need::<String>("type"), args.moment("at"));
            let draft = Draft::new(key.agent(), to, of_type, at).namespace(namespace);
            answer(token::sign(&draft.body(args.take::<Json>("body").unwrap_or_default()), &key)?)
        }
        "tokens.verify" => {
            let keys = KeyList { namespace: "default".to_owned(), keys: args.need("keys") };
            let audiences = vec![args.need("audience")];
            let expect = Expect { namespace: "default".to_owned(), audiences, now: args.moment("at") };
            let token = token::verify(&args.need::<String>("token"), &keys, &expect)?.into_inner();
            let Token { id, sender, key_id, body, .. } = token;
            json!({"id": id, "sender": sender, "key_id": key_id, "body": body.value()})
        }
        unknown => panic!("no operation {unknown}"),
    };
    with.done();
    Ok(answer)
}

/// Where a subscription begins or goes on.
fn place(args: &mut Args) -> events::Start {
    match (args.take("after_seq"), args.time("start")) {
        (Some(seq), _) => events::Start::After(seq),
        (None, Some(at)) => events::Start::Since(at),
        (None, None) => events::Start::Now,
    }
}

fn new_event(args: &mut Args) -> NewEvent {
    NewEvent {
        payload: args.take("payload"),
        source: args.take("source"),
        task_id: args.take("task").map(id),
        correlation_id: args.take("correlation_id"),
        key: args.take("key"),
        cause: args.take("cause"),
        ..NewEvent::new(args.need::<String>("topic"))
    }
}

struct Args {
    with: Map<String, Value>,
    start: DateTime<Utc>,
}

impl Args {
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.with.remove(name)?;
        Some(serde_json::from_value(value).unwrap_or_else(|e| panic!("{name}: {e}")))
    }

    fn need<T: DeserializeOwned>(&mut self, name: &str) -> T {
        self.take(name).unwrap_or_else(|| panic!("{name} is needed"))
    }

    fn span(&mut self, name: &str) -> Option<Duration> {
        self.take(name).map(Duration::from_secs_f64)
    }

    fn time(&mut self, name: &str) -> Option<DateTime<Utc>> {
        let start = self.start;
        self.span(name).map(|span| start + span)
    }

    /// Also one before the start.
    fn moment(&mut self, name: &str) -> DateTime<Utc> {
        self.start + TimeDelta::seconds(self.need(name))
    }

    fn id(&mut self, name: &str) -> String {
        id(self.need(name))
    }

    /// Of a claimed task or a lease.
    fn lease(&mut self) -> Lease {
        let task: Value = self.need("task");
        let lease = task.get("lease").cloned().unwrap_or(task);
        let lease = lease.get("string").cloned().unwrap_or(lease);
        serde_json::from_value(lease).unwrap_or_else(|e| panic!("task: no lease: {e}"))
    }

    fn inner(&mut self, name: &str) -> Args {
        Args { with: self.need(name), start: self.start }
    }

    fn many<T>(&mut self, name: &str, read: impl Fn(&mut Args) -> T) -> Vec<T> {
        let start = self.start;
        let each = |with| {
            let mut args = Args { with, start };
            let one = read(&mut args);
            args.done();
            one
        };
        self.need::<Vec<Map<String, Value>>>(name).into_iter().map(each).collect()
    }

    fn done(self) {
        assert!(self.with.is_empty(), "unknown arguments: {:?}", self.with);
    }
}

fn answer(value: impl Serialize) -> Value {
    let mut answer = serde_json::to_value(value).unwrap();
    take_apart(&mut answer);
    answer
}

/// What everybody may know of it.
pub(super) fn identity(key: &Ed25519Key) -> Value {
    json!({"agent": key.agent(), "key_id": key.key_id(), "public_key": key.public_key().to_string()})
}

/// A key from a file of this text and mode.
fn key_file(text: &str, mode: Option<String>) -> Result<Ed25519Key> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, text).unwrap();
    let mode = u32::from_str_radix(mode.as_deref().unwrap_or("600"), 8).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    Ed25519Key::read(path)
}

/// The leases in it, whose JSON is their string.
fn take_apart(answer: &mut Value) {
    if let Some(lease) = answer.get_mut("lease")
        && let Some(Lease { task_id, version, attempt, expires_at, .. }) =
            lease.as_str().and_then(|l| l.parse().ok())
    {
        *lease = json!({"string": lease, "task_id": task_id, "version": version, "attempt": attempt,
            "expires_at": expires_at});
    }
    if let Value::Array(items) = answer {
        items.iter_mut().for_each(take_apart);
    }
}

/// A word that may be a wrong one.
fn word<T: FromStr<Err = Error>>(word: Option<String>) -> Result<Option<T>> {
    word.map(|word| word.parse()).transpose()
}

/// A task in any form that has its id.
fn id(value: Value) -> String {
    let id = value.get("id").cloned().unwrap_or(value);
    id.as_str().unwrap_or_else(|| panic!("{id} is no id")).to_owned()
}

fn dependency(value: Value) -> Dependency {
    let Some(prerequisite) = value.get("prerequisite") else { return id(value).into() };
    let dependency_type = value.get("type").and_then(Value::as_str).unwrap_or("blocks").parse().unwrap();
    let weight = value.get("weight").and_then(Value::as_f64);
    Dependency { weight, ..Dependency::new(id(prerequisite.clone()), dependency_type) }
}

fn new_task(args: &mut Args) -> NewTask {
    let mut task = NewTask::new(args.need::<String>("type"));
    task.id = args.take("id").unwrap_or(task.id);
    task.payload = args.take::<Json>("payload").unwrap_or(task.payload);
    task.title = args.take("title").unwrap_or_default();
    task.description = args.take("description").unwrap_or_default();
    task.priority = args.take::<String>("priority").map_or(task.priority, |word| word.parse().unwrap());
    task.priority_weight = args.take("priority_weight").unwrap_or(task.priority_weight);
    task.required_capabilities = args.take("requires").unwrap_or_default();
    task.preferred_capabilities = args.take("prefers").unwrap_or_default();
    (task.assigned_to, task.delegated_by) = (args.take("assigned_to"), args.take("delegated_by"));
    task.parent_id = args.take("parent").map(id);
    task.correlation_id = args.take("correlation_id");
    task.wait_for = args.take::<WaitFor>("wait_for").unwrap_or_default();
    let edges: Vec<Value> = args.take("depends_on").unwrap_or_default();
    task.depends_on = edges.into_iter().map(dependency).collect();
    task.on_prerequisite_failure =
        args.take("on_prerequisite_failure").unwrap_or(task.on_prerequisite_failure);
    task.unique_key = args.take("unique_key");
    task.start = match (args.time("run_at"), args.span("delay")) {
        (Some(at), _) => Start::At(at),
        (None, delay) => delay.map_or(Start::Now, Start::After),
    };
    task.expiry = match (args.time("expires_at"), args.span("expires_in")) {
        (Some(at), _) => Expiry::At(at),
        (None, span) => span.map_or(Expiry::Default, Expiry::After),
    };
    task.max_attempts = args.take("max_attempts");
    task.max_runtime = args.span("max_runtime");
    if args.with.contains_key("retry") {
        let (mut given, all) = (args.inner("retry"), RetryPolicy::default());
        task.retry = Some(RetryPolicy {
            base: given.span("base").unwrap_or(all.base),
            cap: given.span("cap").unwrap_or(all.cap),
            jitter: given.take("jitter").unwrap_or(all.jitter),
        });
        given.done();
    }
    task
}

fn new_message(args: &mut Args) -> NewMessage {
    NewMessage {
        to: args.need("to"),
        message_type: args.need("type"),
        body: args.take("body").unwrap_or_default(),
        sender: args.take("sender"),
        task_id: args.take("task").map(id),
        reply_to: args.take("reply_to").map(id),
        dedupe_key: args.take("dedupe_key"),
        ttl: args.span("ttl"),
        urgent: args.take("urgent").unwrap_or_default(),
    }
}

fn thresholds(args: &mut Args) -> Thresholds {
    let usual = Thresholds::default();
    Thresholds {
        dead_after: args.span("dead_after").unwrap_or(usual.dead_after),
        stuck_after: args.span("stuck_after").unwrap_or(usual.stuck_after),
    }
}

fn new_agent(args: &mut Args) -> NewAgent {
    NewAgent {
        id: args.need("id"),
        display_name: args.take("display_name"),
        role: args.take("role"),
        aliases: args.take("aliases").unwrap_or_default(),
        capabilities: args.take("capabilities").unwrap_or_default(),
        max_concurrent: args.take("max_concurrent"),
        metadata: args.take("metadata").unwrap_or_default(),
    }
}

fn filter(args: &mut Args) -> Filter {
    Filter {
        status: args.take("status"),
        task_type: args.take("type"),
        assigned_to: args.take("assigned_to"),
        claimed_by: args.take("claimed_by"),
        parent_id: args.take("parent").map(id),
        cursor: args.take("cursor"),
        limit: args.take("limit").unwrap_or(100),
    }
}

fn update(args: &mut Args) -> TaskUpdate {
    let start = args.start;
    let at = |seconds: Option<f64>| seconds.map(|seconds| start + Duration::from_secs_f64(seconds));
    TaskUpdate {
        title: args.take("title"),
        description: args.take("description"),
        payload: args.take::<Json>("payload"),
        priority: args.take::<String>("priority").map(|word| word.parse().unwrap()),
        priority_weight: args.take("priority_weight"),
        run_at: args.take("run_at").map(at),
        expires_at: args.take("expires_at").map(at),
        assigned_to: args.take("assigned_to"),
    }
}

fn finish(operation: &str, args: &mut Args) -> Finish {
    let (lease, usage) = (args.lease(), args.take::<Usage>("usage"));
    let outcome = match operation {
        "tasks.complete" => Outcome::Complete { results: args.take("results").unwrap_or_default(), usage },
        "tasks.fail" => Outcome::Fail(Failure {
            retryable: args.take("retryable").unwrap_or(true),
            retry_after: args.span("retry_after"),
            results: args.take("results"),
            usage,
            ..Failure::new(args.need::<String>("error"))
        }),
        "tasks.snooze" => Outcome::Snooze { after: args.span("after").expect("after") },
        _ => Outcome::Release,
    };
    Finish { lease, outcome }
}

/// `{"complete": {...}}`
fn tagged(args: &mut Args) -> Finish {
    let (name, with) =
        std::mem::take(&mut args.with).into_iter().next().expect("complete, fail, release or snooze");
    let with = with.as_object().expect("its arguments").clone();
    let mut inner = Args { with, start: args.start };
    let finish = finish(&format!("tasks.{name}"), &mut inner);
    inner.done();
    finish
}
