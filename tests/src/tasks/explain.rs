use crate::{
    cases,
    fixture::{Team, task},
};
use kurultai_core::{
    agents::NewAgent,
    tasks::{Reason, Status},
};
use std::time::Duration;

cases![explain_names_what_is_missing, explain_knows_every_state,];

async fn explain_names_what_is_missing(team: Team) {
    let id = team.add(task("one").requires(["rust", "cooking"])).await;
    let why = async |id: &str| team.k.tasks().explain(id).await.unwrap().reasons;
    assert_eq!(why(&id).await, [Reason::NobodyAlive]);
    team.agent("temujin", &["rust"]).await;
    assert_eq!(why(&id).await, [Reason::CapabilityMissing { capabilities: vec!["cooking".into()] }]);
    team.agent("chagatai", &["cooking"]).await;
    let all = vec!["rust".to_owned(), "cooking".to_owned()];
    assert_eq!(why(&id).await, [Reason::NobodyHasAll { capabilities: all }]);
    let other = team.add(task("two").requires(["rust"])).await;
    let explanation = team.k.tasks().explain(&other).await.unwrap();
    assert_eq!((explanation.reasons, explanation.candidates), (vec![], vec!["temujin".to_owned()]));
    team.seconds(121);
    assert_eq!(why(&other).await, [Reason::NobodyAlive]);
}

async fn explain_knows_every_state(team: Team) {
    team.k.agents().register(NewAgent::new("temujin").max_concurrent(1)).await.unwrap();
    let why = async |id: &str| team.k.tasks().explain(id).await.unwrap().reasons;
    let first = team.add(task("first")).await;
    let until = team.clock.now() + Duration::from_secs(30);
    team.claim_one("temujin").await;
    assert_eq!(why(&first).await, [Reason::Held { by: "temujin".into(), until }]);
    let full = team.add(task("full")).await;
    assert_eq!(why(&full).await, [Reason::Busy { agents: vec!["temujin".into()] }]);
    let second = team.add(task("second").depends_on([&first])).await;
    assert_eq!(why(&second).await, [Reason::BlockedBy { tasks: vec![(first.clone(), Status::InProgress)] }]);
    let run_at = team.clock.now() + Duration::from_secs(99);
    let later = team.add(task("later").run_at(run_at)).await;
    assert!(why(&later).await.contains(&Reason::Scheduled { run_at }));
    team.k.tasks().pause(None).await.unwrap();
    assert!(why(&full).await.contains(&Reason::Paused { task_type: String::new() }));
    team.k.tasks().suspend(&full).await.unwrap();
    assert_eq!(why(&full).await, [Reason::Suspended]);
    team.k.tasks().cancel(&full, None).await.unwrap();
    assert_eq!(why(&full).await, [Reason::Finished { status: Status::Cancelled }]);
    let away = team.add(task("away").assigned_to("jochi")).await;
    assert!(why(&away).await.contains(&Reason::AssigneeAbsent { agent: "jochi".into() }));
    let parent = team.add(task("parent")).await;
    let child = team.add(task("child").parent(&parent)).await;
    assert_eq!(why(&parent).await, [Reason::WaitsForChildren { tasks: vec![(child, Status::Pending)] }]);
}
