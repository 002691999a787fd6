//! The participants of a run: started, told what to do, heard, killed, stopped.

use super::record::{Answer, Call, Nanos, Op, Outcome};
use crate::chaos::Result;
use rustix::{
    process::{Pid, Signal, kill_process},
    time::{ClockId, clock_gettime},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// CLOCK_MONOTONIC, which all processes of the machine share.
pub fn now() -> Nanos {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as Nanos * 1_000_000_000 + time.tv_nsec as Nanos
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Rust,
    Python,
    Node,
}

impl Language {
    pub fn of(name: &str) -> Option<Language> {
        [Language::Rust, Language::Python, Language::Node]
            .into_iter()
            .find(|language| language.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Python => "python",
            Language::Node => "node",
        }
    }

    /// Its participant. The packages are those that `cargo xtask python` and `cargo xtask node` have built.
    fn command(self) -> Result<Command> {
        let tree = xtask::root();
        Ok(match self {
            Language::Rust => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("participant");
                command
            }
            Language::Python => {
                let mut command = Command::new("python3");
                command.env("PYTHONPATH", tree.join("kurultai-py/python"));
                command.arg(built(&tree, "tests/history/participant.py")?);
                command
            }
            Language::Node => {
                let mut command = Command::new("node");
                command.arg(built(&tree, "tests/history/participant.mjs")?);
                command
            }
        })
    }
}

fn built(tree: &Path, script: &str) -> Result<PathBuf> {
    let package = if script.ends_with("py") {
        "kurultai-py/python/kurultai/_native.abi3.so"
    } else {
        "kurultai-node/dist/index.mjs"
    };
    if !tree.join(package).exists() {
        return Err(format!("{package} is missing: run `cargo xtask python` and `cargo xtask node`").into());
    }
    Ok(tree.join(script))
}

/// What was heard.
#[derive(Debug)]
pub enum Heard {
    Ready(usize),
    Answered {
        number: u64,
        team: usize,
        call: Call,
    },
    /// Has a new life, and left these calls, with their teams.
    Killed {
        player: usize,
        cut: Vec<(usize, Call)>,
    },
}

#[derive(Deserialize)]
struct Line {
    call: Option<u64>,
    at: Option<Nanos>,
    ok: Option<Value>,
    error: Option<String>,
    message: Option<String>,
}

/// An order that has no answer yet.
#[derive(Debug)]
struct Open {
    player: usize,
    team: usize,
    op: Op,
    called: Option<Nanos>,
}

#[derive(Debug)]
struct Player {
    language: Language,
    life: usize,
    child: Child,
    stdin: ChildStdin,
    ready: bool,
    stopped: bool,
    killed: bool,
}

#[derive(Debug)]
pub struct Players {
    /// Of each player.
    urls: Vec<String>,
    namespaces: Vec<String>,
    players: Vec<Player>,
    open: HashMap<u64, Open>,
    next: u64,
    lines: UnboundedReceiver<(usize, usize, Option<String>)>,
    sender: UnboundedSender<(usize, usize, Option<String>)>,
    /// What nothing of the protocol explains: defects of a participant or of the library.
    pub strange: Vec<String>,
}

impl Players {
    /// One of each language, all on one store.
    pub fn start(url: &str, namespaces: &[String], languages: &[Language]) -> Result<Self> {
        Players::by_their_own_ways(vec![url.to_owned(); languages.len()], namespaces, languages)
    }

    /// The same, with a URL for each.
    pub fn by_their_own_ways(
        urls: Vec<String>,
        namespaces: &[String],
        languages: &[Language],
    ) -> Result<Self> {
        let (sender, lines) = unbounded_channel();
        let mut players = Players {
            urls,
            namespaces: namespaces.to_vec(),
            players: vec![],
            open: HashMap::new(),
            next: 0,
            lines,
            sender,
            strange: vec![],
        };
        for (index, language) in languages.iter().enumerate() {
            let player = players.launch(index, *language, 0)?;
            players.players.push(player);
        }
        Ok(players)
    }

    fn launch(&self, index: usize, language: Language, life: usize) -> Result<Player> {
        let mut child = language
            .command()?
            .arg(&self.urls[index])
            .args(&self.namespaces)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (stdin, stdout) =
            (child.stdin.take().ok_or("no input")?, child.stdout.take().ok_or("no output")?);
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let (mut lines, mut line) = (BufReader::new(stdout), String::new());
            // What a kill cut off has no end of line.
            while lines.read_line(&mut line).await.is_ok() && line.ends_with('\n') {
                drop(sender.send((index, life, Some(std::mem::take(&mut line)))));
            }
            drop(sender.send((index, life, None)));
        });
        Ok(Player { language, life, child, stdin, ready: false, stopped: false, killed: false })
    }

    pub fn count(&self) -> usize {
        self.players.len()
    }

    /// Who a player is, in its present life.
    pub fn name(&self, player: usize) -> String {
        let Player { language, life, .. } = &self.players[player];
        format!("{}-{player}.{life}", language.name())
    }

    /// How many orders a player has not answered.
    pub fn busy(&self, player: usize) -> usize {
        self.open.values().filter(|open| open.player == player).count()
    }

    pub fn is_ready(&self, player: usize) -> bool {
        self.players[player].ready
    }

    pub fn is_stopped(&self, player: usize) -> bool {
        self.players[player].stopped
    }

    /// Returns the number of the call.
    pub async fn tell(&mut self, player: usize, team: usize, op: Op) -> Result<u64> {
        let call = self.next;
        self.next += 1;
        let mut order = serde_json::to_value(&op)?;
        (order["call"], order["team"]) = (json!(call), json!(team));
        self.open.insert(call, Open { player, team, op, called: None });
        // Whoever has just died is heard of soon.
        drop(self.players[player].stdin.write_all(format!("{order}\n").as_bytes()).await);
        Ok(call)
    }

    pub async fn hear(&mut self) -> Result<Heard> {
        loop {
            let (player, life, line) = self.lines.recv().await.ok_or("nobody speaks")?;
            match line {
                Some(line) => match self.note(player, &line)? {
                    Some(heard) => return Ok(heard),
                    None => continue,
                },
                None if life != self.players[player].life => {}
                None if self.players[player].killed => return self.buried(player).await,
                None => return Err(format!("{} ended by itself", self.name(player)).into()),
            }
        }
    }

    fn note(&mut self, player: usize, line: &str) -> Result<Option<Heard>> {
        let Line { call, at, ok, error, message } = serde_json::from_str(line)?;
        let (Some(number), Some(at)) = (call, at) else {
            self.players[player].ready = true;
            return Ok(Some(Heard::Ready(player)));
        };
        let Some(open) = self.open.get_mut(&number) else { return Ok(None) };
        let Some(called) = open.called else {
            open.called = Some(at);
            return Ok(None);
        };
        let by = self.name(player);
        let Some(Open { team, op, .. }) = self.open.remove(&number) else { return Ok(None) };
        let outcome = match error.as_deref() {
            Some("store.outcome_unknown") => Outcome::Unknown,
            Some(code) => {
                if !code.contains('.') || code == "store.failed" {
                    self.strange.push(format!("{by}: {op:?}: {code}: {}", message.unwrap_or_default()));
                }
                Outcome::Answered(at, Answer::Refused(code.to_owned()))
            }
            None => Outcome::Answered(at, op.read(ok.unwrap_or_default())?),
        };
        Ok(Some(Heard::Answered { number, team, call: Call { by, op, called, outcome } }))
    }

    /// SIGKILL. Its end is heard of when all is heard that it said before.
    pub fn kill(&mut self, player: usize) -> Result {
        (self.players[player].ready, self.players[player].killed) = (false, true);
        self.signal(player, Signal::KILL)
    }

    /// A killed player's last calls, which may have happened; and its new life.
    async fn buried(&mut self, player: usize) -> Result<Heard> {
        let cut = self.cut(player, Outcome::Unknown);
        drop(self.players[player].child.wait().await);
        let (language, life) = (self.players[player].language, self.players[player].life);
        self.players[player] = self.launch(player, language, life + 1)?;
        Ok(Heard::Killed { player, cut })
    }

    /// The calls that a player has begun and not ended.
    fn cut(&mut self, player: usize, outcome: Outcome) -> Vec<(usize, Call)> {
        let by = self.name(player);
        let cut: Vec<u64> =
            self.open.iter().filter(|(_, open)| open.player == player).map(|(id, _)| *id).collect();
        let cut = cut.into_iter().filter_map(|id| self.open.remove(&id));
        let begun = cut.filter_map(|open| {
            let called = open.called?;
            Some((open.team, Call { by: by.clone(), op: open.op, called, outcome: outcome.clone() }))
        });
        begun.collect()
    }

    pub fn stop(&mut self, player: usize) -> Result {
        self.players[player].stopped = true;
        self.signal(player, Signal::STOP)
    }

    pub fn resume(&mut self, player: usize) -> Result {
        self.players[player].stopped = false;
        self.signal(player, Signal::CONT)
    }

    fn signal(&self, player: usize, signal: Signal) -> Result {
        let id = self.players[player].child.id().ok_or("it has ended")?;
        let pid = Pid::from_raw(i32::try_from(id)?).ok_or("no process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Ends everybody. Returns the calls that nobody has answered.
    pub async fn dismiss(mut self) -> Vec<(usize, Call)> {
        let missing = (0..self.count()).flat_map(|player| self.cut(player, Outcome::Missing)).collect();
        for mut player in self.players {
            drop(player.stdin);
            drop(player.child.kill().await);
        }
        missing
    }
}
