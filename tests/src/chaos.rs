//! Processes that are killed and stopped while they work, and the count of what is left.

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
