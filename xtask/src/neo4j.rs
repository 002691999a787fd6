//! A Neo4j Community server out of Maven's jars, without Docker: fetch, configure, launch.
use crate::process::{Result, run};
use crate::root;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Of the one in the background.
pub(crate) const PASSWORD: &str = "password";
/// The launcher's class, by which its process is recognised.
pub(crate) const LAUNCHER: &str = "Neo4jServer";

const POM: &str = include_str!("../neo4j/pom.xml");
const SETTINGS: &str = include_str!("../neo4j/neo4j.conf");
const SOURCE: &str = include_str!("../neo4j/Neo4jServer.java");
const JVM_FLAGS: [&str; 7] = [
    "-Xmx512m",
    "-XX:+UseG1GC",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dlog4j2.disable.jmx=true",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
];
const START_TIMEOUT: Duration = Duration::from_secs(120);
const ADVICE: &str = "are `java` and `javac` (17 or 21) and `mvn` on PATH?";

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Life {
    /// Ends with this process and removes its home.
    Attached,
    /// Survives this process and its terminal.
    Detached,
}

pub(crate) fn dir() -> PathBuf {
    root().join("target/neo4j")
}

/// Returns when the server answers on `port`.
pub(crate) fn launch(home: &Path, port: u16, password: &str, life: Life) -> Result<Child> {
    let classpath = provision().map_err(|e| format!("{e}\n{ADVICE}"))?;
    fs::create_dir_all(home)?;
    let address = format!("127.0.0.1:{port}");
    let conf =
        format!("{SETTINGS}server.bolt.listen_address={address}\nserver.bolt.advertised_address={address}\n");
    fs::write(home.join("neo4j.conf"), conf)?;

    let log_path = dir().join("server.log");
    let log = File::options().create(true).append(true).open(&log_path)?;
    let earlier = usize::try_from(log.metadata()?.len())?;
    let mut command = match life {
        Life::Attached => Command::new("java"),
        Life::Detached => Command::new("nohup"),
    };
    if life == Life::Detached {
        command.arg("java").process_group(0);
    }
    command.args(JVM_FLAGS).arg("-cp").arg(classpath).arg(LAUNCHER).arg(home);
    // The server writes its command line into its log.
    command.env("KURULTAI_NEO4J_PASSWORD", password);
    command.arg(if life == Life::Attached { "attached" } else { "detached" });
    command.stdin(if life == Life::Attached { Stdio::piped() } else { Stdio::null() });
    command.stdout(log.try_clone()?).stderr(log);
    let mut child = command.spawn().map_err(|e| format!("cannot run java: {e}; {ADVICE}"))?;

    let start = Instant::now();
    let ready = format!("READY {}", home.display());
    loop {
        let bytes = fs::read(&log_path)?;
        let text = String::from_utf8_lossy(bytes.get(earlier..).unwrap_or_default());
        if text.lines().any(|line| line == ready) {
            return Ok(child);
        }
        let ended = child.try_wait()?.is_some();
        if ended || start.elapsed() > START_TIMEOUT {
            child.kill().and_then(|()| child.wait()).ok();
            let lines: Vec<_> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(20)..].join("\n");
            let what = if ended { "did not start" } else { "was not ready in 120 s" };
            return Err(format!("{tail}\nNeo4j {what} (log: {}); {ADVICE}", log_path.display()).into());
        }
        sleep(Duration::from_millis(100));
    }
}

/// The class path: the server's jars, fetched once, and the launcher.
fn provision() -> Result<String> {
    let (lib, classes) = (dir().join("lib"), dir().join("classes"));
    fs::create_dir_all(dir())?;
    let lock = File::create(dir().join("lock"))?;
    lock.lock()?;
    let jars = format!("{}/*", lib.display());
    once("lib", POM, || {
        println!("fetching the Neo4j server with Maven (120 MB, about a minute, once)");
        run(Command::new("mvn")
            .args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"])
            .arg(root().join("xtask/neo4j/pom.xml"))
            .arg(format!("-DoutputDirectory={}", lib.display())))
    })?;
    once("classes", SOURCE, || {
        let source = root().join("xtask/neo4j/Neo4jServer.java");
        run(Command::new("javac").args(["--release", "17", "-cp", &jars, "-d"]).arg(&classes).arg(source))
    })?;
    Ok(format!("{}:{jars}", classes.display()))
}

/// Fills the folder unless it was filled from the same `input` before; half a folder is none.
fn once(folder: &str, input: &str, fill: impl FnOnce() -> Result<()>) -> Result<()> {
    let (path, stamp) = (dir().join(folder), dir().join(format!("{folder}.stamp")));
    if path.is_dir() && fs::read_to_string(&stamp).is_ok_and(|done| done == input) {
        return Ok(());
    }
    if path.exists() {
        fs::remove_dir_all(&path)?;
    }
    fs::create_dir_all(&path)?;
    fill()?;
    Ok(fs::write(stamp, input)?)
}
