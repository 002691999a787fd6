//! The routes of a namespace, as one connection has read them.

use crate::{
    agents::AgentInfo,
    error::Result,
    sqlite::tx::Tx,
    tasks::order::{Route, Served},
};
use std::collections::HashMap;

/// With more routes than that, it is looked first which of them have tasks. Types that are made up for each task leave
/// many behind.
const MANY_ROUTES: usize = 64;

/// Routes never change and go only with their namespace, and no number is given out again; so each is read once.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    pub(super) all: Vec<(i64, Route)>,
    pub(super) ids: HashMap<String, i64>,
    /// The last one looked at, of whatever namespace.
    pub(super) last: i64,
}

impl Routes {
    /// Reads those that came since the last time.
    pub(super) fn learn(&mut self, tx: &Tx<'_>) -> Result<()> {
        let sql = "select id, key, ns from route where id > ?1 order by id";
        let fresh = tx.rows(sql, [self.last], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
        })?;
        for (id, key, ns) in fresh {
            self.last = id;
            if ns != tx.ns {
                continue;
            }
            if let Some(route) = Route::from_key(&key) {
                self.all.push((id, route));
            }
            self.ids.insert(key, id);
        }
        Ok(())
    }

    /// The places of the routes that have tasks to claim, each with its first sort key. `None` where there are few routes,
    /// which are all looked at.
    pub(super) fn live(&self, tx: &Tx<'_>) -> Result<Option<Vec<(usize, i64)>>> {
        if self.all.len() <= MANY_ROUTES {
            return Ok(None);
        }
        // From one route in the index to the next, instead of through all tasks.
        let sql = "with recursive live(route) as (
              select min(route) from task where claim_key is not null
              union all
              select (select min(route) from task where claim_key is not null and route > live.route)
              from live where route is not null)
            select route, (select min(claim_key) from task where route = live.route and claim_key is not null)
            from live where route is not null";
        let live = tx.rows(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
        let known = live.into_iter().filter_map(|(id, key)| {
            let place = self.all.binary_search_by_key(&id, |(id, _)| *id).ok()?;
            Some((place, key))
        });
        Ok(Some(known.collect()))
    }

    /// The places of the routes that the agent serves, of those in `live` or of all, with how many of its capabilities
    /// they prefer.
    pub(super) fn served_by(
        &self,
        agent: &AgentInfo,
        types: Option<&[String]>,
        paused: &[String],
        live: Option<&[(usize, i64)]>,
    ) -> Served {
        let serves = |index: usize| {
            let (_, route) = &self.all[index];
            Some((index, route.served_by(&agent.id, &agent.capabilities, types, paused)?))
        };
        match live {
            Some(live) => live.iter().filter_map(|(index, _)| serves(*index)).collect(),
            None => (0..self.all.len()).filter_map(serves).collect(),
        }
    }
}
