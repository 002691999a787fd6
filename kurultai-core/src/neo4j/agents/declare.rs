//! Who is dead from now on, and who lives again. What is confirmed was read without the lock; whoever was heard of since
//! is another one by then.

use super::{
    roles::under,
    signs::{self, seen},
};
use crate::{
    agents::{Declared, Says, Term, Verdict},
    error::Result,
    neo4j::{
        Neo4jStore,
        bolt::{cells, list},
        cypher::lock,
        statement::Statement,
    },
};

/// A verdict is [agent, what was seen of it, the event's topic, what that tells]. Removing a property that is not there
/// locks the agent, so that no beat comes between the look and the write.
macro_rules! declare {
    ($($first:expr),*) => {
        Statement::locking(concat!(
            $($first,)*
            "CALL (at) { UNWIND $verdicts AS v MATCH (a:Agent {namespace: $ns, id: v[0]})
  REMOVE a._lock
  WITH a, v, at WHERE v[1] = ",
            seen!(),
            "\n",
            include_str!("cypher/declare.cypher"),
            include_str!("cypher/end_leases.cypher"),
            include_str!("cypher/end_roles.cypher"),
            include_str!("cypher/declared.cypher")
        ))
        .once()
    };
}

/// For whoever watches, and for whoever does so under a term.
const DECLARE: [Statement; 2] = [declare!(lock!()), declare!(lock!(), under!())];

pub(super) async fn declare(
    store: &Neo4jStore,
    mut verdicts: Vec<Verdict>,
    under: Option<&Term>,
) -> Result<Declared> {
    verdicts.sort_by(|a, b| a.agent.cmp(&b.agent));
    let (signs, seen) = signs::read(store).await?;
    let (mut rows, mut confirmed) = (vec![], vec![]);
    for verdict in verdicts {
        let at = signs.agents.iter().position(|sign| sign.agent == verdict.agent);
        let Some(at) = at.filter(|at| verdict.is_confirmed(&signs.agents[*at], signs.now)) else { continue };
        let topic = if verdict.says == Says::Recovered { "agent.recovered" } else { "agent.dead" };
        let told = verdict.told(&signs.agents[at], signs.now, under);
        rows.push(cells![verdict.agent.as_str(), seen[at].clone(), topic, told]);
        confirmed.push(verdict);
    }
    if rows.is_empty() && under.is_none() {
        return Ok(Declared::default());
    }
    let query = store.query_under(DECLARE, under).param("verdicts", list(rows));
    let mut row = store.one_under(query, under).await?;
    let (held, overdue): (Vec<String>, bool) = (row.next()?, row.next()?);
    confirmed.retain(|verdict| held.contains(&verdict.agent));
    let of = |recovered: bool| -> Vec<String> {
        let said = confirmed.iter().filter(|verdict| (verdict.says == Says::Recovered) == recovered);
        said.map(|verdict| verdict.agent.clone()).collect()
    };
    Ok(Declared { dead: of(false), recovered: of(true), overdue })
}
