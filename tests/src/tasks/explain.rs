use crate::{
    cases,
    fixture::{Team, task},
};
use kurultai_core::{
    agents::NewAgent,
    tasks::{Failure, Reason, Status},
};
use std::time::Duration;

cases![
    explain_names_what_is_missing,
    explain_knows_every_state,
    explain_tells_of_the_failure_that_it_waits_after,
];

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
    assert_eq!(why(&full).await, [Reason::Finished { status: Status::Cancelled, error: None }]);
    let away = team.add(task("away").assigned_to("jochi")).await;
    assert!(why(&away).await.contains(&Reason::AssigneeAbsent { agent: "jochi".into() }));
    let parent = team.add(task("parent")).await;
    let child = team.add(task("child").parent(&parent)).await;
    assert_eq!(why(&parent).await, [Reason::WaitsForChildren { tasks: vec![(child, Status::Pending)] }]);
}

async fn explain_tells_of_the_failure_that_it_waits_after(team: Team) {
    team.agent("temujin", &[]).await;
    let id = team.add(task("one").max_attempts(3)).await;
    let lease = team.claim_one("temujin").await.lease;
    let error = "Traceback (most recent call last):\n  File \"review.py\", line 7\nKeyError: 'pr'\n";
    let failure = Failure::new(error).retry_after(Duration::from_secs(60));
    let finished = team.k.tasks().fail(&lease, failure).await.unwrap();
    let run_at = team.clock.now() + Duration::from_secs(60);
    assert_eq!(finished.run_at, Some(run_at), "whoever failed it learns when it is tried again");
    let [reason] = &team.k.tasks().explain(&id).await.unwrap().reasons[..] else { panic!("one reason") };
    let Reason::Failed { attempt: 1, max_attempts: 3, error, run_at: again } = reason else {
        panic!("{reason}")
    };
    assert_eq!((error.as_str(), *again), ("KeyError: 'pr'", run_at));
    assert!(reason.to_string().starts_with("attempt 1 of 3 failed: KeyError: 'pr'; again at "), "{reason}");
    team.seconds(61);
    assert_eq!(team.k.tasks().explain(&id).await.unwrap().reasons, []);
}
