//! The test servers, for `cargo xtask` and for the tests that kill one.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a command-line tool that times its steps"
)]

mod neo4j;
pub mod process;
pub mod server;

use std::path::{Path, PathBuf};

/// The workspace's folder; asked at run time, because several checkouts may share a target folder.
pub fn root() -> PathBuf {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).parent().map_or(PathBuf::from("."), Path::to_path_buf)
}
