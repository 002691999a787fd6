//! Processes that are killed and stopped while they work, and the count of what is left.
//!
//! Reading order: [`arena`] (a store for one run), [`role`] (what a worker process does), [`staff`] (how the run
//! starts, kills and hears them), [`standstill`] (what the machine is to blame for), [`count`] (the verdict, from the
//! store and its event log alone), then the runs: [`storm`], [`kills`], [`stops`], [`deaths`], [`takeovers`], [`renewals`],
//! [`crashes`]; and those of
//! messages: [`mail`], [`replays`] with what their processes do (`readers`), [`rotation`].

pub mod arena;
pub mod count;
pub mod crashes;
pub mod deaths;
pub mod kills;
pub mod mail;
mod readers;
pub mod renewals;
pub mod replays;
pub mod role;
pub mod rotation;
pub mod staff;
pub mod standstill;
pub mod stops;
pub mod storm;
pub mod takeovers;

pub use arena::Arena;
pub use count::Report;

pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// What the stores' times are compared with.
#[expect(clippy::disallowed_methods, reason = "it is compared with the stores' own times")]
fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}

/// The server for tests.
///
/// # Panics
/// Where none is named: a test that needs it must not pass without it.
pub fn neo4j_url() -> String {
    match std::env::var("KURULTAI_TEST_NEO4J") {
        Ok(url) if !url.is_empty() => url,
        _ => panic!("set KURULTAI_TEST_NEO4J, or run `cargo xtask test`"),
    }
}
