//! What every store must do. A case is a function over a [`fixture::Team`]; the macro [`cases`] makes a test of it
//! for each store: `tasks::claim::sqlite::two_claimers_never_get_the_same_task`.

#[cfg(test)]
mod adopt;
#[cfg(test)]
mod agents;
#[cfg(test)]
mod alerts;
pub mod chaos;
#[cfg(test)]
mod complete;
#[cfg(test)]
mod cycle;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod events;
#[cfg(test)]
pub(crate) mod fixture;
pub mod history;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod model;
#[cfg(test)]
mod namespaces;
#[cfg(test)]
mod network;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod plans;
pub mod proxy;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod sqlite;
#[cfg(test)]
mod statements;
#[cfg(test)]
mod tasks;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod watchers;
#[cfg(test)]
mod worker;

/// Makes `sqlite::name` and `neo4j::name` of each `async fn name(team: Team)`.
#[cfg(test)]
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::fixture::Team::sqlite().await).await; })+
        }
        mod neo4j {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::fixture::Team::neo4j().await).await; })+
        }
    };
}
#[cfg(test)]
pub(crate) use cases;

/// The README's Rust blocks run as they stand.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
