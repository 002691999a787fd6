//! Messages come in. A statement writes them where nothing speaks against it, and says what does where something does: then
//! the rules decide, and what they admit goes the same way.

use super::{keys, settle};
use crate::{
    agents::Term,
    clock::Micros,
    error::{Error, Result},
    events::MOST_EVENTS,
    messages::{
        MAX_INBOX, Recipient, Sent,
        contract::Post,
        keys::AgentKey,
        rules::{self, Twin},
    },
    neo4j::{
        Neo4jStore,
        agents::{roles::under, status},
        bolt::{Cells, cells, count, list},
        cypher::hot_lock,
        statement::{Call, Statement},
        verdict::CONSTRAINT,
    },
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    mem,
    sync::PoisonError,
};

macro_rules! put {
    ($($first:expr),*) => {
        Statement::locking(concat!(
            $($first,)*
            include_str!("cypher/put.cypher"),
            include_str!("cypher/key.cypher"),
            include_str!("cypher/put_rows.cypher")
        ))
        .once()
    };
}

/// For whoever sends, and for whoever does so under a term.
pub(super) const PUT: [Statement; 2] = [put!(hot_lock!()), put!(hot_lock!(), under!())];

/// How often a batch is decided anew, because what it was decided by has changed.
const ROUNDS: usize = 8;

pub(super) async fn put(
    store: &Neo4jStore,
    units: &[Vec<Post>],
    under: Option<&Term>,
) -> Result<Vec<Result<Vec<Sent>>>> {
    // First as if nothing spoke against any of them.
    let mut known = Known::default();
    for _ in 0..ROUNDS {
        let mut rows = vec![];
        let mut each: Vec<_> = units.iter().map(|unit| known.admit(unit, &mut rows)).collect();
        if rows.is_empty() {
            store.check_term(under).await?;
            return Ok(each);
        }
        let mut answer = match store.one_under(query(store, units, &rows, under), under).await {
            Ok(answer) => answer,
            // By a program that does not lock the namespace; the next look sees it.
            Err(error) if error.code() == CONSTRAINT => {
                known = Known::default();
                continue;
            }
            Err(error) => return Err(error),
        };
        let fits: bool = answer.next()?;
        known = Known::read(store, answer)?;
        settle::end_due_of(store, mem::take(&mut known.over)).await?;
        if fits {
            for (unit, sent) in units.iter().zip(&mut each) {
                for (post, sent) in unit.iter().zip(sent.iter_mut().flatten()) {
                    sent.recipient = known.recipient(&post.to);
                }
            }
            return Ok(each);
        }
    }
    Err(Error::unavailable("other writers change the same inboxes and keys too quickly"))
}

/// What was read under the lock, and what was admitted since.
#[derive(Default)]
struct Known {
    now: Micros,
    ids: HashSet<String>,
    /// The messages of these dedupe keys.
    twins: HashMap<String, Twin>,
    /// The dedupe keys of messages whose time is over, which are to give them up.
    over: Vec<String>,
    /// Only those that were looked up.
    keys: HashMap<(String, String), Option<AgentKey>>,
    waiting: HashMap<String, usize>,
    recipients: HashMap<String, Recipient>,
}

impl Known {
    /// Adds the unit's new messages to the rows, all or none.
    fn admit<'a>(&mut self, unit: &'a [Post], rows: &mut Vec<&'a Post>) -> Result<Vec<Sent>> {
        let before = rows.len();
        let mut all = Vec::with_capacity(unit.len());
        for post in unit {
            match self.look(post) {
                Ok(sent) => {
                    if !sent.deduplicated {
                        self.add(post);
                        rows.push(post);
                    }
                    all.push(sent);
                }
                Err(error) => {
                    rows.drain(before..).for_each(|post| self.forget(post));
                    return Err(error);
                }
            }
        }
        Ok(all)
    }

    fn look(&self, post: &Post) -> Result<Sent> {
        let recipient = self.recipient(&post.to);
        if let Some(twin) = post.dedupe_key.as_ref().and_then(|key| self.twins.get(key)) {
            return Ok(Sent { id: twin.of_same(post)?, deduplicated: true, recipient });
        }
        if self.ids.contains(&post.id) {
            return Err(rules::replayed(&post.id));
        }
        if let Some(key) = self.keys.get(&(post.sender.clone(), post.key_id.clone())) {
            rules::holds(key.as_ref(), post, self.now)?;
        }
        rules::room(&post.to, self.waiting.get(&post.to).copied().unwrap_or(0))?;
        Ok(Sent { id: post.id.clone(), deduplicated: false, recipient })
    }

    fn add(&mut self, post: &Post) {
        self.ids.insert(post.id.clone());
        if let Some(key) = &post.dedupe_key {
            self.twins.insert(key.clone(), Twin::of(post));
        }
        *self.waiting.entry(post.to.clone()).or_default() += 1;
    }

    fn forget(&mut self, post: &Post) {
        self.ids.remove(&post.id);
        if let Some(key) = &post.dedupe_key {
            self.twins.remove(key);
        }
        if let Some(waiting) = self.waiting.get_mut(&post.to) {
            *waiting -= 1;
        }
    }

    fn recipient(&self, to: &str) -> Recipient {
        self.recipients.get(to).copied().unwrap_or(Recipient::Unknown)
    }

    fn read(store: &Neo4jStore, mut answer: Cells) -> Result<Self> {
        let (now, seq) = (answer.next()?, answer.next::<i64>()?);
        let mut known = Known { now, ..Known::default() };
        let mut rooms = store.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        for mut inbox in answer.rows()? {
            let to: String = inbox.next()?;
            if let Some(waiting) = inbox.next::<Option<u64>>()? {
                rooms.of::<Room>().note(&to, seq, waiting as usize);
                known.waiting.insert(to.clone(), waiting as usize);
            }
            if inbox.next::<bool>()? {
                known.recipients.insert(to, recipient(inbox, now)?);
            }
        }
        known.ids = answer.next::<Vec<String>>()?.into_iter().collect();
        for mut row in answer.rows()? {
            let (key, id, sender, to) = (row.next()?, row.next()?, row.next()?, row.next()?);
            let twin = Twin { id, sender, to, message_type: row.next()?, body: row.next()? };
            match row.next()? {
                true => known.over.push(key),
                false => drop(known.twins.insert(key, twin)),
            }
        }
        for mut key in answer.rows()? {
            known.keys.insert((key.next()?, key.next()?), keys::key(key)?);
        }
        Ok(known)
    }
}

fn recipient(mut agent: Cells, now: Micros) -> Result<Recipient> {
    let said = status(agent.next()?);
    let mut time = || Ok::<_, Error>(agent.time()?.map(|at| at.timestamp_micros()));
    let (stopped_at, infra, functional) = (time()?, time()?, time()?);
    Ok(rules::recipient(said, stopped_at, infra.max(functional), now))
}

/// Up to which event there is certainly room in an inbox: each message has one. Counting a full inbox takes milliseconds.
#[derive(Default)]
struct Room(HashMap<String, i64>);

impl Room {
    const MOST: usize = 10_000;

    fn note(&mut self, to: &str, seq: i64, waiting: usize) {
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        self.0.insert(to.to_owned(), seq + count(MAX_INBOX.saturating_sub(waiting)));
    }

    fn until(&self, to: &str) -> i64 {
        self.0.get(to).copied().unwrap_or(-1)
    }
}

fn query(store: &Neo4jStore, units: &[Vec<Post>], rows: &[&Post], under: Option<&Term>) -> Call {
    let new: HashSet<&str> = rows.iter().map(|post| post.id.as_str()).collect();
    let (mut ids, mut dedupe_keys) = (vec![], vec![]);
    let mut keys: BTreeMap<[&str; 2], bool> = BTreeMap::new();
    let mut inboxes: BTreeMap<&str, i64> = BTreeMap::new();
    for post in units.iter().flatten() {
        let is_new = new.contains(post.id.as_str());
        ids.push(cells![post.id.as_str(), is_new]);
        dedupe_keys.extend(post.dedupe_key.as_deref().map(|key| cells![key, is_new]));
        keys.entry([&post.sender, &post.key_id]).or_default();
        inboxes.entry(&post.to).or_default();
    }
    for post in rows {
        keys.insert([&post.sender, &post.key_id], true);
        *inboxes.entry(&post.to).or_default() += 1;
    }
    let mut rooms = store.rooms.lock().unwrap_or_else(PoisonError::into_inner);
    let room = rooms.of::<Room>();
    let inboxes = inboxes.into_iter().map(|(to, new)| cells![to, new, room.until(to)]);
    let keys = keys.into_iter().map(|([agent, id], used)| cells![agent, id, used]);
    let mut threads = HashMap::new();
    let lines = rows.iter().map(|post| line(post, &mut threads));
    store
        .query_under(PUT, under)
        .param("ids", list(ids))
        .param("dedupe_keys", list(dedupe_keys))
        .param("keys", list(keys))
        .param("inboxes", list(inboxes))
        .param("most", count(MAX_INBOX))
        .param("rows", list(lines))
}

/// The message whose thread it belongs to, if that is there, and the thread if it is not.
type Thread<'a> = (Option<&'a str>, &'a str);

fn line<'a>(post: &'a Post, threads: &mut HashMap<&'a str, Thread<'a>>) -> neo4rs::BoltType {
    let (answers, thread) = match post.reply_to.as_deref() {
        None => (None, post.id.as_str()),
        // One before it in the batch, or one that may be there.
        Some(to) => threads.get(to).copied().unwrap_or((Some(to), to)),
    };
    threads.insert(&post.id, (answers, thread));
    cells![
        post.id.as_str(),
        post.message_type.as_str(),
        post.sender.as_str(),
        post.key_id.as_str(),
        post.to.as_str(),
        if post.urgent { 0 } else { MOST_EVENTS },
        post.urgent,
        post.expires_at,
        post.task_id.as_deref(),
        post.reply_to.as_deref(),
        answers,
        thread,
        post.dedupe_key.as_deref(),
        post.body.as_str(),
        post.token.as_str(),
        post.told(),
    ]
}
