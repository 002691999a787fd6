//! The Python package: built from this tree, tested, type-checked, made a wheel and installed.
use crate::process::{Result, Steps, cargo, run};
use crate::server::{Server, beside};
use crate::{built, node, root, target};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `cargo xtask python [test [FILTER] | wheel]`.
pub(crate) fn command(args: &[String]) -> Result<()> {
    match args.first().map_or("", String::as_str) {
        "" => build("dev"),
        "test" => {
            let mut steps = Steps::default();
            test(&mut steps, Server::named().as_ref(), &args[1..]);
            steps.finish()
        }
        "wheel" => {
            println!("{}", wheel(&["--release"])?.display());
            Ok(())
        }
        _ => Err("usage: cargo xtask python [test [FILTER] | wheel]".into()),
    }
}

/// What the package promises, on SQLite and, where there is a server, on Neo4j.
pub(crate) fn test(steps: &mut Steps, server: Option<&Server>, filters: &[String]) {
    if steps.run("python build", || build("dev")).is_none() {
        return;
    }
    steps.run("python", || {
        let mut python = unittest(Path::new("python3"), filters);
        beside(server, python.env("PYTHONPATH", package().join("python")))
    });
    steps.run("python types", types);
    steps.run("python wheel", || install(filters));
}

fn package() -> PathBuf {
    root().join("kurultai-py")
}

/// Where virtual environments and wheels go.
fn workshop() -> PathBuf {
    target().join("python")
}

/// The native half by cargo, put beside the other, so that both are found without any tool of Python.
pub(crate) fn build(profile: &str) -> Result<()> {
    run(cargo(["build", "--locked", "-p", "kurultai-py", "--profile", profile]).current_dir(root()))?;
    let (library, module) = match std::env::consts::OS {
        "windows" => ("_native.dll", "_native.pyd"),
        "macos" => ("lib_native.dylib", "_native.abi3.so"),
        _ => ("lib_native.so", "_native.abi3.so"),
    };
    let place = package().join("python/kurultai").join(module);
    // A process that still has the old one keeps it.
    fs::remove_file(&place).ok();
    fs::copy(built(profile).join(library), place)?;
    Ok(())
}

fn unittest(python: &Path, filters: &[String]) -> Command {
    let mut command = Command::new(python);
    command.args(["-W", "error::ResourceWarning", "-m", "unittest"]);
    command.args(filters.iter().flat_map(|name| ["-k", name.as_str()]));
    command.current_dir(package().join("tests"));
    command
}

fn tools() -> Result<PathBuf> {
    let home = workshop().join("tools");
    environment(&package().join("tests/typing/requirements.txt"), &home)?;
    Ok(binaries(&home))
}

/// A virtual environment with what the list pins, made once for each list.
pub(crate) fn environment(list: &Path, home: &Path) -> Result<()> {
    let (pins, made) = (fs::read_to_string(list)?, home.join("pins.txt"));
    if fs::read_to_string(&made).is_ok_and(|done| done == pins) {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home))?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(Command::new(binaries(home).join("python")).args(install).arg(list))?;
    Ok(fs::write(made, pins)?)
}

fn binaries(home: &Path) -> PathBuf {
    home.join(if cfg!(windows) { "Scripts" } else { "bin" })
}

fn types() -> Result<()> {
    let bin = tools()?;
    let command = |name: &str| {
        let mut command = Command::new(bin.join(name));
        command.current_dir(package()).env("MYPYPATH", "python").env("PYTHONPATH", package().join("python"));
        command
    };
    let checked = ["python/kurultai", "tests/typing", "stubs.py"];
    run(command("mypy").args(["--strict", "--python-version", "3.10"]).args(checked))?;
    // What users write, as an editor sees it; pyright is a program of Node.
    let samples = package().join("tests/typing");
    node::dependencies(&samples)?;
    let mut pyright = Command::new("node");
    pyright.arg("node_modules/pyright/index.js").arg("--pythonpath").arg(bin.join("python"));
    run(pyright.current_dir(samples))?;
    // The other modules have their types in themselves.
    run(command("stubtest").args(["kurultai._native", "kurultai.blocking"]))
}

/// In cargo's own target folder: maturin's environment makes it compile pyo3 again, which takes 15 s, and everything
/// in a folder of its own would take minutes.
fn wheel(options: &[&str]) -> Result<PathBuf> {
    let wheels = workshop().join("wheels");
    fs::remove_dir_all(&wheels).ok();
    let mut maturin = Command::new(tools()?.join("maturin"));
    maturin.args(["build", "--quiet", "--locked", "--auditwheel", "skip", "--manifest-path"]);
    maturin.arg(package().join("Cargo.toml")).arg("--out").arg(&wheels);
    run(maturin.arg("--target-dir").arg(target()).args(options))?;
    let made = fs::read_dir(&wheels)?.flatten().map(|file| file.path());
    made.into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "whl"))
        .ok_or("maturin made no wheel".into())
}

/// The wheel in a fresh environment passes the same tests there, on the other event loop.
fn install(filters: &[String]) -> Result<()> {
    let (wheel, fresh) = (wheel(&[])?, workshop().join("fresh"));
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&fresh))?;
    let python = binaries(&fresh).join("python");
    let pip = || {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip
    };
    run(pip().arg("--no-index").arg(wheel))?;
    run(pip().arg("uvloop").arg("--constraint").arg(package().join("tests/typing/requirements.txt")))?;
    let mut tests = unittest(&python, filters);
    beside(None, tests.env_remove("PYTHONPATH").env("KURULTAI_TEST_LOOP", "uvloop"))
}
