use crate::{
    cases,
    fixture::{Team, code, task},
};
use kurultai_core::{
    Json,
    agents::{AgentStatus, NewAgent, council},
};
use serde_json::json;

cases![
    metadata_is_kept_as_it_was_given,
    an_agent_is_read_back_as_it_was_registered,
    names_and_aliases_find_an_agent,
    an_exact_name_wins_and_only_accents_are_folded,
    a_beat_is_a_sign_that_the_process_runs_and_no_sign_of_work,
    an_agent_that_left_is_gone_and_its_tasks_return,
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

async fn a_beat_is_a_sign_that_the_process_runs_and_no_sign_of_work(team: Team) {
    for id in ["temujin", "jochi", "mongke"] {
        team.agent(id, &[]).await;
    }
    let registered = team.clock.now();
    team.seconds(30);
    team.k.agents().beat("temujin").await.unwrap();
    let got = team.k.agents().get("temujin").await.unwrap();
    assert_eq!((got.infra_heartbeat, got.last_heartbeat), (Some(team.clock.now()), None));
    team.seconds(30);
    let statements = team.k.statements();
    let unknown = team.k.agents().beat_many(&["jochi", "nobody", "temujin"], false).await.unwrap();
    assert_eq!((unknown, team.k.statements() - statements), (vec!["nobody".to_owned()], 1));
    let beats: Vec<_> =
        team.k.agents().list().await.unwrap().into_iter().map(|a| a.infra_heartbeat).collect();
    assert_eq!(beats, [Some(team.clock.now()), Some(registered), Some(team.clock.now())]);
    assert_eq!(code(team.k.agents().beat("nobody").await), "agent.not_found");
    assert_eq!(code(team.k.agents().beat("No Body").await), "input.invalid");
}

async fn an_agent_that_left_is_gone_and_its_tasks_return(team: Team) {
    team.agent("temujin", &[]).await;
    team.agent("jochi", &[]).await;
    let id = team
        .add(task("one").retry(kurultai_core::tasks::RetryPolicy {
            base: std::time::Duration::ZERO,
            ..crate::fixture::steady()
        }))
        .await;
    team.claim_one("temujin").await;
    team.k.agents().deregister("temujin", false).await.unwrap();
    assert_eq!(code(team.k.agents().get("temujin").await), "agent.not_found");
    assert_eq!(code(team.k.agents().deregister("temujin", false).await), "agent.not_found");
    assert_eq!(code(team.k.agents().drain("temujin").await), "agent.not_found");
    team.seconds(31);
    assert_eq!(team.claim_ids("jochi", 1).await, [id]);
}

async fn namespaces_never_see_each_other(team: Team) {
    let config = crate::fixture::Team::config(&team.url, &format!("{}-b", team.namespace), &team.clock);
    let b = kurultai_core::Kurultai::open_with(config).await.unwrap();
    team.agent("temujin", &[]).await;
    let id = team.add(task("ours").unique_key("key")).await;
    assert_eq!(code(b.agents().get("temujin").await), "agent.not_found");
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
