//! Values on their way to and from the server. A statement returns one list a row, read cell by cell.

use crate::{
    clock::{Micros, read_time, time},
    error::{Error, Result},
    json::Json,
};
use chrono::{DateTime, FixedOffset, NaiveDateTime, Utc};
use neo4rs::{BoltList, BoltMap, BoltType};

/// A list parameter; far shorter on the wire than a map, which repeats its keys in every row.
macro_rules! cells {
    ($($value:expr),* $(,)?) => { $crate::neo4j::bolt::list([$(neo4rs::BoltType::from($value)),*]) };
}
pub(super) use cells;

pub(super) fn list(values: impl IntoIterator<Item = BoltType>) -> BoltType {
    BoltType::List(BoltList::from(values.into_iter().collect::<Vec<_>>()))
}

pub(super) fn map<'a>(fields: impl IntoIterator<Item = (&'a str, BoltType)>) -> BoltType {
    BoltType::Map(fields.into_iter().map(|(key, value)| (key.into(), value)).collect::<BoltMap>())
}

pub(super) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A native DATETIME.
pub(super) fn datetime(at: Option<Micros>) -> BoltType {
    at.map(time).into()
}

/// One row of an answer.
#[derive(Debug)]
pub(super) struct Cells {
    values: std::vec::IntoIter<BoltType>,
    column: usize,
}

impl Cells {
    pub(super) fn of(value: BoltType) -> Result<Self> {
        match value {
            BoltType::List(list) => Ok(Cells { values: list.value.into_iter(), column: 0 }),
            other => Err(Error::internal(format!("the server gave {other:?} instead of a list"))),
        }
    }

    pub(super) fn next<T: Cell>(&mut self) -> Result<T> {
        self.column += 1;
        let value = self.values.next().unwrap_or(BoltType::Null(neo4rs::BoltNull));
        T::of(value)
            .ok_or_else(|| Error::internal(format!("column {} holds a value of another type", self.column)))
    }

    /// A time that another program may have written; what cannot be read is none.
    pub(super) fn time(&mut self) -> Result<Option<DateTime<Utc>>> {
        Ok(DateTime::of(self.next::<BoltType>()?))
    }

    /// The next cell is a list of rows.
    pub(super) fn rows(&mut self) -> Result<Vec<Cells>> {
        self.next::<Vec<BoltType>>()?.into_iter().map(Cells::of).collect()
    }
}

/// A node's properties. What another program left out is `None`.
#[derive(Debug)]
pub(super) struct Properties(BoltMap);

impl Properties {
    pub(super) fn take<T: Cell>(&mut self, name: &str) -> Result<T> {
        let value = self.0.value.remove(name).unwrap_or(BoltType::Null(neo4rs::BoltNull));
        T::of(value)
            .ok_or_else(|| Error::internal(format!("property {name:?} holds a value of another type")))
    }
}

pub(super) trait Cell: Sized {
    fn of(value: BoltType) -> Option<Self>;
}

impl Cell for BoltType {
    fn of(value: BoltType) -> Option<Self> {
        Some(value)
    }
}

impl Cell for Properties {
    fn of(value: BoltType) -> Option<Self> {
        match value {
            BoltType::Map(map) => Some(Properties(map)),
            _ => None,
        }
    }
}

impl Cell for String {
    fn of(value: BoltType) -> Option<Self> {
        match value {
            BoltType::String(text) => Some(text.value),
            _ => None,
        }
    }
}

impl Cell for Json {
    fn of(value: BoltType) -> Option<Self> {
        String::of(value).map(Json::stored)
    }
}

impl Cell for i64 {
    fn of(value: BoltType) -> Option<Self> {
        match value {
            BoltType::Integer(number) => Some(number.value),
            _ => None,
        }
    }
}

impl Cell for u32 {
    fn of(value: BoltType) -> Option<Self> {
        i64::of(value).and_then(|number| u32::try_from(number).ok())
    }
}

impl Cell for u64 {
    fn of(value: BoltType) -> Option<Self> {
        i64::of(value).and_then(|number| u64::try_from(number).ok())
    }
}

impl Cell for f64 {
    fn of(value: BoltType) -> Option<Self> {
        match value {
            BoltType::Float(number) => Some(number.value),
            BoltType::Integer(number) => Some(number.value as f64),
            _ => None,
        }
    }
}

impl Cell for bool {
    fn of(value: BoltType) -> Option<Self> {
        match value {
            BoltType::Boolean(boolean) => Some(boolean.value),
            _ => None,
        }
    }
}

/// Also what other programs write: local times and ISO text, which count as UTC.
impl Cell for DateTime<Utc> {
    fn of(value: BoltType) -> Option<Self> {
        match value {
            BoltType::DateTime(time) => DateTime::<Utc>::try_from(&time).ok(),
            // Into UTC the driver would take the local time as it is.
            BoltType::DateTimeZoneId(time) => {
                DateTime::<FixedOffset>::try_from(&time).ok().map(|t| t.to_utc())
            }
            BoltType::LocalDateTime(time) => NaiveDateTime::try_from(&time).ok().map(|naive| naive.and_utc()),
            BoltType::String(text) => read_time(&text.value),
            _ => None,
        }
    }
}

impl<T: Cell> Cell for Option<T> {
    fn of(value: BoltType) -> Option<Self> {
        match value {
            BoltType::Null(_) => Some(None),
            value => T::of(value).map(Some),
        }
    }
}

impl<T: Cell> Cell for Vec<T> {
    fn of(value: BoltType) -> Option<Self> {
        match value {
            BoltType::List(list) => list.value.into_iter().map(T::of).collect(),
            BoltType::Null(_) => Some(vec![]),
            _ => None,
        }
    }
}
