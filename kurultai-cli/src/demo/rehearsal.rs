//! A server plans each statement at its first use, which takes it seconds: before the play, so that no lease runs
//! out meanwhile.

use kurultai_core::{
    Config, Kurultai, Result, Tasks,
    agents::NewAgent,
    events::EventFilter,
    tasks::{Claim, Claimed, Failure, Filter, NewTask},
};
use std::time::Duration;

/// Two tasks through everything that the demo does, in a namespace of their own.
pub(super) async fn rehearse(config: Config, namespace: &str) -> Result<()> {
    let kurultai = Kurultai::open_with(config.namespace(&format!("{namespace}-rehearsal"))?).await?;
    let tasks = kurultai.tasks();
    kurultai.agents().register(NewAgent::new("extra").capabilities(["rehearsing"])).await?;
    let named = |key: &str| NewTask::new("rehearsal").unique_key(key).requires(["rehearsing"]);
    let first = named("first");
    let second = named("second").depends_on([first.id.clone()]);
    tasks.enqueue_many(vec![first, second.clone()]).await?;
    if let Some(held) = next(&tasks).await? {
        tasks.progress(&held.lease, 0.5).await?;
        tasks.complete(&held.lease, serde_json::Value::Null).await?;
    }
    if let Some(held) = next(&tasks).await? {
        tasks.fail(&held.lease, Failure::new("rehearsed").retry_after(Duration::ZERO)).await?;
    }
    if let Some(held) = next(&tasks).await? {
        tasks.fail(&held.lease, Failure::fatal("rehearsed")).await?;
        tasks.requeue(&second.id).await?;
    }
    if let Some(held) = next(&tasks).await? {
        tasks.complete(&held.lease, serde_json::Value::Null).await?;
    }
    kurultai.events().read(EventFilter::default()).await?;
    tasks.list(Filter::default()).await?;
    tasks.stats().await?;
    kurultai.close().await;
    Ok(())
}

async fn next(tasks: &Tasks) -> Result<Option<Claimed>> {
    Ok(tasks.claim(Claim::new("extra").wait(Duration::from_secs(5))).await?.pop())
}
