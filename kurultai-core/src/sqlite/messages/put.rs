//! Messages come in.

use super::{
    keys,
    settle::{self, Left},
};
use crate::{
    clock::Micros,
    error::Result,
    messages::{
        MAX_INBOX, Recipient, Sent,
        contract::Post,
        keys::AgentKey,
        rules::{self, Twin},
    },
    sqlite::{
        events,
        tx::{Tx, word},
    },
};
use rusqlite::params;
use std::collections::{HashMap, HashSet};

/// What one batch has read already.
#[derive(Default)]
struct Seen {
    keys: HashMap<(String, String), Option<AgentKey>>,
    waiting: HashMap<String, usize>,
    recipients: HashMap<String, Recipient>,
}

pub(in crate::sqlite) fn put(tx: &Tx<'_>, units: Vec<Vec<Post>>) -> Result<Vec<Result<Vec<Sent>>>> {
    let mut seen = Seen::default();
    units.iter().map(|unit| admit(tx, unit, &mut seen)).collect()
}

fn admit(tx: &Tx<'_>, unit: &[Post], seen: &mut Seen) -> Result<Result<Vec<Sent>>> {
    let (mut sent, mut new) = (Vec::with_capacity(unit.len()), New::default());
    for post in unit {
        match look(tx, post, &new, seen)? {
            Ok(answer) => {
                if !answer.deduplicated {
                    new.add(post);
                }
                sent.push(answer);
            }
            Err(error) => return Ok(Err(error)),
        }
    }
    insert(tx, &new.posts)?;
    for (to, count) in new.to {
        *seen.waiting.entry(to.to_owned()).or_default() += count;
    }
    Ok(Ok(sent))
}

/// What of a unit comes in.
#[derive(Default)]
struct New<'a> {
    posts: Vec<&'a Post>,
    ids: HashSet<&'a str>,
    /// The messages of these dedupe keys.
    twins: HashMap<&'a str, &'a Post>,
    /// How many are for whom.
    to: HashMap<&'a str, usize>,
}

impl<'a> New<'a> {
    fn add(&mut self, post: &'a Post) {
        self.posts.push(post);
        self.ids.insert(&post.id);
        if let Some(key) = &post.dedupe_key {
            self.twins.insert(key, post);
        }
        *self.to.entry(&post.to).or_default() += 1;
    }
}

/// Whether it may come in, beside those of its unit before it.
fn look(tx: &Tx<'_>, post: &Post, before: &New<'_>, seen: &mut Seen) -> Result<Result<Sent>> {
    let recipient = seen.recipient(tx, &post.to)?;
    if let Some(key) = &post.dedupe_key {
        let twin = match before.twins.get(key.as_str()) {
            Some(post) => Some(Twin::of(post)),
            None => seen.twin(tx, key)?,
        };
        if let Some(twin) = twin {
            return Ok(twin.of_same(post).map(|id| Sent { id, deduplicated: true, recipient }));
        }
    }
    let there = "select 1 from message where ns = ?1 and id = ?2";
    if before.ids.contains(post.id.as_str()) || tx.one(there, params![tx.ns, post.id], |_| Ok(()))?.is_some()
    {
        return Ok(Err(rules::replayed(&post.id)));
    }
    let key = seen.key(tx, post)?;
    if let Err(error) = rules::holds(key, post, tx.now) {
        return Ok(Err(error));
    }
    let waiting = seen.waiting(tx, &post.to)? + before.to.get(post.to.as_str()).copied().unwrap_or(0);
    if let Err(error) = rules::room(&post.to, waiting) {
        return Ok(Err(error));
    }
    Ok(Ok(Sent { id: post.id.clone(), deduplicated: false, recipient }))
}

impl Seen {
    /// The message that has this dedupe key. One whose time is over gives it up now.
    fn twin(&mut self, tx: &Tx<'_>, dedupe_key: &str) -> Result<Option<Twin>> {
        let sql =
            "select n, id, from_agent, to_agent, task_id, type, payload, visible_at, expires_at, deliveries
            from message where ns = ?1 and dedupe_key = ?2";
        let found = tx.one(sql, params![tx.ns, dedupe_key], |row| {
            let (id, from, to): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let left = Left { n: row.get(0)?, id, from, to, task: row.get(4)? };
            let over = rules::overdue(row.get(7)?, row.get(8)?, row.get(9)?, tx.now);
            Ok((left, row.get(5)?, row.get(6)?, over))
        })?;
        let Some((left, message_type, body, over)) = found else { return Ok(None) };
        let Some(change) = over else {
            let Left { id, from: sender, to, .. } = left;
            return Ok(Some(Twin { id, sender, to, message_type, body }));
        };
        settle::apply(tx, &left, &change)?;
        if let Some(waiting) = self.waiting.get_mut(&left.to) {
            *waiting -= 1;
        }
        Ok(None)
    }

    fn key(&mut self, tx: &Tx<'_>, post: &Post) -> Result<Option<&AgentKey>> {
        let id = (post.sender.clone(), post.key_id.clone());
        if !self.keys.contains_key(&id) {
            let key = keys::one(tx, &post.sender, &post.key_id)?;
            self.keys.insert(id.clone(), key);
        }
        Ok(self.keys.get(&id).and_then(Option::as_ref))
    }

    /// How many messages wait for this recipient, counted no further than to the most that there may be.
    fn waiting(&mut self, tx: &Tx<'_>, to: &str) -> Result<usize> {
        if let Some(count) = self.waiting.get(to) {
            return Ok(*count);
        }
        let sql = "select count(*) from (select 1 from message where ns = ?1 and to_agent = ?2
            and visible_at is not null limit ?3)";
        let count: i64 = tx.one(sql, params![tx.ns, to, MAX_INBOX as i64], |row| row.get(0))?.unwrap_or(0);
        self.waiting.insert(to.to_owned(), count as usize);
        Ok(count as usize)
    }

    fn recipient(&mut self, tx: &Tx<'_>, to: &str) -> Result<Recipient> {
        if let Some(recipient) = self.recipients.get(to) {
            return Ok(*recipient);
        }
        let sql =
            "select status, stopped_at, infra_heartbeat, last_heartbeat from agent where ns = ?1 and id = ?2";
        let found = tx.one(sql, params![tx.ns, to], |row| {
            let (infra, functional): (Option<Micros>, Option<Micros>) = (row.get(2)?, row.get(3)?);
            Ok(rules::recipient(word(row, 0)?, row.get(1)?, infra.max(functional), tx.now))
        })?;
        let recipient = found.unwrap_or(Recipient::Unknown);
        self.recipients.insert(to.to_owned(), recipient);
        Ok(recipient)
    }
}

fn insert(tx: &Tx<'_>, posts: &[&Post]) -> Result<()> {
    if posts.is_empty() {
        return Ok(());
    }
    let sql = "insert into message(ns, id, type, from_agent, key_id, to_agent, status, urgent, visible_at, expires_at, created_at,
          task_id, reply_to, thread, dedupe_key, payload, token)
        values(?1, ?2, ?3, ?4, ?14, ?5, 'pending', ?6, ?7, ?8, ?7, ?9, ?10,
          coalesce((select thread from message where ns = ?1 and id = ?10), ?10, ?2), ?11, ?12, ?13)";
    let mut each = tx.each(sql)?;
    for post in posts {
        each.run(params![
            tx.ns,
            post.id,
            post.message_type,
            post.sender,
            post.to,
            post.urgent,
            tx.now,
            post.expires_at,
            post.task_id,
            post.reply_to,
            post.dedupe_key,
            post.body,
            post.token,
            post.key_id,
        ])?;
    }
    let told: Vec<_> =
        posts.iter().map(|post| (post.sender.as_str(), post.task_id.as_deref(), post.told())).collect();
    events::append_of(tx, "message.received", &told)
}
