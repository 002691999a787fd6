//! Which server a command uses: one named in the environment, a fresh one that ends with the
//! command, or the one `cargo xtask neo4j start` keeps in the background.
use crate::neo4j::{LAUNCHER, Life, PASSWORD, dir, launch};
use crate::process::{Result, run};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The environment variable that names a server to every test, benchmark and example.
pub const URL: &str = "KURULTAI_TEST_NEO4J";
/// The environment variable that names the folder in which what the tests leave is kept, to be searched for secrets.
pub const CANARY: &str = "KURULTAI_CANARY";
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Server {
    url: String,
    own: Option<Own>,
}

/// A server that ends with this process. Its data is thrown away.
#[derive(Debug)]
struct Own {
    process: Child,
    home: PathBuf,
    port: u16,
    password: String,
}

/// What a server has left, and the password that it should not have.
#[derive(Debug)]
pub struct Left {
    /// Its files.
    pub home: PathBuf,
    /// Nobody else's: each fresh server has one of its own.
    pub password: String,
}

impl Server {
    /// The one that the environment names.
    pub fn named() -> Option<Self> {
        let url = std::env::var(URL).ok().filter(|url| !url.is_empty())?;
        Some(Self { url, own: None })
    }

    pub fn named_or_new() -> Result<Self> {
        if let Some(server) = Self::named() {
            return Ok(server);
        }
        Self::fresh()
    }

    /// A new one, that nobody else uses.
    pub fn fresh() -> Result<Self> {
        let port = free_port(0)?;
        let home = dir().join(format!("home-run-{}-{port}", std::process::id()));
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let process = launch(&home, port, &password, Life::Attached)?;
        Ok(Self { url: url(port, &password), own: Some(Own { process, home, port, password }) })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        let own = self.own()?;
        own.process.kill()?;
        own.process.wait()?;
        Ok(())
    }

    /// Again on its data and its port, after [`Server::kill`].
    pub fn start(&mut self) -> Result<()> {
        let own = self.own()?;
        own.process = launch(&own.home, own.port, &own.password, Life::Attached)?;
        Ok(())
    }

    /// Ends it, where it is ours, so that all that it has is in its files; those stay until this is dropped.
    pub fn end(&mut self) -> Result<Option<Left>> {
        if self.own.is_none() {
            return Ok(None);
        }
        self.kill()?;
        Ok(self.own.as_ref().map(|own| Left { home: own.home.clone(), password: own.password.clone() }))
    }

    fn own(&mut self) -> Result<&mut Own> {
        self.own.as_mut().ok_or_else(|| "this server is somebody else's".into())
    }

    pub fn run(&self, command: &mut Command) -> Result<()> {
        run(command.env(URL, &self.url))
    }
}

/// Runs tests on the server, or where there is none without any.
pub fn beside(server: Option<&Server>, command: &mut Command) -> Result<()> {
    if let Some(folder) = std::env::var_os(CANARY).map(PathBuf::from) {
        command.env("TMPDIR", folder.join("tmp")).env("KURULTAI_KEEP", folder.join("removed"));
        command.env("LD_PRELOAD", folder.join("keep.so"));
    }
    match server {
        Some(server) => server.run(command),
        None => run(command.env_remove(URL)),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(own) = &mut self.own else { return };
        // An orderly end would take ten seconds.
        own.process.kill().and_then(|()| own.process.wait()).ok();
        fs::remove_dir_all(&own.home).ok();
    }
}

/// `cargo xtask neo4j start|stop|kill|url`. A stopped or killed server comes back with its data on its port.
pub fn command(verb: &str) -> Result<()> {
    match (verb, running()) {
        ("start", None) => start(),
        ("start", Some((_, port))) => {
            println!("already running");
            announce(port);
            Ok(())
        }
        ("stop", Some((pid, port))) => signal("TERM", pid, port),
        ("kill", Some((pid, port))) => signal("KILL", pid, port),
        ("url", Some((_, port))) => {
            println!("{}", url(port, PASSWORD));
            Ok(())
        }
        ("stop" | "kill", None) => {
            println!("not running");
            Ok(())
        }
        ("url", None) => Err("no server is running: `cargo xtask neo4j start`".into()),
        _ => Err("usage: cargo xtask neo4j start|stop|kill|url".into()),
    }
}

fn start() -> Result<()> {
    let port = free_port(recorded().map_or(0, |(_, port)| port))?;
    let child = launch(&dir().join("home-server"), port, PASSWORD, Life::Detached)?;
    let record = json!({ "pid": child.id(), "port": port, "password": PASSWORD });
    fs::write(dir().join("server.json"), format!("{record}\n"))?;
    announce(port);
    Ok(())
}

/// Returns when the port is free again, which on SIGKILL is a moment after the process is gone.
fn signal(name: &str, pid: u32, port: u16) -> Result<()> {
    run(Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]))?;
    let start = Instant::now();
    while alive(pid) || TcpListener::bind(("127.0.0.1", port)).is_err() {
        if start.elapsed() > STOP_TIMEOUT {
            return Err(format!("process {pid} is still there").into());
        }
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn announce(port: u16) {
    println!("{0}\nexport {URL}={0}", url(port, PASSWORD));
}

fn url(port: u16, password: &str) -> String {
    format!("neo4j://neo4j:{password}@127.0.0.1:{port}/neo4j")
}

fn running() -> Option<(u32, u16)> {
    recorded().filter(|(pid, _)| alive(*pid))
}

/// The background server's process and port, as last started.
fn recorded() -> Option<(u32, u16)> {
    let record: Value = serde_json::from_slice(&fs::read(dir().join("server.json")).ok()?).ok()?;
    let number = |key: &str| record[key].as_u64();
    Some((number("pid")?.try_into().ok()?, number("port")?.try_into().ok()?))
}

/// Asks for the command line too: a process id may have gone to another program since.
fn alive(pid: u32) -> bool {
    let line = if cfg!(target_os = "linux") {
        fs::read(format!("/proc/{pid}/cmdline")).ok()
    } else {
        Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output().ok().map(|out| out.stdout)
    };
    line.is_some_and(|line| String::from_utf8_lossy(&line).contains(LAUNCHER))
}

pub fn free_port(preferred: u16) -> Result<u16> {
    let listener =
        TcpListener::bind(("127.0.0.1", preferred)).or_else(|_| TcpListener::bind("127.0.0.1:0"))?;
    Ok(listener.local_addr()?.port())
}
