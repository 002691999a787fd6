//! Other libraries for the benchmark, and the redis that some of them need.
use crate::process::Result;
use crate::server::free_port;
use crate::yardstick::sync;
use crate::{node, python, root, target};
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Peers {
    folder: PathBuf,
    redis: Option<Redis>,
}

impl Peers {
    /// What cannot be installed is said here, and fails in its rows.
    pub(crate) fn prepare() -> Result<Self> {
        let folder = target().join("peers");
        sync(&root().join("benches/peers"), &folder)?;
        for done in [
            python::environment(&folder.join("requirements.txt"), &folder.join("venv")),
            node::dependencies(&folder),
        ] {
            done.unwrap_or_else(|e| eprintln!("xtask: {e}"));
        }
        let redis = Redis::start(&folder.join("redis"))?;
        Ok(Peers { folder, redis })
    }

    pub(crate) fn args(&self) -> Vec<OsString> {
        let mut args = vec!["--peers".into(), self.folder.clone().into_os_string()];
        if let Some(redis) = &self.redis {
            args.extend(["--redis".into(), format!("redis://127.0.0.1:{}/0", redis.port).into()]);
        }
        args
    }
}

/// A server that ends with this process. It writes everything down, and has the disk do so each second: what is
/// acknowledged survives a crash of the program, which is the class `process`.
#[derive(Debug)]
struct Redis {
    process: Child,
    home: PathBuf,
    port: u16,
}

impl Redis {
    /// None where there is no `redis-server`.
    fn start(folder: &Path) -> Result<Option<Self>> {
        let port = free_port(0)?;
        let home = folder.join(port.to_string());
        fs::create_dir_all(&home)?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "everysec", "--dir"]).arg(&home);
        let process = match command.stdin(Stdio::null()).stdout(Stdio::null()).spawn() {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                fs::remove_dir(&home).ok();
                return Ok(None);
            }
            spawned => spawned.map_err(|e| format!("cannot run redis-server: {e}"))?,
        };
        let redis = Redis { process, home, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if start.elapsed() > Duration::from_secs(10) {
                return Err("redis-server was not ready in 10 s".into());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(Some(redis))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).ok();
        fs::remove_dir_all(&self.home).ok();
    }
}
