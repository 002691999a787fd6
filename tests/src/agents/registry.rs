use crate::{
    cases,
    fixture::{Team, code, task},
};
use futures::future::join_all;
use kurultai_core::{
    Json,
    agents::{AgentStatus, AgentUpdate, NewAgent, council},
    tasks::Status,
};
use serde_json::json;

cases![
    metadata_is_kept_as_it_was_given,
    an_agent_is_read_back_as_it_was_registered,
    names_and_aliases_find_an_agent,
    an_exact_name_wins_and_only_accents_are_folded,
    an_agent_that_left_is_gone_and_its_tasks_return,
    an_agent_that_holds_tasks_is_in_use,
    an_agent_that_is_forced_out_leaves_its_tasks_to_the_others,
    a_waiting_task_is_claimable_once_somebody_has_learned_it,
    what_is_not_named_in_an_update_stays,
    two_who_teach_an_agent_at_once_both_do,
    namespaces_never_see_each_other,
];

async fn an_agent_is_read_back_as_it_was_registered(team: Team) {
    let new = NewAgent {
        role: Some("development".into()),
        ..NewAgent::new("temujin")
            .display_name("Temüjin")
            .aliases(["developer"])
            .capabilities(["coding", "development"])
            .max_concurrent(4)
    };
    team.k.agents().register(new.clone()).await.unwrap();
    let got = team.k.agents().get("temujin").await.unwrap();
    assert_eq!((got.display_name.as_str(), got.role.as_deref()), ("Temüjin", Some("development")));
    assert_eq!((got.aliases, got.capabilities), (new.aliases.clone(), new.capabilities.clone()));
    assert_eq!((got.max_concurrent, got.current_load, got.status), (Some(4), 0, AgentStatus::Active));
    assert_eq!((got.created_at, got.infra_heartbeat), (team.clock.now(), Some(team.clock.now())));
    team.seconds(5);
    team.k.agents().register(NewAgent { capabilities: vec!["rust".into()], ..new }).await.unwrap();
    let again = team.k.agents().get("temujin").await.unwrap();
    assert_eq!((again.capabilities, again.created_at), (vec!["rust".to_owned()], got.created_at));
    let events = team.k.events().read(Default::default()).await.unwrap().events;
    assert_eq!(events.iter().map(|e| e.topic.as_str()).collect::<Vec<_>>(), ["agent.registered"]);
    assert_eq!(events[0].source.as_deref(), Some("temujin"));
}

async fn names_and_aliases_find_an_agent(team: Team) {
    team.k.agents().register_many(council()).await.unwrap();
    for name in ["temujin", "Temüjin", "TEMÜJIN", "developer", "Developer", "Temu\u{308}jin"] {
        assert_eq!(team.k.agents().get(name).await.unwrap().id, "temujin", "{name}");
    }
    let error = team.k.agents().get("mongk").await.unwrap_err();
    assert_eq!(error.code(), "agent.not_found");
    assert!(error.message().contains("\"mongke\""), "{error}");
    let ids: Vec<String> = team.k.agents().list().await.unwrap().into_iter().map(|a| a.id).collect();
    assert_eq!(ids, ["chagatai", "jochi", "kublai", "mongke", "ogedei", "temujin"]);
    let testers = team.k.agents().with_capability("testing").await.unwrap();
    assert_eq!(testers.iter().map(|a| a.id.as_str()).collect::<Vec<_>>(), ["jochi"]);
}

async fn an_exact_name_wins_and_only_accents_are_folded(team: Team) {
    let agent = |id: &str, name: &str, alias: &str| NewAgent::new(id).display_name(name).aliases([alias]);
    team.k
        .agents()
        .register_many(vec![
            agent("broom", "ハン", "ダイ"),
            agent("crowd", "バン", "タイ"),
            agent("plain", "Resume", "Ολγα"),
            agent("written", "Résumé", "Όλγα"),
            agent("loud", "OPS", "Пётр"),
            agent("quiet", "Ops", "Петр"),
        ])
        .await
        .unwrap();
    let found = [
        ("ハン", "broom"),
        ("バン", "crowd"),
        ("ハ\u{3099}ン", "crowd"),
        ("ﾊﾞﾝ", "crowd"),
        ("タイ", "crowd"),
        ("ダイ", "broom"),
        ("Resume", "plain"),
        ("Résumé", "written"),
        ("Re\u{301}sume\u{301}", "written"),
        ("RESUMÉ", "plain"),
        ("Ολγα", "plain"),
        ("Όλγα", "written"),
        ("OPS", "loud"),
        ("Ops", "quiet"),
        ("Пётр", "loud"),
        ("Петр", "quiet"),
        ("ПЕТР", "loud"),
    ];
    for (name, id) in found {
        assert_eq!(team.k.agents().get(name).await.unwrap().id, id, "{name}");
    }
}

async fn an_agent_that_left_is_gone_and_its_tasks_return(team: Team) {
    team.agent("temujin", &[]).await;
    team.agent("jochi", &[]).await;
    let id = team.add(task("one")).await;
    team.claim_one("temujin").await;
    // A lease that is over holds nobody back.
    team.seconds(31);
    team.k.agents().deregister("temujin", false).await.unwrap();
    assert_eq!(code(team.k.agents().get("temujin").await), "agent.not_found");
    for force in [false, true] {
        assert_eq!(code(team.k.agents().deregister("temujin", force).await), "agent.not_found");
    }
    assert_eq!(code(team.k.agents().drain("temujin").await), "agent.not_found");
    assert_eq!(team.claim_ids("jochi", 1).await, [id]);
}

async fn an_agent_that_holds_tasks_is_in_use(team: Team) {
    team.agent("temujin", &[]).await;
    for i in 0..12 {
        team.add(task(&i.to_string())).await;
    }
    let held = team.claim_ids("temujin", 12).await;
    let before = (team.k.agents().list().await.unwrap(), team.k.events().last_seq().await.unwrap());
    let error = team.k.agents().deregister("temujin", false).await.unwrap_err();
    assert_eq!(error.code(), "agent.in_use");
    let named = held.iter().filter(|id| error.message().contains(*id)).count();
    assert_eq!(named, 10, "{error}");
    let after = (team.k.agents().list().await.unwrap(), team.k.events().last_seq().await.unwrap());
    assert_eq!(before, after, "nothing has changed");
    team.add(task("more")).await;
    team.claim_one("temujin").await;
}

async fn an_agent_that_is_forced_out_leaves_its_tasks_to_the_others(team: Team) {
    team.agent("temujin", &[]).await;
    team.agent("jochi", &[]).await;
    let id = team.add(task("one")).await;
    let held = team.claim_one("temujin").await;
    team.k.tasks().checkpoint(&held.lease, json!({"step": 3})).await.unwrap();
    team.k.agents().deregister("temujin", true).await.unwrap();
    assert_eq!(team.status(&id).await, Status::Pending, "at once");
    assert_eq!(code(team.k.tasks().complete(&held.lease, json!(1)).await), "lease.lost");
    let again = team.claim_one("jochi").await;
    assert_eq!((again.id, again.checkpoint.unwrap().value()), (id, json!({"step": 3})));
    let all = team.k.agents().list().await.unwrap();
    assert_eq!(all.iter().map(|agent| agent.id.as_str()).collect::<Vec<_>>(), ["jochi"]);
    // It may come again.
    team.agent("temujin", &[]).await;
    team.add(task("two")).await;
    team.claim_one("temujin").await;
}

async fn a_waiting_task_is_claimable_once_somebody_has_learned_it(team: Team) {
    team.agent("temujin", &["go"]).await;
    let [rust, go] = [task("rust").requires(["rust"]), task("go").requires(["go"])];
    let (rust, go) = (team.add(rust).await, team.add(go).await);
    assert_eq!(team.claim_ids("temujin", 9).await, [go]);
    team.k.agents().update("temujin", AgentUpdate::new().add("rust").remove("go")).await.unwrap();
    assert_eq!(team.claim_ids("temujin", 9).await, [rust]);
    team.add(task("more").requires(["go"])).await;
    assert!(team.claim("temujin", 9).await.is_empty());
}

async fn what_is_not_named_in_an_update_stays(team: Team) {
    let agents = team.k.agents();
    let new = NewAgent::new("jochi").capabilities(["a", "b"]).metadata(json!({"model": "small"}));
    agents.register(new).await.unwrap();
    let registered = agents.get("jochi").await.unwrap();
    team.seconds(5);
    agents.update("jochi", AgentUpdate::new().add("c").add("a").remove("b").remove("x")).await.unwrap();
    let got = agents.get("jochi").await.unwrap();
    assert_eq!(got.capabilities, ["a", "c"]);
    // Not even a sign of life.
    assert_eq!(
        kurultai_core::agents::AgentInfo { capabilities: vec!["a".into(), "b".into()], ..got },
        registered
    );
    agents.update("jochi", AgentUpdate::new().metadata(json!({"model": "large"}))).await.unwrap();
    assert_eq!(agents.get("jochi").await.unwrap().metadata.value(), json!({"model": "large"}));
    agents.update("jochi", AgentUpdate::new().metadata(Json::default())).await.unwrap();
    let got = agents.get("jochi").await.unwrap();
    assert_eq!((got.metadata, got.capabilities), (Json::default(), vec!["a".to_owned(), "c".to_owned()]));
    assert_eq!(code(agents.update("nobody", AgentUpdate::new().add("c")).await), "agent.not_found");
    assert_eq!(code(agents.update("jochi", AgentUpdate::new().add("x").remove("x")).await), "input.invalid");
    let many = (0..255).fold(AgentUpdate::new(), |update, i| update.add(format!("c{i}")));
    assert_eq!(code(agents.update("jochi", many).await), "input.invalid", "257 in all");
    assert_eq!(agents.get("jochi").await.unwrap().capabilities, ["a", "c"]);
}

async fn two_who_teach_an_agent_at_once_both_do(team: Team) {
    team.agent("jochi", &[]).await;
    let other = team.reopen(|config| config).await;
    let teach = |i: usize| {
        let agents = if i.is_multiple_of(2) { team.k.agents() } else { other.agents() };
        async move { agents.update("jochi", AgentUpdate::new().add(format!("c{i}"))).await.unwrap() }
    };
    join_all((0..6).map(teach)).await;
    let mut all = team.k.agents().get("jochi").await.unwrap().capabilities;
    all.sort();
    assert_eq!(all, ["c0", "c1", "c2", "c3", "c4", "c5"]);
}

async fn namespaces_never_see_each_other(team: Team) {
    let config = crate::fixture::Team::config(&team.url, &format!("{}-b", team.namespace), &team.clock);
    let b = kurultai_core::Kurultai::open_with(config).await.unwrap();
    team.agent("temujin", &[]).await;
    let id = team.add(task("ours").unique_key("key")).await;
    let theirs = b.agents();
    assert_eq!(code(theirs.get("temujin").await), "agent.not_found");
    assert_eq!(code(theirs.beat("temujin").await), "agent.not_found");
    assert_eq!(code(theirs.update("temujin", AgentUpdate::new().add("x")).await), "agent.not_found");
    assert_eq!(code(theirs.deregister("temujin", true).await), "agent.not_found");
    assert!(theirs.health(None, Default::default()).await.unwrap().is_empty());
    assert_eq!(code(b.tasks().get(&id).await), "task.not_found");
    for refused in [
        b.tasks().cancel(&id, None).await,
        b.tasks().suspend(&id).await,
        b.tasks().resume(&id).await,
        b.tasks().requeue(&id).await,
        b.tasks().discard(&id).await,
    ] {
        assert_eq!(code(refused), "task.not_found");
    }
    assert_eq!(code(b.tasks().explain(&id).await), "task.not_found");
    assert_eq!(code(b.tasks().add_dependency(&id, "another").await), "task.not_found");
    assert_eq!(code(b.tasks().enqueue(task("x").depends_on([&id])).await), "task.dependency_unknown");
    assert_eq!(code(b.tasks().enqueue(task("x").parent(&id)).await), "task.not_found");
    assert!(!b.tasks().enqueue(task("theirs").unique_key("key")).await.unwrap().deduplicated);
    b.agents().register(NewAgent::new("temujin")).await.unwrap();
    let theirs = b.tasks().claim(kurultai_core::tasks::Claim::new("temujin").max(9)).await.unwrap();
    assert_eq!(theirs.iter().map(|c| c.title.as_str()).collect::<Vec<_>>(), ["theirs"]);
    let lease = team.claim_one("temujin").await.lease;
    assert_eq!(code(b.tasks().complete(&lease, serde_json::json!(1)).await), "task.not_found");
    assert_eq!(code(b.tasks().progress(&lease, 0.5).await), "task.not_found");
    assert_eq!(b.tasks().list(Default::default()).await.unwrap().tasks.len(), 1);
    b.tasks().pause(None).await.unwrap();
    assert!(team.k.tasks().stats().await.unwrap().paused.is_empty());
    assert_eq!(b.events().read(Default::default()).await.unwrap().events.len(), 3);
}

async fn metadata_is_kept_as_it_was_given(team: Team) {
    let agents = team.k.agents();
    agents.register(NewAgent::new("jochi")).await.unwrap();
    assert_eq!(agents.get("jochi").await.unwrap().metadata, Json::default());
    let metadata = Json::text(r#"{"z": 1.0, "a": [9007199254740993]}"#).unwrap();
    agents.register(NewAgent::new("jochi").metadata(metadata.clone())).await.unwrap();
    assert_eq!(agents.get("jochi").await.unwrap().metadata, metadata);
    // An agent that starts and says nothing of it keeps it.
    drop(kurultai_core::Agent::new("jochi").start(&team.k).await.unwrap());
    assert_eq!(agents.get("jochi").await.unwrap().metadata, metadata);
    for wrong in [json!([1]), json!("x"), json!({"x": "y".repeat(70_000)})] {
        assert_eq!(code(agents.register(NewAgent::new("jochi").metadata(wrong)).await), "input.invalid");
    }
}
