//! A program that goes on.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// Only a test that fails waits so long.
const LONG: Duration = Duration::from_secs(30);

/// A program that goes on until it is told to end, and the lines that it says.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Running {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        Running::of(child)
    }

    pub(crate) fn of(mut child: Child) -> Running {
        let (send, lines) = channel();
        let Some(out) = child.stdout.take() else { return Running { child, lines } };
        thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|l| send.send(l))
        });
        Running { child, lines }
    }

    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(LONG).expect("a line on stdout")
    }

    /// The first line that has all of this.
    pub(crate) fn line_with(&self, words: &[&str]) -> String {
        loop {
            let line = self.line();
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    /// Asks it to end; returns its exit code and what it said on stderr.
    pub(crate) fn terminate(self) -> (Option<i32>, String) {
        self.signal("-TERM")
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(self) -> (Option<i32>, String) {
        self.signal("-INT")
    }

    fn signal(self, signal: &str) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("a shell").success());
        let output = self.child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    }
}
