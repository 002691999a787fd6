use crate::{
    cases,
    fixture::{Team, code, task},
};
use chrono::{DateTime, Utc};
use futures::future::{join_all, maybe_done};
use kurultai_core::{
    Json,
    events::EventFilter,
    tasks::{Dependency, DependencyType, Expiry, Failure, NewTask, Priority, Status, WaitFor},
};
use serde_json::json;
use std::time::Duration;

cases![
    a_task_is_read_back_as_it_was_given,
    an_unknown_task_is_not_found,
    a_whole_plan_goes_in_as_one,
    one_bad_task_keeps_its_whole_batch_out,
    a_refused_caller_does_not_harm_its_neighbours,
    a_unique_key_makes_one_task,
    payloads_are_the_same_where_they_say_the_same,
    a_number_that_a_language_cannot_read_is_refused,
    a_task_that_came_to_nothing_gives_its_key_to_the_next,
    one_key_from_many_at_once_makes_one_task,
    an_enqueue_whose_answer_was_lost_can_be_repeated,
    a_repetition_amid_new_tasks_adds_only_those,
    an_edge_to_a_task_known_by_its_key_finds_it,
    cycles_are_refused_and_named,
    only_what_waits_closes_a_circle,
    a_parent_that_waits_for_its_child_cannot_be_what_the_child_waits_for,
    no_circle_closes_through_two_parents,
    what_was_sent_before_a_close_is_committed,
    an_unknown_parent_is_refused,
    times_come_back_or_are_refused_by_name,
    of_many_the_refused_one_is_named,
    a_large_family_and_a_long_chain_are_looked_through_once,
    a_fixed_expiry_and_a_start_are_kept,
];

async fn a_task_is_read_back_as_it_was_given(team: Team) {
    team.agent("kublai", &[]).await;
    let before = team.add(task("before")).await;
    let id = team
        .add(
            NewTask::new("code")
                .title("Heartbeat writer")
                .description("Every 30 s.")
                .payload(json!({"pr": 42, "tags": ["a", "ü"], "none": null, "half": 0.5}))
                .priority(Priority::P1)
                .priority_weight(0.25)
                .requires(["development", "coding"])
                .prefers(["rust"])
                .assigned_to("temujin")
                .delegated_by("kublai")
                .depends_on([&before])
                .unique_key("P1-T1")
                .max_attempts(7),
        )
        .await;
    let got = team.get(&id).await;
    assert_eq!(got.task_type, "code");
    assert_eq!(got.title, "Heartbeat writer");
    assert_eq!(got.description, "Every 30 s.");
    assert_eq!(got.payload.value(), json!({"pr": 42, "tags": ["a", "ü"], "none": null, "half": 0.5}));
    assert_eq!((got.priority, got.priority_weight), (Priority::P1, 0.25));
    assert_eq!(got.required_capabilities, ["development", "coding"]);
    assert_eq!(got.preferred_capabilities, ["rust"]);
    assert_eq!(got.assigned_to.as_deref(), Some("temujin"));
    assert_eq!(got.delegated_by.as_deref(), Some("kublai"));
    assert_eq!(got.depends_on, [before]);
    assert_eq!(got.unique_key.as_deref(), Some("P1-T1"));
    assert_eq!((got.attempts, got.max_attempts, got.lease_version), (0, 7, 0));
    assert_eq!(got.status, Status::Blocked);
    assert_eq!(got.created_at, team.clock.now());
    assert_eq!(team.topics(&id).await, ["task.enqueued"]);
}

async fn an_unknown_task_is_not_found(team: Team) {
    assert_eq!(code(team.k.tasks().get("nothing").await), "task.not_found");
    assert_eq!(team.k.tasks().get_many(&["nothing"]).await.unwrap(), [None]);
}

async fn a_whole_plan_goes_in_as_one(team: Team) {
    team.agent("jochi", &[]).await;
    let mut last = task("last");
    let first = task("first");
    let middle = task("middle").depends_on([&first.id]);
    last = last.depends_on([&middle.id, &first.id]);
    let ids = [last.id.clone(), middle.id.clone(), first.id.clone()];
    let enqueued = team.k.tasks().enqueue_many(vec![last, middle, first]).await.unwrap();
    assert_eq!(enqueued.iter().map(|e| &e.id).collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    for title in ["first", "middle", "last"] {
        let claimed = team.claim("jochi", 9).await;
        assert_eq!(claimed.iter().map(|c| c.title.as_str()).collect::<Vec<_>>(), [title]);
        team.complete(&claimed[0]).await;
    }
}

async fn one_bad_task_keeps_its_whole_batch_out(team: Team) {
    let good = task("good");
    let bad = task("bad").depends_on(["nobody"]);
    let id = good.id.clone();
    let refused = team.k.tasks().enqueue_many(vec![good, bad]).await;
    assert_eq!(code(refused), "task.dependency_unknown");
    assert_eq!(code(team.k.tasks().get(&id).await), "task.not_found");
    assert_eq!(team.k.events().last_seq().await.unwrap(), 0);
}

async fn a_refused_caller_does_not_harm_its_neighbours(team: Team) {
    let tasks = team.k.tasks();
    let calls = (0..20).map(|i| {
        let new = task(&format!("task {i}"));
        tasks.enqueue(if i % 2 == 0 { new } else { new.depends_on(["nobody"]) })
    });
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().enumerate().all(|(i, answer)| answer.is_ok() == (i % 2 == 0)));
    assert_eq!(team.k.tasks().stats().await.unwrap().by_status[&Status::Pending], 10);
}

async fn a_unique_key_makes_one_task(team: Team) {
    let tasks = team.k.tasks();
    let new = || task("nightly").unique_key("nightly-2026").payload(json!({"a": 1, "b": 2}));
    let first = tasks.enqueue(new()).await.unwrap();
    let second = tasks.enqueue(new()).await.unwrap();
    assert_eq!((first.deduplicated, second.deduplicated), (false, true));
    assert_eq!(first.id, second.id);
    let same = Json::text("{ \"b\": 2, \"a\": 1 }").unwrap();
    assert!(tasks.enqueue(new().payload(same)).await.unwrap().deduplicated);
    assert_eq!(code(tasks.enqueue(new().payload(json!({"a": 3}))).await), "task.conflict");
    let both = tasks.enqueue_many(vec![task("x").unique_key("k"), task("x").unique_key("k")]).await.unwrap();
    assert_eq!((both[0].id == both[1].id, both[1].deduplicated), (true, true));
    assert_eq!(tasks.stats().await.unwrap().by_status[&Status::Pending], 2);
}

async fn payloads_are_the_same_where_they_say_the_same(team: Team) {
    let equal = [
        ["1", "1.0"],
        ["100", "1e2"],
        ["1E+2", "1000e-1"],
        ["-0", "0.0"],
        ["18446744073709551617", "18446744073709551617.00"],
        [r#"{"a":1,"b":[2]}"#, r#" { "b" : [ 2.0 ], "a" : 1 }"#],
        [r#""\u00fc""#, r#""ü""#],
    ];
    let other = [
        [r#"{"id":18446744073709551617}"#, r#"{"id":18446744073709551618}"#],
        ["0.1", "0.10000000000000001"],
        ["1", "-1"],
        ["10", "100"],
        ["1", "\"1\""],
        ["[1]", "[1,1]"],
        [r#"{"a":1}"#, r#"{"a":1,"b":null}"#],
        [r#"{"a":1}"#, r#"{"b":1}"#],
        ["null", "false"],
    ];
    let tasks = team.k.tasks();
    let kinds = equal.into_iter().map(|pair| (pair, true)).chain(other.into_iter().map(|pair| (pair, false)));
    for (n, ([first, second], same)) in kinds.enumerate() {
        let new = |text: &str| task("once").unique_key(format!("key {n}")).payload(Json::text(text).unwrap());
        tasks.enqueue(new(first)).await.unwrap();
        let again = tasks.enqueue(new(second)).await;
        assert_eq!(again.as_ref().is_ok_and(|again| again.deduplicated), same, "{first} {second}");
        assert!(same || code(again) == "task.conflict", "{first} {second}");
    }
}

async fn a_number_that_a_language_cannot_read_is_refused(team: Team) {
    let number = |digits| Json::stored(format!(r#"{{"n":["{0}",{0}]}}"#, "7".repeat(digits)));
    let tasks = team.k.tasks();
    let id = tasks.enqueue(task("long").payload(number(4300))).await.unwrap().id;
    let read = team.get(&id).await.payload;
    assert_eq!(read, number(4300));
    assert_eq!(read.value(), json!({"n": ["7".repeat(4300), "7".repeat(4300)]}));
    let refused = tasks.enqueue(task("long").payload(number(4301))).await.unwrap_err();
    assert_eq!(refused.code(), "input.payload");
    assert!(refused.message().contains("$.n[1]: a number of more than 4300 digits"), "{refused}");
    let texts = Json::text(format!(r#"["{}"]"#, "7".repeat(9000))).unwrap();
    tasks.enqueue(task("text").payload(texts)).await.unwrap();
}

async fn a_task_that_came_to_nothing_gives_its_key_to_the_next(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    let new = |key: &str| task("nightly").unique_key(key).expiry(Expiry::Never);
    let cancelled = new("cancelled");
    tasks.enqueue(cancelled.clone()).await.unwrap();
    tasks.cancel(&cancelled.id, None).await.unwrap();
    let expired = team.add(new("expired").expiry(Expiry::After(Duration::from_secs(10)))).await;
    team.seconds(11);
    team.k.maintain().await.unwrap();
    let dead = team.add(new("dead").max_attempts(1)).await;
    tasks.fail(&team.claim_one("temujin").await.lease, Failure::new("no")).await.unwrap();
    let done = team.add(new("done")).await;
    team.complete(&team.claim_one("temujin").await).await;
    // The same task again is a repetition, whatever became of it.
    assert!(tasks.enqueue(cancelled.clone()).await.unwrap().deduplicated);
    // Who is refused takes no key.
    let refused = vec![new("cancelled"), task("x").depends_on(["nobody"])];
    assert_eq!(code(tasks.enqueue_many(refused).await), "task.dependency_unknown");
    for (key, old) in [("cancelled", &cancelled.id), ("expired", &expired), ("dead", &dead)] {
        assert_eq!(team.get(old).await.unique_key.as_deref(), Some(key));
        let again = tasks.enqueue(new(key).payload(json!("another"))).await.unwrap();
        assert!(!again.deduplicated && again.id != *old, "{key}");
        assert_eq!(team.get(&again.id).await.unique_key.as_deref(), Some(key));
        assert_eq!(code(tasks.enqueue(new(key)).await), "task.conflict");
        assert_eq!(team.get(old).await.unique_key, None);
        assert_eq!(code(tasks.requeue(old).await), "task.conflict", "two would be there for one key");
    }
    assert_eq!(tasks.enqueue(new("done")).await.unwrap().id, done);
}

async fn one_key_from_many_at_once_makes_one_task(team: Team) {
    let tasks = team.k.tasks();
    let calls = (0..24).map(|_| tasks.enqueue(task("once").unique_key("once")));
    let answers = futures::future::join_all(calls).await;
    let ids: std::collections::HashSet<String> = answers.into_iter().map(|a| a.unwrap().id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(tasks.stats().await.unwrap().by_status[&Status::Pending], 1);
}

async fn an_enqueue_whose_answer_was_lost_can_be_repeated(team: Team) {
    let new = task("once");
    let first = team.k.tasks().enqueue(new.clone()).await.unwrap();
    let again = team.k.tasks().enqueue(new).await.unwrap();
    assert_eq!((first.id == again.id, again.deduplicated), (true, true));
    assert_eq!(team.topics(&first.id).await, ["task.enqueued"]);
}

async fn a_repetition_amid_new_tasks_adds_only_those(team: Team) {
    let tasks = team.k.tasks();
    let known = task("known");
    tasks.enqueue(known.clone()).await.unwrap();
    let (before, after) = (task("before"), task("after"));
    let ids = [before.id.clone(), known.id.clone(), after.id.clone(), after.id.clone()];
    let all = vec![before, known.clone(), after.clone(), after];
    let answers = tasks.enqueue_many(all.clone()).await.unwrap();
    assert_eq!(answers.iter().map(|a| a.deduplicated).collect::<Vec<_>>(), [false, true, false, true]);
    assert_eq!(answers.into_iter().map(|a| a.id).collect::<Vec<_>>(), ids);
    assert!(tasks.enqueue_many(all).await.unwrap().iter().all(|a| a.deduplicated));
    let other = NewTask { payload: json!("another").into(), ..known };
    assert_eq!(code(tasks.enqueue_many(vec![task("never"), other]).await), "task.conflict");
    assert_eq!(tasks.stats().await.unwrap().by_status[&Status::Pending], 3);
    assert_eq!(team.k.events().read(Default::default()).await.unwrap().events.len(), 3);
}

async fn an_edge_to_a_task_known_by_its_key_finds_it(team: Team) {
    let old = team.add(task("old").unique_key("old")).await;
    let stand_in = task("old").unique_key("old");
    let after = task("after").depends_on([&stand_in.id]);
    let id = after.id.clone();
    team.k.tasks().enqueue_many(vec![stand_in, after]).await.unwrap();
    assert_eq!(team.get(&id).await.depends_on, [old]);
}

async fn cycles_are_refused_and_named(team: Team) {
    let (mut a, mut b, c) = (task("a"), task("b"), task("c"));
    let ids = [a.id.clone(), b.id.clone(), c.id.clone()];
    a = a.depends_on([&ids[1]]);
    b = b.depends_on([&ids[2]]);
    let c = c.depends_on([&ids[0]]);
    let error = team.k.tasks().enqueue_many(vec![a, b, c]).await.unwrap_err();
    assert_eq!(error.code(), "task.dependency_cycle");
    assert!(ids.iter().all(|id| error.message().contains(id)), "{error}");
    let mut own = task("own");
    own = own.clone().depends_on([Dependency::new(&own.id, DependencyType::FeedsInto)]);
    assert_eq!(code(team.k.tasks().enqueue(own).await), "task.dependency_cycle");
}

async fn only_what_waits_closes_a_circle(team: Team) {
    team.agent("temujin", &[]).await;
    let tasks = team.k.tasks();
    for kind in [DependencyType::FeedsInto, DependencyType::ParallelOk] {
        let edge = |on: &str| [Dependency::new(on, kind)];
        let (a, b) = (task("a"), task("b"));
        let ids = [a.id.clone(), b.id.clone()];
        tasks.enqueue_many(vec![a.depends_on(edge(&ids[1])), b.depends_on(edge(&ids[0]))]).await.unwrap();
        let (c, d) = (team.add(task("c")).await, team.add(task("d")).await);
        tasks.add_dependency(&c, Dependency::new(&d, kind)).await.unwrap();
        tasks.add_dependency(&d, Dependency::new(&c, kind)).await.unwrap();
        let parent = team.add(task("parent")).await;
        team.add(task("child").parent(&parent).depends_on(edge(&parent))).await;
        let claimed = team.claim_ids("temujin", 9).await;
        assert_eq!(claimed.len(), 5, "all but the parent");
        // What waits in one direction and is fed in the other.
        let (e, f) = (team.add(task("e")).await, team.add(task("f")).await);
        tasks.add_dependency(&e, f.as_str()).await.unwrap();
        tasks.add_dependency(&f, Dependency::new(&e, kind)).await.unwrap();
        let refused = tasks.add_dependency(&f, e.as_str()).await.unwrap_err();
        assert_eq!(refused.code(), "task.dependency_cycle");
        assert!(refused.message().ends_with(&format!("{f} -> {e} -> {f}")), "{refused}");
        let under = task("under").parent(&f).depends_on([&e]);
        assert_eq!(code(tasks.enqueue(under).await), "task.dependency_cycle");
        tasks.cancel(&f, None).await.unwrap();
        tasks.cancel(&e, None).await.unwrap();
    }
}

async fn a_parent_that_waits_for_its_child_cannot_be_what_the_child_waits_for(team: Team) {
    let parent = task("parent").wait_for(WaitFor::All);
    let child = task("child").parent(&parent.id).depends_on([&parent.id]);
    let refused = team.k.tasks().enqueue_many(vec![parent, child]).await;
    assert_eq!(code(refused), "task.dependency_cycle");
}

async fn no_circle_closes_through_two_parents(team: Team) {
    let tasks = team.k.tasks();
    let (one, two) = (team.add(task("one")).await, team.add(task("two")).await);
    let middle = team.add(task("middle").depends_on([&two])).await;
    let left = || task("left").parent(&one).depends_on([&middle]);
    let right = || task("right").parent(&two).depends_on([&one]);
    let refused = tasks.enqueue_many(vec![left(), right()]).await.unwrap_err();
    assert_eq!(refused.code(), "task.dependency_cycle");
    assert!([&one, &middle, &two].iter().all(|id| refused.message().contains(id.as_str())), "{refused}");
    for _ in 0..4 {
        let (left, right) = (tasks.enqueue(left()), tasks.enqueue(right()));
        let (left, right) = futures::join!(left, right);
        assert!(left.is_err() || right.is_err());
        for refused in [left, right].into_iter().filter_map(Result::err) {
            assert_eq!(refused.code(), "task.dependency_cycle");
        }
    }
    team.add(task("beside").parent(&one)).await;
}

async fn what_was_sent_before_a_close_is_committed(team: Team) {
    let k = team.reopen(|config| config).await;
    let tasks = k.tasks();
    let call = |i: usize| Box::pin(maybe_done(tasks.enqueue(task(&i.to_string()))));
    let mut sent: Vec<_> = (0..100).map(call).collect();
    for call in &mut sent {
        // A few may have their answer already.
        _ = futures::poll!(call.as_mut());
    }
    let rest = join_all(sent.iter_mut().map(|call| call.as_mut()));
    futures::join!(rest, k.clone().close());
    let answers: Vec<_> = sent.iter_mut().map(|call| call.as_mut().take_output().unwrap()).collect();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(code(tasks.enqueue(task("late")).await), "store.closed");
    assert_eq!(team.k.tasks().stats().await.unwrap().by_status[&Status::Pending], 100);
}

async fn an_unknown_parent_is_refused(team: Team) {
    assert_eq!(code(team.k.tasks().enqueue(task("child").parent("nobody")).await), "task.not_found");
}

async fn times_come_back_or_are_refused_by_name(team: Team) {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let kept = [
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("2026-03-01T09:07:05.123456Z", "9999-12-31T23:59:59.999999Z"),
        ("9989-12-31T23:59:59.999999Z", "2026-04-01T09:07:05.123456Z"),
    ];
    for (run_at, expires_at) in kept {
        let new = task("timed").run_at(at(run_at)).expiry(Expiry::At(at(expires_at)));
        let got = team.get(&team.add(new).await).await;
        assert_eq!((got.run_at, got.expires_at), (Some(at(run_at)), Some(at(expires_at))));
    }
    let latest = task("latest").run_at(at(kept[2].0)).expiry(Expiry::After(Duration::from_secs(315_360_000)));
    let got = team.get(&team.add(latest).await).await;
    assert_eq!(got.expires_at, Some(at("9999-12-29T23:59:59.999999Z")));
    let tasks = team.k.tasks();
    for time in [
        "1969-12-31T23:59:59.999999Z",
        "9990-01-01T00:00:00Z",
        "+10000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "0000-06-01T00:00:00Z",
    ] {
        let refused = tasks.enqueue(task("never").run_at(at(time))).await.unwrap_err();
        assert_eq!(refused.code(), "input.invalid", "{time}");
        assert!(refused.message().starts_with("run_at is "), "{refused}");
    }
    for time in ["1969-12-31T23:59:59.999999Z", "+10000-01-01T00:00:00Z", "0000-06-01T00:00:00Z"] {
        let refused = tasks.enqueue(task("never").expiry(Expiry::At(at(time)))).await.unwrap_err();
        assert!(refused.message().starts_with("expires_at is "), "{refused}");
        let filter = EventFilter { since: Some(at(time)), ..EventFilter::default() };
        let refused = team.k.events().read(filter).await.unwrap_err();
        assert!(refused.message().starts_with("since is "), "{refused}");
    }
}

async fn of_many_the_refused_one_is_named(team: Team) {
    let bad = task("bad").priority_weight(2.0);
    let refused = team.k.tasks().enqueue_many(vec![task("good"), bad.clone()]).await.unwrap_err();
    assert_eq!(refused.message(), "task 1: priority_weight is \"2\"; allowed: 0 to 1");
    assert_eq!(
        refused.message_in(|field| field.to_uppercase()),
        "task 1: PRIORITY_WEIGHT is \"2\"; allowed: 0 to 1"
    );
    let refused = team.k.tasks().enqueue(bad).await.unwrap_err();
    assert_eq!(refused.message(), "priority_weight is \"2\"; allowed: 0 to 1");
}

async fn a_large_family_and_a_long_chain_are_looked_through_once(team: Team) {
    // All of them are refused at the end, so that only the look is measured.
    let old = team.add(task("old")).await;
    let parent = task("parent").wait_for(WaitFor::Any);
    let mut family: Vec<NewTask> = (0..50_000).map(|_| task("child").parent(&parent.id)).collect();
    family.extend([parent, task("circle").parent(&old).depends_on([&old])]);
    let mut chain: Vec<NewTask> = (0..50_000).map(|_| task("link")).collect();
    for i in 0..chain.len() {
        let before = chain[(i + chain.len() - 1) % chain.len()].id.clone();
        chain[i] = chain[i].clone().depends_on([before]);
    }
    chain.reverse();
    let started = kurultai_core::clock::monotonic();
    for tasks in [family, chain] {
        assert_eq!(code(team.k.tasks().enqueue_many(tasks).await), "task.dependency_cycle");
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    let first = team.add(task("first")).await;
    let children = (0..300).map(|_| task("child").parent(&old).depends_on([&first]));
    team.k.tasks().enqueue_many(children.collect()).await.unwrap();
}

async fn a_fixed_expiry_and_a_start_are_kept(team: Team) {
    let at = team.clock.now() + Duration::from_secs(86_400);
    let run_at = team.clock.now() + Duration::from_secs(3_600);
    let id = team.add(task("later").run_at(run_at).expiry(Expiry::At(at))).await;
    let got = team.get(&id).await;
    assert_eq!((got.run_at, got.expires_at, got.status), (Some(run_at), Some(at), Status::Pending));
    let never = team.get(&team.add(task("never").expiry(Expiry::Never)).await).await;
    assert_eq!(never.expires_at, None);
    let default = team.get(&team.add(task("default")).await).await;
    assert_eq!(default.expires_at, Some(team.clock.now() + Duration::from_secs(1_800)));
}
