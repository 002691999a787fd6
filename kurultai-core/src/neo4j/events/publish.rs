//! What users publish comes in. As with messages: a statement writes the rows where nothing speaks against them, and says what
//! does where something does; then the rules decide, and what they admit goes the same way.

use crate::{
    error::{Error, Result},
    events::publish::{Cause, MAX_CHAIN, NewEvent, Publication, Published, Twin},
    json::Json,
    neo4j::{
        Neo4jStore,
        bolt::{Cells, cells, list},
        cypher::hot_lock,
        statement::{Call, Statement},
        verdict::CONSTRAINT,
    },
};
use std::collections::{BTreeMap, HashMap, HashSet};

pub(super) const PUBLISH: Statement =
    Statement::locking(concat!(hot_lock!(), include_str!("cypher/publish.cypher"))).once();

/// How often a batch is decided anew, because what it was decided by has changed.
const ROUNDS: usize = 8;

pub(super) async fn publish(
    store: &Neo4jStore,
    units: &[Vec<Publication>],
) -> Result<Vec<Result<Vec<Published>>>> {
    // First as if nothing spoke against any of them.
    let mut known = Known::default();
    for _ in 0..ROUNDS {
        let mut rows = vec![];
        let mut each: Vec<_> = units.iter().map(|unit| known.admit(unit, &mut rows)).collect();
        if rows.is_empty() {
            return Ok(each);
        }
        let mut answer = match store.one(query(store, units, &rows)).await {
            Ok(answer) => answer,
            // By a program that does not lock the namespace; the next look sees it.
            Err(error) if error.code() == CONSTRAINT => {
                known = Known::default();
                continue;
            }
            Err(error) => return Err(error),
        };
        let fits: bool = answer.next()?;
        let base: i64 = answer.next()?;
        if fits {
            for published in each.iter_mut().flatten().flatten().filter(|one| one.seq <= 0) {
                published.seq = base - published.seq + 1;
            }
            return Ok(each);
        }
        known = Known::read(base, answer)?;
    }
    Err(Error::unavailable("other writers publish the same keys too quickly"))
}

/// What was read under the lock, and what was admitted since.
#[derive(Default)]
struct Known {
    /// The newest event, where something was read.
    newest: Option<i64>,
    twins: HashMap<String, Twin>,
    tasks: HashSet<String>,
    causes: HashMap<i64, Cause>,
}

impl Known {
    /// Adds the unit's new events to the rows, all or none. Until they have numbers, each has its place among the rows, with a
    /// minus.
    fn admit<'a>(
        &mut self,
        unit: &'a [Publication],
        rows: &mut Vec<&'a Publication>,
    ) -> Result<Vec<Published>> {
        let before = rows.len();
        let mut all = Vec::with_capacity(unit.len());
        for publication in unit {
            match self.look(&publication.event) {
                Ok(Some(published)) => all.push(published),
                Ok(None) => {
                    let seq = -(rows.len() as i64);
                    if let Some(key) = &publication.event.key {
                        self.twins.insert(key.clone(), Twin::of(seq, &publication.event));
                    }
                    rows.push(publication);
                    all.push(Published { seq, deduplicated: false });
                }
                Err(error) => {
                    let dropped = rows.drain(before..).filter_map(|one| one.event.key.as_ref());
                    dropped.for_each(|key| drop(self.twins.remove(key)));
                    return Err(error);
                }
            }
        }
        Ok(all)
    }

    /// What is answered without another event.
    fn look(&self, event: &NewEvent) -> Result<Option<Published>> {
        if let Some(twin) = event.key.as_ref().and_then(|key| self.twins.get(key)) {
            return twin.of_same(event).map(Some);
        }
        let Some(newest) = self.newest else { return Ok(None) };
        if let Some(id) = event.task_id.as_ref().filter(|id| !self.tasks.contains(*id)) {
            return Err(Error::task_not_found(id));
        }
        if let Some(seq) = event.cause {
            Cause::found(seq, newest, self.causes.get(&seq).cloned())?.next_depth(&event.topic)?;
        }
        Ok(None)
    }

    fn read(newest: i64, mut answer: Cells) -> Result<Self> {
        let mut known = Known { newest: Some(newest), ..Known::default() };
        for mut twin in answer.rows()? {
            let (key, seq, topic, source) =
                (twin.next::<String>()?, twin.next()?, twin.next()?, twin.next()?);
            let twin = Twin { seq, topic, source, task_id: twin.next()?, payload: twin.next()? };
            known.twins.insert(key, twin);
        }
        known.tasks = answer.next::<Vec<String>>()?.into_iter().collect();
        for mut cause in answer.rows()? {
            let seq = cause.next()?;
            known.causes.insert(seq, Cause { depth: cause.next()?, correlation_id: cause.next()? });
        }
        Ok(known)
    }
}

fn query(store: &Neo4jStore, units: &[Vec<Publication>], rows: &[&Publication]) -> Call {
    let mut keys: BTreeMap<&str, bool> = BTreeMap::new();
    let mut tasks: BTreeMap<&str, bool> = BTreeMap::new();
    let mut causes: BTreeMap<i64, bool> = BTreeMap::new();
    for Publication { event, .. } in units.iter().flatten() {
        keys.extend(event.key.as_deref().map(|key| (key, false)));
        tasks.extend(event.task_id.as_deref().map(|id| (id, false)));
        causes.extend(event.cause.map(|seq| (seq, false)));
    }
    for Publication { event, .. } in rows {
        keys.extend(event.key.as_deref().map(|key| (key, true)));
        tasks.extend(event.task_id.as_deref().map(|id| (id, true)));
        causes.extend(event.cause.map(|seq| (seq, true)));
    }
    let named = |names: BTreeMap<&str, bool>| list(names.into_iter().map(|(name, used)| cells![name, used]));
    let lines = rows.iter().map(|Publication { event, began }| {
        cells![
            event.topic.as_str(),
            event.source.as_deref(),
            event.task_id.as_deref(),
            event.payload.as_ref().map(Json::as_str),
            event.correlation_id.as_deref(),
            event.key.as_deref(),
            event.cause,
            began.as_deref(),
        ]
    });
    store
        .query(PUBLISH)
        .param("keys", named(keys))
        .param("tasks", named(tasks))
        .param("causes", list(causes.into_iter().map(|(seq, used)| cells![seq, used])))
        .param("most", i64::from(MAX_CHAIN))
        .param("rows", list(lines))
}
