//! The program in a folder of its own. Each test file uses a part of it.
#![allow(dead_code, unused_imports)]

mod running;

pub(crate) use running::Running;

use serde_json::Value;
use std::{
    ffi::OsStr,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

pub(crate) struct Shell {
    folder: tempfile::TempDir,
    /// A server's URL and a namespace of its own, instead of a file in the folder.
    team: Option<(String, String)>,
}

impl Shell {
    pub(crate) fn new() -> Self {
        Shell { folder: tempfile::tempdir().expect("a folder"), team: None }
    }

    /// On the Neo4j server that the run was given.
    pub(crate) fn neo4j() -> Self {
        let url =
            std::env::var("KURULTAI_TEST_NEO4J").expect("set KURULTAI_TEST_NEO4J, or run `cargo xtask test`");
        Shell { team: Some((url, format!("cli-{}", kurultai_core::ids::new_id()))), ..Shell::new() }
    }

    pub(crate) fn namespace(&self) -> &str {
        self.team.as_ref().map_or("default", |(_, namespace)| namespace)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        let file = || format!("sqlite:{}?durability=process", self.path("team.db").display());
        self.team.as_ref().map_or_else(file, |(url, _)| url.clone())
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kurultai"));
        command.args(self.team.iter().flat_map(|(_, namespace)| ["--namespace", namespace]));
        command.args(args).env_remove("NEO4J_URI").env("KURULTAI_URL", self.url());
        command.current_dir(self.folder.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the program starts")
    }

    /// What it prints; it must end well.
    pub(crate) fn out(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.out(&args)).expect("one JSON document")
    }

    /// Its exit code and the error's code.
    pub(crate) fn error(&self, args: &[&str]) -> (i32, String) {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let output = self.run(&args);
        assert!(output.stdout.is_empty(), "an error prints nothing on stdout");
        let error: Value = serde_json::from_slice(&output.stderr).expect("one line of JSON");
        let code = error["error"]["code"].as_str().unwrap_or_default().to_owned();
        (output.status.code().unwrap_or(-1), code)
    }

    /// What it says on stderr, and its exit code; it must be one line and no panic.
    pub(crate) fn complaint<A: AsRef<OsStr>>(&self, args: &[A]) -> (i32, String) {
        let output = self.command(args).stdin(Stdio::null()).output().expect("the program starts");
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(said.lines().count(), 1, "one line: {said}");
        assert!(!said.contains("panicked"), "{said}");
        (output.status.code().unwrap_or(-1), said)
    }

    /// Its output where `input` stands on stdin.
    pub(crate) fn fed(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // A program that refuses early does not read it all.
        drop(stdin.write_all(input));
        drop(stdin);
        child.wait_with_output().expect("it ends")
    }
}
