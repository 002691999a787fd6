//! Messages go to whom they are for.

use super::{keys, read::stored};
use crate::{
    clock::{Micros, micros},
    error::Result,
    ids,
    messages::{
        AgentKey, MAX_DELIVERIES, MessageStatus,
        contract::{Fetch, Stored},
    },
    neo4j::{
        Neo4jStore,
        bolt::{cells, count, list},
        cypher::clock,
        statement::Statement,
    },
    tasks::contract::ANSWER_BYTES,
};
use std::collections::HashMap;

/// Without the namespace's lock: whoever finds an empty inbox writes nothing. A repetition finds under its ids what was
/// given already.
pub(in crate::neo4j) const FETCH: Statement = Statement::plain(concat!(
    clock!(),
    "MATCH (ns:Namespace {namespace: $ns, made: $made})\n",
    include_str!("../agents/cypher/offices.cypher"),
    include_str!("cypher/fetch.cypher"),
    include_str!("cypher/key.cypher"),
    include_str!("cypher/fetched.cypher")
));

/// How often it is looked again, because others took at the same moment what was found.
const ROUNDS: usize = 8;
/// What one batch gives one group at most.
const MOST: usize = 2_000;

/// The requests that differ in nothing but how much they want.
struct Group<'a> {
    first: &'a Fetch,
    members: Vec<usize>,
}

/// What one group was given.
struct Given {
    /// How many others were quicker with.
    lost: u64,
    messages: Vec<Stored>,
}

pub(super) async fn fetch(store: &Neo4jStore, requests: &[Fetch]) -> Result<Vec<Result<Vec<Stored>>>> {
    let mut each: Vec<Vec<Stored>> = requests.iter().map(|_| vec![]).collect();
    let mut open: Vec<usize> = (0..requests.len()).collect();
    for round in 0..ROUNDS {
        let groups = groups(requests, &open);
        if groups.is_empty() {
            break;
        }
        let wants = |group: &Group<'_>| -> usize {
            let left = group.members.iter().map(|place| requests[*place].max - each[*place].len());
            left.sum::<usize>().min(MOST)
        };
        let wanted: Vec<usize> = groups.iter().map(wants).collect();
        open.clear();
        for (group, given) in groups.iter().zip(take(store, &groups, &wanted, round).await?) {
            let mut messages = given.messages.into_iter();
            for place in &group.members {
                let left = requests[*place].max - each[*place].len();
                each[*place].extend(messages.by_ref().take(left));
                if given.lost > 0 && each[*place].len() < requests[*place].max {
                    open.push(*place);
                }
            }
        }
    }
    for messages in &mut each {
        // Those of a later round may be older.
        messages.sort_by_key(|message| (!message.urgent, message.created_at));
    }
    Ok(each.into_iter().map(Ok).collect())
}

/// In the order of their agents, so that two batches seldom wait for each other's messages.
fn groups<'a>(requests: &'a [Fetch], open: &[usize]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = vec![];
    for place in open {
        let request = &requests[*place];
        let same = |group: &&mut Group<'_>| {
            let first = group.first;
            (&first.agent, &first.types) == (&request.agent, &request.types)
                && (first.visible, &first.answer) == (request.visible, &request.answer)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.members.push(*place),
            None => groups.push(Group { first: request, members: vec![*place] }),
        }
    }
    groups.sort_by(|a, b| a.first.agent.cmp(&b.first.agent));
    groups
}

async fn take(
    store: &Neo4jStore,
    groups: &[Group<'_>],
    wanted: &[usize],
    round: usize,
) -> Result<Vec<Given>> {
    // Behind what others are taking.
    let skip = |wanted: usize| if round == 0 { 0 } else { fastrand::usize(0..=wanted * 4 * round).min(MOST) };
    let sizes: Vec<(usize, usize)> = wanted.iter().map(|wanted| (*wanted, skip(*wanted))).collect();
    let ids: Vec<String> = groups.iter().map(|_| ids::new_id()).collect();
    let rows = groups.iter().zip(&ids).zip(&sizes).map(|((group, id), (wanted, skip))| {
        let Fetch { agent, types, visible, answer, .. } = group.first;
        let (answers, by) =
            answer.as_ref().map(|answer| (answer.to.as_str(), answer.from.as_deref())).unzip();
        cells![
            id.as_str(),
            agent.as_str(),
            types.clone(),
            answers,
            count(*wanted),
            count(*skip),
            micros(*visible),
            count(ANSWER_BYTES),
            by.flatten()
        ]
    });
    let most = sizes.iter().map(|(wanted, skip)| wanted + skip).max().unwrap_or(0);
    let query = store
        .query(FETCH)
        .param("groups", list(rows))
        .param("n", count(most))
        .param("most", i64::from(MAX_DELIVERIES));
    let mut answer = store.one(query).await?;
    let now: Micros = answer.next()?;
    let mut keys: HashMap<(String, String), AgentKey> = HashMap::new();
    for row in answer.rows()? {
        if let Ok(Some(key)) = keys::key(row) {
            keys.insert((key.agent_id.clone(), key.key_id.clone()), key);
        }
    }
    let mut all = vec![];
    for (mut group, id) in answer.rows()?.into_iter().zip(ids) {
        let (lost, mut messages) = (group.next()?, vec![]);
        for mut row in group.rows()? {
            // What is no text is nobody's.
            let of = (row.next().unwrap_or_default(), row.next().unwrap_or_default());
            let key = keys.get(&of).cloned();
            messages.push(Stored {
                fetch: Some(id.clone()),
                status: MessageStatus::Delivered,
                ..stored(row, now, key)
            });
        }
        all.push(Given { lost, messages });
    }
    Ok(all)
}
