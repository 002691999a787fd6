//! Child processes, and the table of timed steps a long command ends with.
use std::error::Error;
use std::process::Command;
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
