//! Commands of the user, run by the shell.

use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

/// What takes longer is ended, with everything it has started.
const LONGEST: Duration = Duration::from_secs(30);

/// Runs it to its end with these variables and this text on its stdin; the error says why it did not succeed. What it leaves
/// in the background goes on where it ends in time. What it prints goes to stderr. Dropped, it is ended too.
pub(crate) async fn run(command: &str, variables: &[(&str, &str)], text: &str) -> Result<(), String> {
    match timeout(LONGEST, status(command, variables, text)).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(status.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it took longer than {} s", LONGEST.as_secs())),
    }
}

async fn status(command: &str, variables: &[(&str, &str)], text: &str) -> io::Result<ExitStatus> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).envs(variables.iter().copied());
    let mut child = shell.stdin(Stdio::piped()).stdout(io::stderr()).process_group(0).spawn()?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(id as i32)));
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever reads nothing of it may have read enough.
        drop(stdin.write_all(text.as_bytes()).await);
    }
    let status = child.wait().await?;
    std::mem::forget(group);
    Ok(status)
}

/// Ends all of a group where it is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            kill_process_group(id, Signal::KILL).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[tokio::test]
    async fn what_it_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id");
        let command = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        let begun = async {
            while !file.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            ended = run(&command, &[], "") => panic!("{ended:?}"),
            () = begun => {}
        }
        let id = std::fs::read_to_string(&file).unwrap();
        let status = Path::new("/proc").join(id.trim()).join("stat");
        // Killed; who is to be told of it reaps it when he likes.
        let runs = || std::fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z "));
        while runs() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let said = run("test \"$NAME$(cat)\" = 'ab' && exit 3", &[("NAME", "a")], "b").await;
        assert_eq!(said, Err("exit status: 3".to_owned()));
    }
}
