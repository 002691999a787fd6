//! The statements of schedules.

mod put;
mod read;
mod tick;

pub(super) use read::next_due;

use super::store::SqliteStore;
use crate::{error::Result, schedules::Timetable, schedules::contract::*};
use async_trait::async_trait;

#[async_trait]
impl Timetable for SqliteStore {
    async fn schedules(&self, name: Option<&str>) -> Result<Schedules> {
        let name = name.map(str::to_owned);
        self.query(move |tx| read::schedules(tx, name.as_deref())).await
    }

    async fn due(&self, limit: usize) -> Result<Schedules> {
        self.query(move |tx| read::due(tx, limit)).await
    }

    async fn put(&self, entry: Entry, was: Option<i64>) -> Result<bool> {
        self.write(move |tx| put::put(tx, &entry, was)).await
    }

    async fn remove(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.write(move |tx| put::remove(tx, &name)).await
    }

    async fn tick(&self, ticks: Vec<Tick>) -> Result<bool> {
        self.write(move |tx| tick::tick(tx, ticks)).await
    }
}
