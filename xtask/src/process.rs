//! Child processes, and the table of timed steps a long command ends with.
use std::error::Error;
use std::io::{Write, stderr, stdout};
use std::process::Command;
use std::thread::{JoinHandle, spawn};
use std::time::Instant;

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

pub fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new("cargo");
    command.args(args);
    command
}

/// Runs to the end; an unsuccessful exit is an error that names the command.
pub fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|e| format!("cannot run `{name}`: {e}"))?;
    if status.success() {
        return Ok(());
    }
    let words: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
    Err(format!("`{name} {}` failed: {status}", words.join(" ")).into())
}

/// What was done so far. A failed step does not stop the ones that do not need it.
#[derive(Debug, Default)]
pub struct Steps(Vec<(&'static str, f64, bool)>);

impl Steps {
    /// The step's value, or `None` when it failed (its error is printed).
    pub fn run<T>(&mut self, name: &'static str, step: impl FnOnce() -> Result<T>) -> Option<T> {
        println!("== {name}");
        let start = Instant::now();
        let result = step().inspect_err(|e| eprintln!("{name}: {e}")).ok();
        self.0.push((name, start.elapsed().as_secs_f64(), result.is_some()));
        result
    }

    /// A step beside those that follow, until it is [`join`](Self::join)ed: what it prints comes then, in one piece.
    pub fn begin(name: &'static str, mut command: Command) -> Beside {
        println!("== {name}: beside what follows");
        let running = spawn(move || {
            let start = Instant::now();
            let output = command.output()?;
            println!("== {name}");
            stdout().write_all(&output.stdout)?;
            stderr().write_all(&output.stderr)?;
            Ok((start.elapsed().as_secs_f64(), output.status.success()))
        });
        Beside { name, running }
    }

    /// The end of a step that was begun.
    pub fn join(&mut self, Beside { name, running }: Beside) {
        let ended = running.join().unwrap_or_else(|_| Err("panicked".into()));
        let (seconds, ok) = ended.inspect_err(|e| eprintln!("{name}: {e}")).unwrap_or_default();
        self.0.push((name, seconds, ok));
    }

    /// Prints the table; an error when any step failed.
    pub fn finish(self) -> Result<()> {
        println!("\n{:<10} {:>8}  ok", "step", "seconds");
        for (name, seconds, ok) in &self.0 {
            println!("{name:<10} {seconds:>8.1}  {}", if *ok { "yes" } else { "NO" });
        }
        let failed: Vec<_> = self.0.iter().filter(|row| !row.2).map(|row| row.0).collect();
        if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
    }
}

/// A step that runs beside others.
#[derive(Debug)]
pub struct Beside {
    name: &'static str,
    running: JoinHandle<Result<(f64, bool)>>,
}
