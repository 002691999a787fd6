//! The router's cycle, and an agent's own view.

mod kills;

pub(crate) use kills::die;

use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::{
    Kurultai,
    agents::{HandBack, Lead, NewAgent, Watch},
    cycle::{Attention, CycleReport},
    events::EventFilter,
    messages::{AgentMessage, Ed25519Key, Inbox, MessageFilter, NewMessage},
    tasks::{Expiry, NewTask, Priority, Status},
};
use std::{future::poll_fn, pin::pin, task::Poll};

cases![
    a_task_goes_to_who_can_do_it_with_a_signed_word,
    what_nobody_can_do_is_named_and_stays,
    what_was_assigned_without_a_word_is_told,
    the_load_is_shared_by_what_each_may_hold,
    a_cycle_that_ends_at_any_point_delegates_once,
    a_role_that_is_free_meanwhile_is_taken_up_again,
    who_may_not_take_the_role_up_again_is_told_so,
    two_cycles_at_once_delegate_once,
    what_was_told_and_never_read_is_told_again_once,
    what_was_read_is_not_told_again,
    who_lost_the_role_delegates_nothing_more,
    nobody_keeps_a_delegation_back,
    one_agent_routes_at_a_time,
    who_sleeps_on_work_is_named,
    who_drains_is_given_nothing,
    what_sat_with_who_is_gone_is_given_to_others,
    many_tasks_cost_few_statements,
    what_is_critical_is_said_alone,
    whose_inbox_is_full_is_named_and_others_get_the_tasks,
    while_everything_is_stopped_nobody_is_given_anything,
    who_is_given_tasks_and_nobody_knows_is_named,
    an_agent_sees_what_is_its_own,
];

/// A team with a router, a tester and a developer, open as the router.
async fn council(team: &Team) -> Kurultai {
    let key = Ed25519Key::generate("kublai").unwrap();
    team.agent("kublai", &["routing"]).await;
    team.agent("jochi", &["testing"]).await;
    team.agent("temujin", &["coding", "testing"]).await;
    team.k.keys().add("kublai", &key.public_key().to_string()).await.unwrap();
    team.reopen(|config| config.identity(key)).await
}

fn given(report: &CycleReport) -> Vec<(&str, &str)> {
    report.delegated.iter().map(|one| (one.task.id.as_str(), one.to.as_str())).collect()
}

async fn messages_of(team: &Team, agent: &str) -> usize {
    let filter = MessageFilter { to: Some(agent.to_owned()), ..MessageFilter::default() };
    team.k.messages().list(filter).await.unwrap().messages.len()
}

async fn count(team: &Team, topic: &str) -> usize {
    let filter = EventFilter { topic: Some(topic.into()), ..EventFilter::default() };
    team.k.events().read(filter).await.unwrap().events.len()
}

async fn a_task_goes_to_who_can_do_it_with_a_signed_word(team: Team) {
    let kublai = council(&team).await;
    let quiet = kublai.cycle("Kublai").await.unwrap();
    assert_eq!((quiet.text.as_str(), quiet.attention), ("HEARTBEAT_OK", Attention::Nothing));
    assert!(quiet.term.is_some());
    let id = team.add(task("Fix it").requires(["coding"])).await;
    let report = kublai.cycle("kublai").await.unwrap();
    assert_eq!(given(&report), [(id.as_str(), "temujin")]);
    assert_eq!(report.text, format!("delegated 1 task:\n- temujin: review {id} Fix it"));
    assert_eq!(report.attention, Attention::Work);
    let task = team.get(&id).await;
    assert_eq!((task.status, task.assigned_to.as_deref()), (Status::Pending, Some("temujin")));
    assert_eq!(task.delegated_by.as_deref(), Some("kublai"));
    let told = ["task.enqueued", "message.received", "task.assigned"];
    assert_eq!(team.topics(&id).await, told);
    let mine = Inbox { agent: Some("temujin".into()), ..Inbox::default() };
    let [message] = &team.k.messages().inbox(mine).await.unwrap()[..] else { panic!("one message") };
    assert_eq!((message.sender.as_str(), message.message_type.as_str()), ("kublai", "task_delegation"));
    assert_eq!(message.task_id.as_deref(), Some(id.as_str()));
    assert_eq!(message.body.value()["title"], "Fix it");
    assert!(team.claim("jochi", 1).await.is_empty());
    assert_eq!(team.claim_one("temujin").await.id, id);
    let again = kublai.cycle("kublai").await.unwrap();
    assert_eq!(again.text, "HEARTBEAT_OK", "it is told once");
}

async fn what_nobody_can_do_is_named_and_stays(team: Team) {
    let kublai = council(&team).await;
    let id = team.add(task("Dinner").requires(["cooking", "coding"])).await;
    let report = kublai.cycle("kublai").await.unwrap();
    assert_eq!((report.delegated.len(), report.stuck.len()), (0, 1));
    assert_eq!(report.text, format!("nobody can do 1 task:\n- review {id} Dinner needs cooking, coding"));
    assert_eq!(team.get(&id).await.assigned_to, None);
    team.agent("cook", &["cooking", "coding"]).await;
    assert_eq!(given(&kublai.cycle("kublai").await.unwrap()), [(id.as_str(), "cook")]);
}

async fn what_was_assigned_without_a_word_is_told(team: Team) {
    let kublai = council(&team).await;
    let id = team.add(task("Look").assigned_to("jochi")).await;
    let report = kublai.cycle("kublai").await.unwrap();
    assert_eq!(given(&report), [(id.as_str(), "jochi")]);
    assert!(!report.delegated[0].assigned);
    assert_eq!((count(&team, "task.assigned").await, messages_of(&team, "jochi").await), (0, 1));
    team.k.tasks().assign(&id, Some("temujin"), None).await.unwrap();
    assert_eq!(given(&kublai.cycle("kublai").await.unwrap()), [(id.as_str(), "temujin")], "another agent");
    assert_eq!(given(&kublai.cycle("kublai").await.unwrap()), []);
    team.k.tasks().assign(&id, None, None).await.unwrap();
    for agent in ["jochi", "temujin"] {
        team.k.agents().drain(agent).await.unwrap();
    }
    team.agent("jochi", &["testing"]).await;
    assert_eq!(given(&kublai.cycle("kublai").await.unwrap()), [(id.as_str(), "jochi")]);
    assert_eq!(messages_of(&team, "jochi").await, 1, "it has its word already");
    assert_eq!(team.get(&id).await.assigned_to.as_deref(), Some("jochi"));
}

async fn the_load_is_shared_by_what_each_may_hold(team: Team) {
    let kublai = council(&team).await;
    let few = NewAgent::new("jochi").capabilities(["testing"]).max_concurrent(1);
    let many = NewAgent::new("temujin").capabilities(["testing"]).max_concurrent(3);
    team.k.agents().register_many(vec![few, many]).await.unwrap();
    for n in 0..8 {
        team.add(task(&n.to_string()).requires(["testing"])).await;
    }
    let urgent = team.add(task("urgent").priority(Priority::P0).requires(["testing"])).await;
    team.add(task("later").requires(["testing"]).delay(std::time::Duration::from_secs(60))).await;
    let report = kublai.cycle("kublai").await.unwrap();
    let to = |agent: &str| report.delegated.iter().filter(|one| one.to == agent).count();
    assert_eq!((to("jochi"), to("temujin")), (3, 6));
    assert_eq!(report.delegated[0].task.id, urgent);
    assert_eq!(messages_of(&team, "temujin").await, 6);
}

/// As where its process is killed there.
async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..times {
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(done) = polled {
            return Some(done);
        }
        // What it waits for wakes this task.
        let mut once = false;
        poll_fn(|_| if std::mem::replace(&mut once, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
    None
}

async fn a_cycle_that_ends_at_any_point_delegates_once(team: Team) {
    let kublai = council(&team).await;
    let mut tasks = 0;
    for times in 0.. {
        team.k.agents().beat_many(&["kublai", "jochi", "temujin"], false).await.unwrap();
        let ids: Vec<String> =
            vec![team.add(task("one").requires(["coding"])).await, team.add(task("two")).await];
        tasks += ids.len();
        let ended = polled(times, kublai.cycle("kublai")).await;
        // Also where the role that the dropped call had taken is just being handed back.
        let report = kublai.cycle("kublai").await.unwrap();
        assert!(report.stuck.is_empty(), "{report:?}");
        for id in &ids {
            let told: Vec<String> = team.topics(id).await;
            assert_eq!(told, ["task.enqueued", "message.received", "task.assigned"], "after {times} polls");
        }
        if ended.is_some() {
            break;
        }
    }
    let all = [messages_of(&team, "jochi").await, messages_of(&team, "temujin").await];
    assert_eq!(all.iter().sum::<usize>(), tasks);
}

async fn a_role_that_is_free_meanwhile_is_taken_up_again(team: Team) {
    let kublai = council(&team).await;
    for times in 0.. {
        let leads = kublai.agents().lead("router", "kublai", Lead::default()).await.unwrap();
        let id = team.add(task("one").requires(["coding"])).await;
        let mut cycle = pin!(kublai.cycle("kublai"));
        let early = polled(times, &mut cycle).await;
        // As a cycle does that was dropped.
        leads.hand_back(HandBack::default()).await.unwrap();
        let is_over = early.is_some();
        let report = match early {
            Some(report) => report,
            None => cycle.await,
        };
        assert_eq!(given(&report.unwrap()), [(id.as_str(), "temujin")], "after {times} polls");
        assert_eq!(team.topics(&id).await, ["task.enqueued", "message.received", "task.assigned"]);
        if is_over {
            break;
        }
    }
}

async fn who_may_not_take_the_role_up_again_is_told_so(team: Team) {
    let kublai = council(&team).await;
    let key = Ed25519Key::generate("ogedei").unwrap();
    team.agent("ogedei", &["operations"]).await;
    team.k.keys().add("ogedei", &key.public_key().to_string()).await.unwrap();
    let ogedei = team.reopen(|config| config.identity(key)).await;
    let mut refused = 0;
    for times in 0.. {
        let leads = ogedei.agents().lead("router", "ogedei", Lead::default()).await.unwrap();
        let id = team.add(task("one").requires(["coding"])).await;
        let mut cycle = pin!(ogedei.cycle("ogedei"));
        let early = polled(times, &mut cycle).await;
        leads.hand_back(HandBack::default()).await.unwrap();
        if early.is_some() {
            break;
        }
        match cycle.await {
            Err(error) if error.code() == "role.stale_term" => refused += 1,
            // It has not routed, or had done so when it was handed back.
            done => drop(done.unwrap()),
        }
        kublai.cycle("kublai").await.unwrap();
        assert_eq!(team.topics(&id).await, ["task.enqueued", "message.received", "task.assigned"]);
    }
    assert!(refused > 0);
}

async fn what_sat_with_who_is_gone_is_given_to_others(team: Team) {
    let kublai = council(&team).await;
    let draining = team.add(task("Drains").requires(["testing"]).assigned_to("jochi")).await;
    let only = team.add(task("Only").requires(["coding"]).assigned_to("temujin")).await;
    assert_eq!(kublai.cycle("kublai").await.unwrap().delegated.len(), 2, "they are told");
    team.k.agents().beat_many(&["kublai", "jochi", "temujin"], false).await.unwrap();
    team.k.agents().drain("jochi").await.unwrap();
    let mut watcher = team.k.agents().watcher(Watch::default()).unwrap();
    assert_eq!(watcher.check().await.unwrap().released, 1);
    let report = kublai.cycle("kublai").await.unwrap();
    assert_eq!(given(&report), [(draining.as_str(), "temujin")], "to the other one that can test");
    assert_eq!(team.get(&draining).await.delegated_by.as_deref(), Some("kublai"));
    // Nobody has heard of temujin since, who alone can code.
    let mut dead = vec![];
    for _ in 0..14 {
        team.seconds(10);
        team.k.agents().beat_many(&["kublai", "jochi"], false).await.unwrap();
        dead.extend(watcher.check().await.unwrap().dead);
    }
    assert_eq!(dead, ["temujin"]);
    let report = kublai.cycle("kublai").await.unwrap();
    assert_eq!(report.stuck.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), [&draining, &only]);
    assert_eq!(report.stale.iter().map(|health| health.agent.as_str()).collect::<Vec<_>>(), ["temujin"]);
    assert_eq!((team.get(&only).await.assigned_to, team.get(&draining).await.assigned_to), (None, None));
    // A new process of jochi's takes work again.
    team.agent("jochi", &["testing"]).await;
    let report = kublai.cycle("kublai").await.unwrap();
    assert_eq!(team.get(&draining).await.assigned_to.as_deref(), Some("jochi"), "{report:?}");
    team.agent("temujin", &["coding", "testing"]).await;
    kublai.cycle("kublai").await.unwrap();
    assert_eq!(team.get(&only).await.assigned_to.as_deref(), Some("temujin"));
}

async fn two_cycles_at_once_delegate_once(team: Team) {
    let kublai = council(&team).await;
    let _leads = kublai.agents().lead("router", "kublai", Lead::default()).await.unwrap();
    for n in 0..20 {
        team.add(task(&n.to_string()).requires(["testing"])).await;
    }
    let (one, other) = tokio::join!(kublai.cycle("kublai"), kublai.cycle("kublai"));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.delegated.len() + other.delegated.len(), 20);
    assert_eq!(messages_of(&team, "jochi").await + messages_of(&team, "temujin").await, 20);
    assert_eq!(count(&team, "task.assigned").await, 20);
}

/// What a delegation lives.
const LIFE: u64 = 86_400;

/// One that outlives its delegations.
fn lasting(title: &str) -> NewTask {
    NewTask { expiry: Expiry::Never, ..task(title).requires(["coding"]) }
}

async fn what_was_told_and_never_read_is_told_again_once(team: Team) {
    let kublai = council(&team).await;
    let ids = [team.add(lasting("one")).await, team.add(lasting("two")).await];
    let beat = || async { team.k.agents().beat_many(&["kublai", "jochi", "temujin"], false).await.unwrap() };
    assert_eq!(kublai.cycle("kublai").await.unwrap().delegated.len(), 2);
    for (swept, times) in [(false, 2), (true, 3)] {
        team.seconds(LIFE - 1);
        beat().await;
        assert_eq!(given(&kublai.cycle("kublai").await.unwrap()), [], "its word still waits");
        team.seconds(1);
        beat().await;
        if swept {
            team.k.maintain().await.unwrap();
        }
        let leads = kublai.agents().lead("router", "kublai", Lead::default()).await.unwrap();
        let (one, other) = tokio::join!(kublai.cycle("kublai"), kublai.cycle("kublai"));
        let both = [one.unwrap(), other.unwrap()];
        let again = both.iter().flat_map(|report| &report.delegated);
        assert!(again.clone().all(|one| !one.assigned && one.to == "temujin"));
        assert_eq!(again.count(), 2);
        assert_eq!(messages_of(&team, "temujin").await, 2 * times);
        assert_eq!(count(&team, "message.expired").await, 2 * (times - 1));
        assert_eq!(given(&kublai.cycle("kublai").await.unwrap()), []);
        leads.hand_back(HandBack::default()).await.unwrap();
    }
    for id in &ids {
        let task = team.get(id).await;
        assert_eq!((task.status, task.assigned_to.as_deref()), (Status::Pending, Some("temujin")));
    }
    assert_eq!(count(&team, "task.assigned").await, 2);
}

async fn what_was_read_is_not_told_again(team: Team) {
    let kublai = council(&team).await;
    for title in ["acknowledged", "rejected"] {
        team.add(lasting(title)).await;
    }
    kublai.cycle("kublai").await.unwrap();
    let mine = Inbox { agent: Some("temujin".into()), ..Inbox::default() };
    let [read, refused] = &team.k.messages().inbox(mine).await.unwrap()[..] else { panic!("two messages") };
    team.k.messages().ack(&[read.receipt()]).await.unwrap().remove(0).unwrap();
    team.k.messages().reject(&refused.receipt(), "no time").await.unwrap();
    team.seconds(2 * LIFE);
    team.k.agents().beat_many(&["kublai", "jochi", "temujin"], false).await.unwrap();
    team.k.maintain().await.unwrap();
    assert_eq!(given(&kublai.cycle("kublai").await.unwrap()), []);
    assert_eq!(messages_of(&team, "temujin").await, 2);
}

async fn who_lost_the_role_delegates_nothing_more(team: Team) {
    let kublai = council(&team).await;
    team.agent("ogedei", &[]).await;
    for times in 0.. {
        team.k.agents().beat_many(&["kublai", "jochi", "temujin", "ogedei"], false).await.unwrap();
        let leads = kublai.agents().lead("router", "kublai", Lead::default()).await.unwrap();
        let id = team.add(task("one").requires(["coding"])).await;
        let mut cycle = pin!(kublai.cycle("kublai"));
        let early = polled(times, &mut cycle).await;
        let to_ogedei = HandBack::default().to("ogedei");
        team.k.agents().hand_back("router", "kublai", to_ogedei).await.unwrap();
        let other = team.k.agents().lead("router", "ogedei", Lead::default()).await.unwrap();
        let lost = team.k.events().last_seq().await.unwrap();
        let over = early.is_some();
        let late = match early {
            Some(early) => early,
            None => cycle.await,
        };
        if let Err(error) = late {
            assert!(["role.stale_term", "role.held"].contains(&error.code()), "{error}");
        }
        let filter = EventFilter { task_id: Some(id), ..EventFilter::default() };
        let events = team.k.events().read(filter).await.unwrap().events;
        assert!(events.iter().all(|event| event.seq <= lost), "after {times} polls: {events:?}");
        other.hand_back(HandBack::default()).await.unwrap();
        drop(leads);
        // What was left is delegated by who routes then.
        kublai.cycle("kublai").await.unwrap();
        if over {
            break;
        }
    }
}

async fn nobody_keeps_a_delegation_back(team: Team) {
    let kublai = council(&team).await;
    let mut others = vec![];
    for (agent, capability) in [("mallory", "testing"), ("ogedei", "routing")] {
        team.agent(agent, &[capability]).await;
        let key = team.k.keys().rotate(agent).await.unwrap();
        others.push(team.reopen(|config| config.identity(key)).await);
    }
    let [mallory, ogedei] = &others[..] else { panic!("two") };
    let id = team.add(task("one").requires(["coding"])).await;
    // What they say to themselves or to the one whom the task is for.
    for (from, to) in [(mallory, "mallory"), (&kublai, "temujin")] {
        let dedupe_key = Some(format!("task:{id}:temujin"));
        let message =
            NewMessage { dedupe_key, ..NewMessage::new(to, "task_delegation", serde_json::json!("mine")) };
        from.messages().send(message).await.unwrap();
    }
    assert_eq!(given(&kublai.cycle("kublai").await.unwrap()), [(id.as_str(), "temujin")]);
    assert_eq!(messages_of(&team, "temujin").await, 2);
    for router in [(&kublai, "kublai"), (ogedei, "ogedei")] {
        assert_eq!(given(&router.0.cycle(router.1).await.unwrap()), [], "{} knows of it", router.1);
    }
}

async fn one_agent_routes_at_a_time(team: Team) {
    let kublai = council(&team).await;
    team.agent("ogedei", &["operations"]).await;
    let leads = team.k.agents().lead("router", "ogedei", Lead::default()).await.unwrap();
    let error = kublai.cycle("kublai").await.unwrap_err();
    assert_eq!(error.code(), "role.held");
    assert!(error.message().contains("ogedei"), "{error}");
    let id = team.add(task("one")).await;
    assert_eq!(code(team.k.cycle("ogedei").await), "config.identity", "it cannot sign here");
    assert_eq!(team.get(&id).await.assigned_to, None, "nothing was stored");
    leads.hand_back(HandBack::default()).await.unwrap();
    assert_eq!(kublai.cycle("kublai").await.unwrap().delegated.len(), 1);
    assert_eq!(team.k.agents().leader("router").await.unwrap(), None, "it is held for the cycle alone");
    assert_eq!(code(kublai.cycle("nobody").await), "agent.not_found");
}

async fn who_sleeps_on_work_is_named(team: Team) {
    let kublai = council(&team).await;
    let id = team.add(task("Look").requires(["coding"])).await;
    team.seconds(300);
    team.k.agents().beat_many(&["kublai", "jochi"], false).await.unwrap();
    let report = kublai.cycle("kublai").await.unwrap();
    assert_eq!(report.asleep, ["temujin"]);
    let text = format!("delegated 1 task:\n- temujin: review {id} Look\nasleep with work: temujin");
    assert_eq!(report.text, text);
    let report = kublai.cycle("kublai").await.unwrap();
    assert_eq!((report.delegated.len(), report.asleep), (0, vec!["temujin".to_owned()]), "until it wakes");
    team.k.agents().beat("temujin").await.unwrap();
    assert!(kublai.cycle("kublai").await.unwrap().asleep.is_empty());
}

async fn who_drains_is_given_nothing(team: Team) {
    let kublai = council(&team).await;
    team.k.agents().drain("temujin").await.unwrap();
    let id = team.add(NewTask::new("code").requires(["coding"])).await;
    let report = kublai.cycle("kublai").await.unwrap();
    assert_eq!(report.stuck.iter().map(|task| task.id.as_str()).collect::<Vec<_>>(), [id]);
}

async fn many_tasks_cost_few_statements(team: Team) {
    let kublai = council(&team).await;
    let _leads = kublai.agents().lead("router", "kublai", Lead::default()).await.unwrap();
    let mut sent = vec![];
    for count in [1, 5, 50] {
        let tasks = (0..count).map(|n| task(&n.to_string()).requires(["testing"]));
        team.k.tasks().enqueue_many(tasks.collect()).await.unwrap();
        let before = kublai.statements();
        assert_eq!(kublai.cycle("kublai").await.unwrap().delegated.len(), count);
        sent.push(kublai.statements() - before);
    }
    // SQLite's go to no server: each row that is looked at or written is one.
    let of_each = if team.k.store_name() == "sqlite" { 10 } else { 0 };
    assert!(sent[2] < sent[1] + 45 * of_each + 5, "{sent:?}");
    assert!(sent[1] < 30 + 5 * of_each, "{sent:?}");
}

async fn what_is_critical_is_said_alone(team: Team) {
    let kublai = council(&team).await;
    team.add(task("one").requires(["cooking"])).await;
    for _ in 0..11 {
        assert_eq!(code(team.k.messages().accept("no token").await), "sig.malformed");
    }
    let report = kublai.cycle("kublai").await.unwrap();
    let text = "more than 10 messages within a minute that name no sender were refused: sig.malformed";
    assert_eq!((report.text.as_str(), report.attention), (text, Attention::Alert));
    assert_eq!((report.stuck.len(), report.alerts.len()), (1, 1));
}

async fn whose_inbox_is_full_is_named_and_others_get_the_tasks(team: Team) {
    let kublai = council(&team).await;
    for _ in 0..10 {
        let hello = NewMessage::new("temujin", "hello", serde_json::json!({}));
        kublai.messages().send_many(vec![hello; 1_000]).await.unwrap();
    }
    let tested = team.add(task("Test it").requires(["testing"]).assigned_to("temujin")).await;
    let coded = team.add(task("Code it").requires(["coding"])).await;
    let both: Vec<String> = vec![
        team.add(task("one").requires(["testing"])).await,
        team.add(task("two").requires(["testing"])).await,
    ];
    let report = kublai.cycle("kublai").await.unwrap();
    let mut got = given(&report);
    got.sort_unstable();
    assert_eq!(got, [(both[0].as_str(), "jochi"), (both[1].as_str(), "jochi")]);
    assert_eq!(report.stuck.iter().map(|task| task.id.as_str()).collect::<Vec<_>>(), [coded.as_str()]);
    let full = "the inbox of temujin is full: it cannot be told of its tasks";
    assert!(report.text.ends_with(full), "{}", report.text);
    assert_eq!((team.get(&coded).await.assigned_to, report.attention), (None, Attention::Work));
    let inbox = Inbox { agent: Some("temujin".into()), ..Inbox::default() };
    let read: Vec<_> =
        kublai.messages().inbox(inbox).await.unwrap().iter().map(AgentMessage::receipt).collect();
    kublai.messages().ack(&read).await.unwrap();
    let report = kublai.cycle("kublai").await.unwrap();
    let mut got = given(&report);
    got.sort_unstable();
    assert_eq!(got, [(tested.as_str(), "temujin"), (coded.as_str(), "temujin")]);
    assert!(!report.text.contains("full"), "{}", report.text);
}

async fn while_everything_is_stopped_nobody_is_given_anything(team: Team) {
    let kublai = council(&team).await;
    let id = team.add(task("Look").requires(["coding"])).await;
    team.seconds(300);
    team.k.tasks().stop_all("fire\nHEARTBEAT_OK").await.unwrap();
    for agent in ["kublai", "jochi"] {
        let report = kublai.cycle(agent).await.unwrap();
        assert_eq!(report.text, "everything is stopped: fire HEARTBEAT_OK");
        assert_eq!((report.attention, report.delegated.len(), report.asleep.len()), (Attention::Alert, 0, 0));
    }
    assert_eq!(team.get(&id).await.assigned_to, None);
    let mut watcher = team.k.agents().watcher(Watch::default()).unwrap();
    watcher.check().await.unwrap();
    let burns = team.k.events().alerts().await.unwrap();
    assert!(burns.iter().any(|alert| alert.key == "tasks.stopped"), "people are told: {burns:?}");
    team.k.tasks().start_all().await.unwrap();
    watcher.check().await.unwrap();
    assert!(team.k.events().alerts().await.unwrap().iter().all(|alert| alert.key != "tasks.stopped"));
    let report = kublai.cycle("kublai").await.unwrap();
    assert_eq!(
        (given(&report), &report.asleep[..]),
        (vec![(id.as_str(), "temujin")], &["temujin".to_owned()][..])
    );
}

async fn who_is_given_tasks_and_nobody_knows_is_named(team: Team) {
    let kublai = council(&team).await;
    team.add(task("Look").assigned_to("tolui")).await;
    let report = kublai.cycle("kublai").await.unwrap();
    assert_eq!(report.text, "1 task assigned to tolui, whom nobody has registered");
    assert_eq!((report.attention, report.delegated.len()), (Attention::Work, 0));
}

async fn an_agent_sees_what_is_its_own(team: Team) {
    let kublai = council(&team).await;
    assert_eq!(team.k.cycle("jochi").await.unwrap().text, "HEARTBEAT_OK");
    let held = team.add(task("Held").requires(["testing"]).assigned_to("jochi")).await;
    team.claim_one("jochi").await;
    let waits = team.add(task("Waits").assigned_to("jochi")).await;
    let other = team.add(task("Other").assigned_to("temujin")).await;
    kublai.cycle("kublai").await.unwrap();
    let report = team.k.cycle("jochi").await.unwrap();
    assert_eq!((report.term, report.inbox.count, report.attention), (None, 1, Attention::Work));
    let text = format!(
        "1 unread message\nyou hold 1 task:\n- review {held} Held\nfor you 1 task:\n- review {waits} Waits"
    );
    assert_eq!(report.text, text);
    assert!(report.tasks.iter().all(|task| task.id != other));
}
