//! The yardstick: a stand-alone crate that measures the bare stores, built beside our benchmark.
use crate::process::{Result, cargo, run};
use crate::root;
use std::fs;
use std::path::{Path, PathBuf};

/// Replaces `--yardstick SOURCE` in the benchmark's arguments (or adds the default one, where
/// it exists) by `--yardstick DIRECTORY-OF-BINARIES`.
pub(crate) fn prepare(mut args: Vec<String>) -> Result<Vec<String>> {
    let Some(source) = take_option(&mut args)? else { return Ok(args) };
    let (copy, target) = (root().join("target/yardstick-src"), root().join("target/yardstick"));
    sync(&source, &copy).map_err(|e| format!("cannot copy {}: {e}", source.display()))?;
    // As its own README builds it: cargo looks for settings from the folder where it runs, and hands ours on.
    run(cargo(["build", "--release", "--manifest-path"])
        .arg(copy.join("Cargo.toml"))
        .current_dir(&source)
        .env_remove("LIBSQLITE3_FLAGS")
        .env("CARGO_TARGET_DIR", &target))?;
    args.extend(["--yardstick".into(), target.join("release").display().to_string()]);
    Ok(args)
}

fn take_option(args: &mut Vec<String>) -> Result<Option<PathBuf>> {
    if let Some(at) = args.iter().position(|a| a == "--yardstick") {
        if at + 1 == args.len() {
            return Err("--yardstick needs a folder".into());
        }
        return Ok(args.drain(at..at + 2).next_back().map(PathBuf::from));
    }
    let default = root().join("../shared/limit");
    Ok(default.join("Cargo.toml").exists().then_some(default))
}

/// The source may be read-only, and unchanged files keep their time so that cargo rebuilds nothing.
pub(crate) fn sync(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            sync(&entry.path(), &copy)?;
        } else {
            let content = fs::read(entry.path())?;
            if fs::read(&copy).ok().as_ref() != Some(&content) {
                fs::write(copy, content)?;
            }
        }
    }
    Ok(())
}
