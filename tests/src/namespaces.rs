//! Two teams of one database.

use crate::{
    cases,
    fixture::{Team, task},
};
use kurultai_core::{
    Kurultai,
    agents::NewAgent,
    events::EventFilter,
    tasks::{Claim, NewTask, Status},
};
use serde_json::json;

cases![two_namespaces_use_the_same_ids,];

/// An id and a unique key are a namespace's own: another's are neither seen nor in the way.
async fn two_namespaces_use_the_same_ids(team: Team) {
    let config = crate::fixture::Team::config(&team.url, &format!("{}-b", team.namespace), &team.clock);
    let b = Kurultai::open_with(config).await.unwrap();
    let nightly = |title: &str| NewTask { id: "nightly".into(), ..task(title) };
    let keyed = |id: &str, title: &str| NewTask { id: id.into(), ..task(title).unique_key("key") };
    for (k, whose) in [(&team.k, "ours"), (&b, "theirs")] {
        assert!(!k.tasks().enqueue(nightly(whose)).await.unwrap().deduplicated);
        assert!(k.tasks().enqueue(nightly(whose)).await.unwrap().deduplicated);
        assert!(!k.tasks().enqueue(keyed("keyed", whose)).await.unwrap().deduplicated);
        assert_eq!(k.tasks().enqueue(keyed("another", whose)).await.unwrap().id, "keyed");
        let below = [task(whose).parent("nightly"), task(whose).depends_on(["nightly"])];
        k.tasks().enqueue_many(below.to_vec()).await.unwrap();
        k.agents().register(NewAgent::new("temujin")).await.unwrap();
    }
    for (k, whose) in [(&b, "theirs"), (&team.k, "ours")] {
        let ids = ["nightly", "keyed", "another"];
        let titles = k.tasks().get_many(&ids).await.unwrap().into_iter().map(|t| t.map(|t| t.title));
        let own = || Some(whose.to_owned());
        assert_eq!(titles.collect::<Vec<_>>(), [own(), own(), None]);
        let claimed = k.tasks().claim(Claim::new("temujin").max(9)).await.unwrap();
        assert_eq!(
            claimed.iter().map(|c| c.title.as_str()).collect::<Vec<_>>(),
            [whose; 2],
            "a child and a key"
        );
        for held in claimed {
            k.tasks().complete(&held.lease, json!(whose)).await.unwrap();
        }
        let status = k.tasks().get("nightly").await.unwrap().status;
        assert_eq!(status, Status::Completed, "its child is done");
    }
    let waits = b.tasks().claim(Claim::new("temujin").max(9)).await.unwrap();
    assert_eq!(waits.len(), 1, "what depended on nightly");
    assert_eq!(b.tasks().cancel("keyed", None).await.unwrap_err().code(), "task.state");
    assert_eq!(
        team.topics("nightly").await.len(),
        b.events()
            .read(EventFilter { task_id: Some("nightly".into()), ..Default::default() })
            .await
            .unwrap()
            .events
            .len()
    );
}
