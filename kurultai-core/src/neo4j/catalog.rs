//! What a claim must know besides the tasks: routes, agents, pauses. Each process keeps a copy, and a claim takes
//! nothing where `catalog_seq` has moved on; any change of them moves it, under the namespace's lock.

use super::{Neo4jStore, cypher::lock, statement::Statement};
use crate::{
    agents::AgentStatus,
    error::{Error, Result},
    tasks::order::Route,
};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) seq: i64,
    pub(super) routes: Vec<(i64, Route)>,
    pub(super) agents: HashMap<String, Claimer>,
    pub(super) paused: Vec<String>,
    /// The routes' numbers by their keys. A task carries the number, as it stands in an index.
    numbers: HashMap<String, i64>,
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
        Catalog { seq: -1, routes: vec![], agents: HashMap::new(), paused: vec![], numbers: HashMap::new() }
    }
}

impl Catalog {
    fn numbers(&self, keys: &[String]) -> Option<Vec<i64>> {
        keys.iter().map(|key| self.numbers.get(key).copied()).collect()
    }
}

pub(super) const LOAD: Statement =
    Statement::locking(concat!(lock!(), include_str!("cypher/catalog.cypher")));

impl Neo4jStore {
    pub(super) fn cached(&self) -> Arc<Catalog> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).of::<Arc<Catalog>>().clone()
    }

    /// Each key's number, also of those that are new.
    pub(super) async fn route_numbers(&self, keys: Vec<String>) -> Result<Vec<i64>> {
        if let Some(numbers) = self.cached().numbers(&keys) {
            return Ok(numbers);
        }
        let made = self.load(keys.clone()).await?.numbers(&keys);
        made.ok_or_else(|| Error::internal("a route that was just made is not there"))
    }

    pub(super) async fn load_catalog(&self) -> Result<Arc<Catalog>> {
        self.load(vec![]).await
    }

    async fn load(&self, mut routes: Vec<String>) -> Result<Arc<Catalog>> {
        routes.sort_unstable();
        routes.dedup();
        let mut row = self.one(self.query(LOAD).param("routes", routes)).await?;
        let (seq, paused) = (row.next()?, row.next()?);
        let (mut routes, mut numbers) = (vec![], HashMap::new());
        for mut route in row.rows()? {
            let (number, key): (i64, String) = (route.next()?, route.next()?);
            routes.extend(Route::from_key(&key).map(|route| (number, route)));
            numbers.insert(key, number);
        }
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
        let catalog = Arc::new(Catalog { seq, routes, agents, paused, numbers });
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = rooms.of::<Arc<Catalog>>();
        if cached.seq < catalog.seq {
            *cached = catalog.clone();
        }
        Ok(catalog)
    }
}
