//! What a claim must know besides the tasks: routes, agents, pauses. Each process keeps a copy, and a claim takes
//! nothing where `catalog_seq` has moved on; any change of them moves it, under the namespace's lock.

use super::{Neo4jStore, exec::Repeat, lock};
use crate::{agents::AgentStatus, error::Result, tasks::order::Route};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError},
};

#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) seq: i64,
    pub(super) routes: Vec<(String, Route)>,
    pub(super) agents: HashMap<String, Claimer>,
    pub(super) paused: Vec<String>,
    keys: HashSet<String>,
}

#[derive(Debug)]
pub(super) struct Claimer {
    pub(super) capabilities: Vec<String>,
    pub(super) max_concurrent: Option<u32>,
    pub(super) status: AgentStatus,
}

impl Default for Catalog {
    /// Nothing is known yet.
    fn default() -> Self {
        Catalog { seq: -1, routes: vec![], agents: HashMap::new(), paused: vec![], keys: HashSet::new() }
    }
}

impl Catalog {
    pub(super) fn knows_route(&self, key: &str) -> bool {
        self.keys.contains(key)
    }
}

/// Under the lock, or else the number could be newer than what it stands for.
pub(super) const LOAD: &str = concat!(
    lock!(),
    "RETURN [ns.catalog_seq, coalesce(ns.paused, []),
  COLLECT { MATCH (r:TaskRoute) USING INDEX SEEK r:TaskRoute(namespace, key)
            WHERE r.namespace = $ns AND r.key >= '' RETURN r.key },
  COLLECT { MATCH (a:Agent) USING INDEX SEEK a:Agent(namespace, id) WHERE a.namespace = $ns AND a.id >= ''
            RETURN [a.id, a.capabilities, a.max_concurrent, a.status] }] AS row"
);

impl Neo4jStore {
    pub(super) fn cached(&self) -> Arc<Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn load_catalog(&self) -> Result<Arc<Catalog>> {
        let mut row = self.one(self.query(LOAD), Repeat::Safe).await?;
        let (seq, paused, keys) = (row.next()?, row.next()?, row.next::<Vec<String>>()?);
        let mut agents = HashMap::new();
        for mut agent in row.rows()? {
            let id: String = agent.next()?;
            let claimer = Claimer {
                capabilities: agent.next()?,
                max_concurrent: agent.next()?,
                status: super::agents::status(agent.next()?),
            };
            agents.insert(id, claimer);
        }
        let routes = keys.iter().filter_map(|key| Some((key.clone(), Route::from_key(key)?))).collect();
        let catalog = Arc::new(Catalog { seq, routes, agents, paused, keys: keys.into_iter().collect() });
        let mut cached = self.catalog.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.seq < catalog.seq {
            *cached = catalog.clone();
        }
        Ok(catalog)
    }
}
