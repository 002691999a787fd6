//! The statements of schedules. Same files and names as in `sqlite`.

mod put;
mod read;
mod tick;

use super::Neo4jStore;
use crate::{error::Result, schedules::Timetable, schedules::contract::*};
use async_trait::async_trait;

/// For the test of their plans.
#[cfg(feature = "testing")]
pub(super) const HOT: [(&str, &str); 2] = [("due schedules", read::DUE.text), ("tick", tick::TICK.text)];

#[async_trait]
impl Timetable for Neo4jStore {
    async fn schedules(&self, name: Option<&str>) -> Result<Schedules> {
        read::schedules(self, name).await
    }

    async fn due(&self, limit: usize) -> Result<Schedules> {
        read::due(self, limit).await
    }

    async fn put(&self, entry: Entry, was: Option<i64>) -> Result<bool> {
        put::put(self, entry, was).await
    }

    async fn remove(&self, name: &str) -> Result<bool> {
        put::remove(self, name).await
    }

    async fn tick(&self, ticks: Vec<Tick>) -> Result<bool> {
        self.call(tick::tick(self, ticks)).await
    }
}
