//! The Node package: built from this tree, tested, type-checked, packed and installed.
use crate::process::{Result, Steps, cargo, run};
use crate::server::{Server, URL, beside};
use crate::{built, root};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `cargo xtask node [test [FILTER] | pack]`.
pub(crate) fn command(args: &[String]) -> Result<()> {
    match args.first().map_or("", String::as_str) {
        "" => build("dev"),
        "test" => {
            let mut steps = Steps::default();
            test(&mut steps, Server::named().as_ref(), &args[1..]);
            steps.finish()
        }
        "pack" => {
            build("release")?;
            strip();
            println!("{}", pack(&package())?.display());
            Ok(())
        }
        _ => Err("usage: cargo xtask node [test [FILTER] | pack]".into()),
    }
}

/// [`test`] as a command of its own.
pub(crate) fn tests(server: Option<&Server>, filters: &[String]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["node", "test"]).args(filters);
    match server {
        Some(server) => command.env(URL, server.url()),
        None => command.env_remove(URL),
    };
    Ok(command)
}

/// What the package promises, on SQLite and, where there is a server, on Neo4j.
fn test(steps: &mut Steps, server: Option<&Server>, filters: &[String]) {
    if steps.run("node build", || build("dev")).is_none() {
        return;
    }
    steps.run("node", || {
        let mut files: Vec<_> = fs::read_dir(package().join("tests"))?.flatten().map(|f| f.path()).collect();
        files.retain(|file| file.to_string_lossy().ends_with(".test.mjs"));
        files.sort();
        let mut node = Command::new("node");
        node.arg("--test").args(filters.iter().map(|name| format!("--test-name-pattern={name}")));
        beside(server, node.args(files).current_dir(package()))
    });
    steps.run("node types", types);
    steps.run("node package", install);
}

fn package() -> PathBuf {
    root().join("kurultai-node")
}

/// The native half by cargo, the other by TypeScript, and a link by which the examples find both.
pub(crate) fn build(profile: &str) -> Result<()> {
    run(cargo(["build", "--locked", "-p", "kurultai-node", "--profile", profile]).current_dir(root()))?;
    let library = match std::env::consts::OS {
        "windows" => "kurultai_node.dll",
        "macos" => "libkurultai_node.dylib",
        _ => "libkurultai_node.so",
    };
    let native = package().join("native");
    fs::create_dir_all(&native)?;
    // Renamed into place: overwriting a library that a program has loaded would crash it.
    let (new, name) = (native.join("new"), native.join(binary()));
    fs::copy(built(profile).join(library), &new)?;
    fs::rename(new, name)?;
    fs::copy(root().join("LICENSE"), package().join("LICENSE"))?;
    dependencies(&package())?;
    fs::remove_dir_all(package().join("dist")).ok();
    run(Command::new("node").args(["node_modules/typescript/bin/tsc", "-p", "."]).current_dir(package()))?;
    link()
}

/// Without what only a debugger reads, a sixth of the size; where there is no `strip` it stays.
fn strip() {
    let file = package().join("native").join(binary());
    if run(Command::new("strip").arg("-S").arg(file)).is_err() {
        eprintln!("xtask: the native half keeps its debug information");
    }
}

/// As `ts/native.ts` looks for it.
fn binary() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let library = match system {
        "linux" if cfg!(target_env = "musl") => "-musl",
        "linux" => "-gnu",
        _ => "",
    };
    format!("kurultai.{system}-{processor}{library}.node")
}

/// What the folder's lock file has; only again when that changes.
pub(crate) fn dependencies(folder: &Path) -> Result<()> {
    let changed = |path: &str| fs::metadata(folder.join(path)).and_then(|file| file.modified()).ok();
    if changed("node_modules/.package-lock.json") >= changed("package-lock.json") {
        return Ok(());
    }
    npm(&["ci", "--loglevel=error", "--no-audit", "--no-fund"], folder).map(drop)
}

/// What `npm install` in examples/node would make.
fn link() -> Result<()> {
    let modules = root().join("examples/node/node_modules");
    let link = modules.join("kurultai");
    if link.exists() {
        return Ok(());
    }
    fs::create_dir_all(&modules)?;
    #[cfg(unix)]
    std::os::unix::fs::symlink("../../../kurultai-node", link)?;
    #[cfg(not(unix))]
    npm(&["install", "--silent", "--no-package-lock"], &root().join("examples/node"))?;
    Ok(())
}

/// A program under `tsc --strict`, found by `import` and by `require`, with Node's declarations and without.
fn types() -> Result<()> {
    for project in ["tests/types", "tests/types/tsconfig.bare.json"] {
        let mut tsc = Command::new("node");
        run(tsc.args(["node_modules/typescript/bin/tsc", "-p", project]).current_dir(package()))?;
    }
    Ok(())
}

/// The package as a user has it: packed, installed in a fresh folder, run under `import` and `require`.
fn install() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("kurultai-node-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let done = try_out(&folder);
    fs::remove_dir_all(&folder).ok();
    done
}

fn try_out(folder: &Path) -> Result<()> {
    let packed = pack(folder)?;
    fs::write(folder.join("package.json"), "{ \"private\": true }\n")?;
    let packed = packed.to_string_lossy();
    npm(&["install", "--silent", "--offline", "--no-audit", "--no-fund", &packed], folder)?;
    let body = "
        const k = await open('sqlite:team.db')
        await k.agents.register('temujin')
        await k.tasks.enqueue('x', [version])
        const [task] = await k.tasks.claim('temujin')
        if ((await k.tasks.complete(task)).status !== 'completed') throw new Error('not completed')
        if (!require.resolve('kurultai').includes('node_modules')) throw new Error('another kurultai')
        await k.close()";
    let by_import = format!(
        "import {{ createRequire }} from 'node:module'; import {{ open }} from 'kurultai';
        const require = createRequire(import.meta.url), {{ version }} = require('kurultai/package.json')\n{body}"
    );
    let by_require = format!(
        "const {{ open }} = require('kurultai'), {{ version }} = require('kurultai/package.json')
        ;(async () => {{ {body} }})()"
    );
    for (name, source) in [("by_import.mjs", by_import), ("by_require.cjs", by_require)] {
        fs::write(folder.join(name), source)?;
        run(Command::new("node").arg(name).current_dir(folder))?;
    }
    Ok(())
}

/// Returns the packed package.
fn pack(into: &Path) -> Result<PathBuf> {
    let said = npm(&["pack", "--json", "--pack-destination", &into.to_string_lossy()], &package())?;
    let packed: Value = serde_json::from_str(&said)?;
    let name = packed[0]["filename"].as_str().ok_or("npm pack named no file")?;
    Ok(into.join(name))
}

/// What it printed; its warnings are shown.
fn npm(args: &[&str], folder: &Path) -> Result<String> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let mut command = Command::new(program);
    let output = command.args(args).current_dir(folder).stderr(Stdio::inherit()).output();
    let output = output.map_err(|e| format!("cannot run npm (Node 20 or later has it): {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("`npm {}` failed: {}", args.join(" "), output.status).into())
}
