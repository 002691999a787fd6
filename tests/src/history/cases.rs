//! Faults that were found, each as a case through several processes and languages. The stores' own cases are in
//! `tests/src`; how soon one hears of another is measured by [`liveness`](super::liveness).

use super::{
    desk::Desk,
    log::Event,
    players::{Language, Players},
    record::{Answer, Op, Spec},
};
use crate::chaos::{Arena, Result};
use futures::future::{try_join, try_join_all, try_join4};
use kurultai_core::{ids, tasks::Status};
use std::sync::atomic::{AtomicBool, Ordering};

/// How many tasks the writer adds at once, and how often.
const BATCHES: [(usize, usize); 3] = [(1_000, 20), (100, 20), (1, 100)];
const DUELS: usize = 60;

/// Returns what was counted.
pub async fn run(arena: &Arena, languages: &[Language]) -> Result<String> {
    let namespaces: Vec<String> = (0..2).map(|_| format!("case-{}", ids::new_id())).collect();
    let four: Vec<Language> = languages.iter().cycle().copied().take(4).collect();
    let desk = Desk::open(Players::start(&arena.url, &namespaces, &four)?).await?;
    let seen = readers_see_every_event(&desk).await?;
    let kept = acknowledged_requests_win(&desk).await?;
    desk.close().await?;
    arena.check_integrity()?;
    let store = if arena.url.starts_with("sqlite") { "sqlite" } else { "neo4j" };
    let mut said = format!(
        "cases {store}: {seen} events seen by every reader, {kept} of {kept} cancels and suspends kept"
    );
    if store == "sqlite" {
        let looks = languages.iter().zip(languages.iter().cycle().skip(1));
        let stored =
            try_join_all(looks.map(|(one, other)| a_look_at_the_file_loses_nothing(*one, *other))).await?;
        said += &format!(", {} tasks outlived a look at their file", stored.iter().sum::<usize>());
    }
    Ok(said)
}

struct Player<'a> {
    desk: &'a Desk,
    number: usize,
    team: usize,
}

impl Player<'_> {
    async fn ask(&self, op: Op) -> Result<Answer> {
        let call = self.desk.ask(self.number, self.team, op).await?;
        match call.answered() {
            Some((_, Answer::Refused(code))) => Err(format!("{:?} was refused with {code}", call.op).into()),
            Some((_, answer)) => Ok(answer.clone()),
            None => Err(format!("{:?} has no answer", call.op).into()),
        }
    }

    async fn enqueue(&self, count: usize) -> Result<Vec<String>> {
        let spec = || Spec { id: ids::new_id(), r#type: "case".to_owned(), payload: 1, ..Spec::default() };
        match self.ask(Op::Enqueue { tasks: (0..count).map(|_| spec()).collect() }).await? {
            Answer::Enqueued(added) => Ok(added.into_iter().map(|(id, _)| id).collect()),
            other => Err(format!("enqueue answered {other:?}").into()),
        }
    }

    async fn status(&self, task: &str) -> Result<Status> {
        match self.ask(Op::Get { task: task.to_owned() }).await? {
            Answer::Seen(seen) if seen.len() == 1 => Ok(seen[0].1),
            other => Err(format!("get answered {other:?}").into()),
        }
    }

    /// Reads on until nothing more comes after the writer is done.
    async fn follow(&self, topic: Option<&str>, task: Option<&str>, done: &AtomicBool) -> Result<Vec<Event>> {
        let mut seen: Vec<Event> = Vec::new();
        loop {
            let was_done = done.load(Ordering::SeqCst);
            let (topic, task) = (topic.map(str::to_owned), task.map(str::to_owned));
            let after = seen.last().map_or(0, |event| event.seq);
            let wait = if was_done { 0.0 } else { 5.0 };
            match self.ask(Op::Read { after, topic, task, limit: 1_000, wait }).await? {
                Answer::Read(events) if events.is_empty() && was_done => return Ok(seen),
                Answer::Read(events) => seen.extend(events),
                other => return Err(format!("read answered {other:?}").into()),
            }
        }
    }
}

/// One process writes, in batches and singly; three read along: all, a topic, a task.
async fn readers_see_every_event(desk: &Desk) -> Result<usize> {
    let player = |number| Player { desk, number, team: 0 };
    let writer = player(0);
    let marked = writer.enqueue(1).await?.remove(0);
    let (done, task) = (AtomicBool::new(false), || marked.clone());
    let write = async {
        for (size, times) in BATCHES {
            for _ in 0..times {
                writer.enqueue(size).await?;
                writer.ask(Op::Suspend { task: task() }).await?;
                writer.ask(Op::Resume { task: task() }).await?;
            }
        }
        done.store(true, Ordering::SeqCst);
        Ok(())
    };
    let readers = [player(1), player(2), player(3)];
    let ((), all, by_topic, by_task) = try_join4(
        write,
        readers[0].follow(None, None, &done),
        readers[1].follow(Some("task.enqueued"), None, &done),
        readers[2].follow(None, Some(&marked), &done),
    )
    .await?;
    let last = match writer.ask(Op::LastSeq {}).await? {
        Answer::LastSeq(last) => last,
        other => return Err(format!("last_seq answered {other:?}").into()),
    };
    let expected: usize = BATCHES.iter().map(|(size, times)| (size + 2) * times).sum::<usize>() + 1;
    let gap = all.iter().zip(1..).find(|(event, seq)| event.seq != *seq);
    if let Some((event, seq)) = gap {
        return Err(
            format!("a reader got event {} where {seq} is next; the log has {last}", event.seq).into()
        );
    }
    let of_topic: Vec<&Event> = all.iter().filter(|event| event.topic == "task.enqueued").collect();
    let of_task: Vec<&Event> = all.iter().filter(|event| event.task.as_ref() == Some(&marked)).collect();
    let counts = (all.len(), by_topic.len(), by_task.len());
    let same = by_topic.iter().eq(of_topic.iter().copied()) && by_task.iter().eq(of_task.iter().copied());
    if !same || all.len() != expected || last as usize != expected {
        let right = (expected, of_topic.len(), of_task.len());
        return Err(
            format!("readers of all, a topic, a task saw {counts:?} events instead of {right:?}").into()
        );
    }
    Ok(all.len())
}

/// One process cancels or suspends a task while another, or the same, ends its attempt.
async fn acknowledged_requests_win(desk: &Desk) -> Result<usize> {
    let player = |number| Player { desk, number, team: 1 };
    let agent = "holder".to_owned();
    player(0).ask(Op::Register { agent: agent.clone() }).await?;
    let mut lost = Vec::new();
    for round in 0..DUELS {
        let task = player(0).enqueue(1).await?.remove(0);
        let claim = Op::Claim { agent: agent.clone(), types: None, max: 1, lease: 30.0, wait: 0.0 };
        let lease = match player(round % 4).ask(claim).await? {
            Answer::Claimed(taken) if taken.len() == 1 => taken[0].2.clone(),
            other => return Err(format!("claim answered {other:?}").into()),
        };
        let (ask, end, wanted) = if round % 2 == 0 {
            (Op::Cancel { task: task.clone() }, Op::Fail { lease, retryable: true }, Status::Cancelled)
        } else {
            (Op::Suspend { task: task.clone() }, Op::Release { lease }, Status::Suspended)
        };
        let (one, other) = (player(round / 2 % 4), player(round / 8 % 4));
        try_join(one.ask(ask), other.ask(end)).await?;
        let status = player(0).status(&task).await?;
        if status != wanted {
            lost.push(format!("{wanted} became {status}"));
            player(0).ask(Op::Cancel { task }).await?;
        }
    }
    match lost.first() {
        None => Ok(DUELS),
        Some(first) => Err(format!("{} of {DUELS} acknowledged requests lost: {first}", lost.len()).into()),
    }
}

/// A process that has the file open reads it with its language's own means once; another opens it, adds a task and
/// closes it, in turn with the first; then the first one dies. Returns how many tasks are there.
async fn a_look_at_the_file_loses_nothing(one: Language, other: Language) -> Result<usize> {
    let arena = Arena::sqlite()?;
    let namespace = [arena.namespace.clone()];
    let path = arena.url.trim_start_matches("sqlite:").to_owned();
    let desk = Desk::open(Players::start(&arena.url, &namespace, &[one])?).await?;
    let first = Player { desk: &desk, number: 0, team: 0 };
    let mut acknowledged = first.enqueue(1).await?;
    first.ask(Op::Look { file: path }).await?;
    for _ in 0..2 {
        let guest = Desk::open(Players::start(&arena.url, &namespace, &[other])?).await?;
        let second = Player { desk: &guest, number: 0, team: 0 };
        acknowledged.extend(second.enqueue(1).await?);
        second.ask(Op::Close {}).await?;
        guest.close().await?;
        acknowledged.extend(first.enqueue(1).await?);
    }
    for _ in 0..50 {
        acknowledged.extend(first.enqueue(1).await?);
    }
    desk.close().await?;
    let kurultai = arena.open().await?;
    let ids: Vec<&str> = acknowledged.iter().map(String::as_str).collect();
    let there = kurultai.tasks().get_many(&ids).await?.into_iter().flatten().count();
    kurultai.close().await;
    arena.check_integrity()?;
    if there == acknowledged.len() {
        return Ok(there);
    }
    let all = acknowledged.len();
    Err(format!("{one:?} looked at the file beside {other:?}: {there} of {all} acknowledged tasks are in it")
        .into())
}
