//! What users publish comes in.

use super::{key, last_seq, take};
use crate::{
    error::{Error, Result},
    events::publish::{Cause, NewEvent, Publication, Published, Twin},
    json::Json,
    sqlite::tx::Tx,
};
use rusqlite::params;
use std::collections::HashMap;

/// An event that comes in.
struct Row<'a> {
    event: &'a NewEvent,
    task: Option<i64>,
    correlation_id: Option<String>,
    depth: u32,
}

pub(super) fn publish(tx: &Tx<'_>, units: &[Vec<Publication>]) -> Result<Vec<Result<Vec<Published>>>> {
    let mut new = New { base: last_seq(tx)?, rows: vec![], keys: HashMap::new() };
    let answers = units.iter().map(|unit| new.admit(tx, unit)).collect::<Result<_>>()?;
    if new.rows.is_empty() {
        return Ok(answers);
    }
    let before = take(tx, new.rows.len())?;
    let sql = "insert or fail into event(key, topic, task, source, data, created_at, correlation_id, depth, dedupe_key)
        values(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let mut each = tx.each(sql)?;
    for (index, Row { event, task, correlation_id, depth }) in new.rows.iter().enumerate() {
        let NewEvent { topic, source, payload, key: dedupe_key, .. } = event;
        let at = key(tx, before + 1 + index as i64);
        let payload = payload.as_ref().map(Json::as_str);
        each.run(params![at, topic, task, source, payload, tx.now, correlation_id, depth, dedupe_key])?;
    }
    Ok(answers)
}

/// What of a batch comes in, behind the event `base`.
struct New<'a> {
    base: i64,
    rows: Vec<Row<'a>>,
    /// Where the rows of these keys are.
    keys: HashMap<&'a str, usize>,
}

impl<'a> New<'a> {
    /// All of a unit or nothing.
    fn admit(&mut self, tx: &Tx<'_>, unit: &'a [Publication]) -> Result<Result<Vec<Published>>> {
        let before = self.rows.len();
        let mut all = Vec::with_capacity(unit.len());
        for publication in unit {
            match self.look(tx, publication)? {
                Ok(published) => all.push(published),
                Err(error) => {
                    self.rows.truncate(before);
                    self.keys.retain(|_, place| *place < before);
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(all))
    }

    fn look(&mut self, tx: &Tx<'_>, publication: &'a Publication) -> Result<Result<Published>> {
        let event = &publication.event;
        if let Some(key) = event.key.as_deref() {
            let twin = match self.keys.get(key) {
                Some(place) => Some(Twin::of(self.base + 1 + *place as i64, self.rows[*place].event)),
                None => twin(tx, key)?,
            };
            if let Some(twin) = twin {
                return Ok(twin.of_same(event));
            }
        }
        let task = match &event.task_id {
            None => None,
            Some(id) => {
                let sql = "select n from task where ns = ?1 and id = ?2";
                match tx.one(sql, params![tx.ns, id], |row| row.get(0))? {
                    None => return Ok(Err(Error::task_not_found(id))),
                    n => n,
                }
            }
        };
        let (mut correlation_id, mut depth) = (event.correlation_id.clone(), 0);
        if let Some(seq) = event.cause {
            let cause = Cause::found(seq, self.base, cause(tx, seq)?);
            match cause.and_then(|cause| Ok((cause.next_depth(&event.topic)?, cause.correlation_id))) {
                Ok((next, of_cause)) => {
                    depth = next;
                    correlation_id = correlation_id.or(of_cause).or_else(|| publication.began.clone());
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        if let Some(key) = event.key.as_deref() {
            self.keys.insert(key, self.rows.len());
        }
        self.rows.push(Row { event, task, correlation_id, depth });
        Ok(Ok(Published { seq: self.base + self.rows.len() as i64, deduplicated: false }))
    }
}

fn twin(tx: &Tx<'_>, dedupe_key: &str) -> Result<Option<Twin>> {
    let sql = "select e.key & 0xfffffffffff, e.topic, e.source, coalesce(t.id, w.id), e.data from event e
          left join task t on t.n = e.task left join swept w on w.n = e.task
        where e.key >> 44 = ?1 and e.dedupe_key = ?2 and e.dedupe_key is not null";
    tx.one(sql, params![tx.ns, dedupe_key], |row| {
        let payload = row.get::<_, Option<String>>(4)?.map(Json::stored);
        Ok(Twin { seq: row.get(0)?, topic: row.get(1)?, source: row.get(2)?, task_id: row.get(3)?, payload })
    })
}

fn cause(tx: &Tx<'_>, seq: i64) -> Result<Option<Cause>> {
    let sql = "select e.depth, coalesce(e.correlation_id, d.correlation_id, t.id, w.correlation_id) from event e
          left join task t on t.n = e.task left join task_data d on d.n = t.n left join swept w on w.n = e.task
        where e.key = ?1";
    tx.one(sql, [key(tx, seq)], |row| Ok(Cause { depth: row.get(0)?, correlation_id: row.get(1)? }))
}
