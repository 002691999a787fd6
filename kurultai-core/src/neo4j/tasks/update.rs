//! What somebody changes of a task, and what derives from it.

use crate::{
    error::Result,
    neo4j::{
        Neo4jStore,
        agents::roles::under,
        bolt::{datetime, map},
        cypher::lock,
        statement::Statement,
    },
    tasks::{
        contract::{Applied, Rewrite},
        order::{LIGHTEST, sort_base},
    },
};
use neo4rs::BoltType;

macro_rules! update {
    ($($first:expr),*) => {
        Statement::locking(concat!(
            $($first,)*
            include_str!("cypher/update.cypher"),
            include_str!("cypher/raise_prerequisites.cypher"),
            include_str!("cypher/update_event.cypher")
        ))
        .once()
    };
}

const UPDATE: [Statement; 2] = [update!(lock!()), update!(lock!(), under!())];

pub(super) async fn update(store: &Neo4jStore, rewrite: Rewrite) -> Result<Applied> {
    let mut fields: Vec<(&str, BoltType)> = vec![];
    if let Some(key) = rewrite.route {
        let number = store.route_numbers(vec![key]).await?.first().copied();
        fields.push(("route", number.into()));
    }
    let texts = [("title", rewrite.title), ("description", rewrite.description)];
    fields.extend(texts.into_iter().filter_map(|(name, text)| Some((name, text?.into()))));
    fields.extend(rewrite.payload.map(|payload| ("payload", payload.as_str().into())));
    fields.extend(rewrite.assigned_to.map(|agent| ("assigned_to", agent.into())));
    if let Some((priority, weight)) = rewrite.order {
        fields.push(("priority", priority.as_str().into()));
        fields.push(("priority_weight", weight.into()));
    }
    if let Some(timing) = rewrite.timing {
        fields.push(("run_at", datetime(timing.run_at)));
        fields.push(("expires_at", datetime(timing.expires_at)));
        fields.push(("timeout", timing.timeout.into()));
        fields.push(("due_at", timing.due_at.into()));
    }
    let lightness = |(_, weight)| sort_base(crate::tasks::Priority::P0, weight) / LIGHTEST;
    let query = store
        .query_under(UPDATE, rewrite.under.as_ref())
        .param("id", rewrite.id)
        .param("revision", rewrite.revision)
        .param("fields", map(fields))
        .param("claimable", rewrite.timing.map(|timing| timing.claimable))
        .param("rank", rewrite.order.map(|(priority, _)| priority as i64))
        .param("lightness", rewrite.order.map(lightness))
        .param("topic", rewrite.topic)
        .param("source", rewrite.source)
        .param("payload", rewrite.told);
    let mut row = store.one_under(query, rewrite.under.as_ref()).await?;
    Ok(Applied { held: vec![row.next()?], overdue: row.next()? })
}
