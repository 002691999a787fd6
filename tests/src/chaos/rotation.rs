//! G7: keys that are rotated under a steady stream of messages, of which none is refused; and one that is revoked, of
//! which nothing is delivered any more. The clock is a manual one: nobody waits for 30 s until a key counts.

use super::{Arena, Error, Result};
use futures::future::try_join_all;
use kurultai_core::{
    Clock, Config, Kurultai, ManualClock,
    clock::monotonic,
    messages::{
        AgentMessage, Ed25519Key, Inbox, KEY_PROPAGATION, NewMessage,
        token::{self, Draft},
    },
};
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

const SENDERS: usize = 8;
const READERS: usize = 2;
/// One call's messages.
const UNIT: usize = 5;
/// So many messages are in their inbox when their key is revoked.
const IN_FLIGHT: usize = 300;

/// What a run has left behind.
#[derive(Debug, Default)]
pub struct Report {
    pub store: &'static str,
    pub rotations: usize,
    pub sent: usize,
    pub per_second: f64,
    /// Good messages that were refused, by their codes.
    pub refused: BTreeMap<String, usize>,
    /// Sent and not received.
    pub lost: usize,
    /// Received with the signature of a key that was replaced meanwhile.
    pub overlapped: usize,
    /// Signed with the key that is revoked at the end, and in the inbox at that moment.
    pub in_flight: usize,
    /// Of these, how many were delivered.
    pub delivered: usize,
    /// Of these, of how many their sender heard that they are `key.revoked`.
    pub told: usize,
    /// What was sent with the revoked key and not refused.
    pub admitted: usize,
}

/// What all senders use now, and tokens that were signed before.
struct Voice {
    kurultai: Kurultai,
    key: Ed25519Key,
    tokens: Vec<String>,
}

struct Stream {
    voice: Mutex<Voice>,
    /// How many a second are wanted.
    rate: usize,
    begun: AtomicUsize,
    over: AtomicBool,
    sent: Mutex<HashSet<String>>,
    refused: Mutex<BTreeMap<String, usize>>,
}

fn held<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Team<'a> {
    arena: &'a Arena,
    clock: ManualClock,
}

impl Team<'_> {
    async fn open(&self, key: Option<Ed25519Key>) -> Result<Kurultai> {
        let config = Config::new(&self.arena.url)?.namespace(&self.arena.namespace)?.background(false);
        let config = config.clock(Clock::Manual(self.clock.clone()));
        Ok(Kurultai::open_with(key.into_iter().fold(config, Config::identity)).await?)
    }

    /// The agent's next key, once it counts everywhere.
    async fn next(&self, k: &Kurultai) -> Result<Voice> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("key");
        k.keys().rotate("kublai").await?.write(&file)?;
        self.clock.advance(KEY_PROPAGATION.to_std()? + Duration::from_secs(1));
        let key = Ed25519Key::read(&file)?;
        let tokens = (0..4 * UNIT).map(|_| self.token(&key)).collect::<Result<_>>()?;
        Ok(Voice { kurultai: self.open(Some(Ed25519Key::read(&file)?)).await?, key, tokens })
    }

    fn token(&self, key: &Ed25519Key) -> Result<String> {
        let draft = Draft::new("kublai", "jochi", "storm", self.clock.now());
        Ok(token::sign(&draft.namespace(&self.arena.namespace), key)?)
    }
}

/// Rotates the sender's key so often, `span` apart, under `rate` messages a second, or as many as the store takes.
pub async fn run(arena: &Arena, rotations: usize, span: Duration, rate: usize) -> Result<Report> {
    let team = Team { arena, clock: ManualClock::at("2026-03-01T09:07:05.123456Z".parse()?) };
    let k = team.open(None).await?;
    let stream = Arc::new(Stream {
        voice: Mutex::new(team.next(&k).await?),
        rate,
        begun: AtomicUsize::new(0),
        over: AtomicBool::new(false),
        sent: Mutex::default(),
        refused: Mutex::default(),
    });
    let begun = monotonic();
    let senders: Vec<_> = (0..SENDERS).map(|_| tokio::spawn(stream.clone().send())).collect();
    let readers: Vec<_> = (0..READERS).map(|_| tokio::spawn(read(k.clone(), stream.clone()))).collect();
    for _ in 0..rotations {
        sleep(span).await;
        let next = team.next(&k).await?;
        let before = std::mem::replace(&mut *held(&stream.voice), next);
        // What was signed in time still counts, also where it comes later.
        held(&stream.voice).tokens.extend(before.tokens);
        for _ in 0..UNIT {
            let late = team.token(&before.key)?;
            held(&stream.voice).tokens.push(late);
        }
    }
    sleep(span).await;
    stream.over.store(true, Ordering::SeqCst);
    for sender in senders {
        sender.await??;
    }
    let per_second = held(&stream.sent).len() as f64 / begun.elapsed().as_secs_f64();
    let received: Vec<AgentMessage> =
        try_join_all(readers).await?.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    let ids: HashSet<&str> = received.iter().map(|message| message.id.as_str()).collect();
    let last = {
        use kurultai_core::messages::MessageSigner;
        held(&stream.voice).key.key_id().to_owned()
    };
    let sent = held(&stream.sent).clone();
    let report = Report {
        store: k.store_name(),
        rotations,
        sent: sent.len(),
        per_second,
        refused: held(&stream.refused).clone(),
        lost: sent.iter().filter(|id| !ids.contains(id.as_str())).count(),
        overlapped: received.iter().filter(|message| message.verified.key_id != last).count(),
        ..Report::default()
    };
    let report = revoke(&team, &k, &stream, &last, report).await?;
    k.close().await;
    arena.check_integrity()?;
    Ok(report)
}

impl Stream {
    async fn send(self: Arc<Self>) -> Result<(), Error> {
        let start = monotonic();
        while !self.over.load(Ordering::SeqCst) {
            let wanted = start.elapsed().as_secs_f64() * self.rate as f64;
            if self.begun.load(Ordering::SeqCst) as f64 > wanted {
                sleep(Duration::from_millis(1)).await;
                continue;
            }
            let (messages, token) = {
                let mut voice = held(&self.voice);
                (voice.kurultai.messages(), voice.tokens.pop())
            };
            self.begun.fetch_add(if token.is_some() { 1 } else { UNIT }, Ordering::SeqCst);
            let sent = match token {
                Some(token) => messages.accept(&token).await.map(|sent| vec![sent]),
                None => {
                    messages
                        .send_many(vec![NewMessage::new("jochi", "storm", serde_json::json!(1)); UNIT])
                        .await
                }
            };
            match sent {
                Ok(sent) => held(&self.sent).extend(sent.into_iter().map(|sent| sent.id)),
                Err(error) => *held(&self.refused).entry(error.code().to_owned()).or_default() += 1,
            }
        }
        Ok(())
    }
}

/// Until the stream is over and nothing waits.
async fn read(k: Kurultai, stream: Arc<Stream>) -> Result<Vec<AgentMessage>, Error> {
    let day = Duration::from_secs(86_400);
    let request = Inbox { agent: Some("jochi".to_owned()), max: 200, visible: day, ..Inbox::default() };
    let mut all = vec![];
    loop {
        let over = stream.over.load(Ordering::SeqCst);
        let given = k.messages().inbox(request.clone()).await?;
        if given.is_empty() && over && k.messages().unread(Some("jochi")).await?.count == 0 {
            return Ok(all);
        }
        if given.is_empty() {
            sleep(Duration::from_millis(2)).await;
        }
        let receipts: Vec<_> = given.iter().map(AgentMessage::receipt).collect();
        for settled in k.messages().ack(&receipts).await? {
            settled?;
        }
        all.extend(given);
    }
}

/// The last key is revoked while its messages are in the inbox.
async fn revoke(
    team: &Team<'_>,
    k: &Kurultai,
    stream: &Stream,
    key_id: &str,
    report: Report,
) -> Result<Report> {
    let messages = held(&stream.voice).kurultai.messages();
    let hello = || NewMessage::new("jochi", "storm", serde_json::json!(2));
    messages.send_many(vec![hello(); IN_FLIGHT]).await?;
    let other = team.open(None).await?;
    k.keys().revoke("kublai", key_id, "lost").await?;
    let admitted = usize::from(messages.send(hello()).await.is_ok());
    let request = Inbox { agent: Some("jochi".to_owned()), max: 70, ..Inbox::default() };
    let mut delivered = 0;
    while other.messages().unread(Some("jochi")).await?.count > 0 {
        delivered += other.messages().inbox(request.clone()).await?.len();
    }
    let topic = Some("message.failed".to_owned());
    let filter = kurultai_core::events::EventFilter { topic, limit: 1_000, ..Default::default() };
    let failed = k.events().read(filter).await?.events;
    let of_revoked = failed.iter().filter_map(|event| event.payload.as_ref());
    let told = of_revoked.filter(|payload| payload.value()["code"] == "key.revoked").count();
    other.close().await;
    Ok(Report { in_flight: IN_FLIGHT, delivered, told, admitted, ..report })
}

impl Report {
    /// Fails unless every good message came, and none of the revoked key.
    pub fn check(&self) -> Result {
        let wrong = self.lost + self.delivered + self.admitted + self.refused.values().sum::<usize>();
        // Without these nothing was tested.
        let tested = self.overlapped > 0 && self.sent > 0 && self.told == self.in_flight;
        if wrong == 0 && tested { Ok(()) } else { Err(format!("{self}").into()) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { store, rotations, sent, per_second, refused, lost, overlapped, .. } = self;
        let Report { in_flight, delivered, told, admitted, .. } = self;
        write!(
            f,
            "rotation {store}: {rotations} rotations under {per_second:.0} messages a second, {sent} sent, refused {refused:?}, \
             {lost} lost, {overlapped} of keys that were replaced; then revoked with {in_flight} in flight: {delivered} \
             delivered, {told} told, {admitted} admitted"
        )
    }
}
