//! Who leads. A role is decided by what was read without the lock, and changes where it is still so; a renewal is one
//! statement, which waits for nobody that works.

use crate::{
    agents::{
        FailoverEvent, HandBack, Role, RoleChange, RoleLease, RoleWish, Roles, Term,
        failovers::{Away, Taken},
        roles::{self, Step, Told},
    },
    clock::{Micros, micros},
    error::{Error, Result},
    ids,
    namespaces::missing,
    neo4j::{
        Neo4jStore,
        bolt::{Cells, cells, datetime, list, map},
        cypher::{clock, lock},
        statement::{Call, Statement},
    },
};
use chrono::{DateTime, Utc};

/// The list `roles`.
macro_rules! all_roles {
    () => {
        concat!(include_str!("cypher/roles.cypher"), include_str!("cypher/role.cypher"), "  ]) AS roles }\n")
    };
}
pub(super) use all_roles;

const ALL: Statement = Statement::plain(concat!(
    clock!(),
    "MATCH (ns:Namespace {namespace: $ns, made: $made})\n",
    all_roles!(),
    "RETURN [now, roles] AS row"
));

/// Without the namespace's lock: a renewal must not wait for those who work.
pub(in crate::neo4j) const RENEW: Statement = Statement::plain(concat!(
    "CYPHER 5\n",
    include_str!("cypher/renew.cypher"),
    include_str!("cypher/role.cypher"),
    "] AS row"
));

const FACTS: Statement = Statement::plain(concat!(
    clock!(),
    include_str!("cypher/role_facts.cypher"),
    include_str!("cypher/role.cypher"),
    "] AS row"
));

/// A second run finds it changed, and what it is decided by then has the same answer.
const CHANGE: Statement = Statement::locking(concat!(lock!(), include_str!("cypher/change_role.cypher")));

const FAILOVERS: Statement = Statement::plain(
    "CYPHER 5
MATCH (f:FailoverEvent) USING INDEX SEEK f:FailoverEvent(namespace, id) WHERE f.namespace = $ns AND f.id >= ''
  AND ($active IS NULL OR (f.status = 'active') = $active) AND ($since IS NULL OR f.activated_at >= $since)
WITH f ORDER BY f.activated_at, f.term
RETURN [f.id, f.role, f.from_agent, f.to_agent, f.term, f.reason, f.triggered_by, f.activated_at, f.deactivated_at,
  f.status] AS row",
);

/// Behind the lock of a statement: it goes on only where whoever acts under $term_number still holds the role $term_role.
/// A renewal changes neither, so the role itself need not be locked.
macro_rules! under {
    () => {
        "MATCH (office:RoleLease {namespace: $ns, role: $term_role}) USING INDEX SEEK office:RoleLease(namespace, role)
WHERE office.term = $term_number AND office.holder IS NOT NULL AND office.expires_at > at
WITH ns, now, at
"
    };
}
pub(in crate::neo4j) use under;

/// How often a change is decided anew, because the role has changed meanwhile.
const ROUNDS: usize = 8;

fn role(row: &mut Cells) -> Result<Option<Role>> {
    let Some(name) = row.next::<Option<String>>()? else { return Ok(None) };
    Ok(Some(Role {
        role: name,
        term: row.next()?,
        holder: row.next()?,
        instance: row.next()?,
        expires_at: row.next()?,
        promised_to: row.next()?,
        last_holder: row.next()?,
    }))
}

pub(super) fn list_of(rows: Vec<Cells>) -> Result<Vec<Role>> {
    rows.into_iter().filter_map(|mut row| role(&mut row).transpose()).collect()
}

pub(super) async fn all(store: &Neo4jStore) -> Result<Roles> {
    let mut row = store.one(store.query(ALL)).await?;
    Ok(Roles { now: row.next()?, roles: list_of(row.rows()?)? })
}

impl Neo4jStore {
    /// A statement that begins with `under!`, or where nobody acts under a term the one without it.
    pub(in crate::neo4j) fn query_under(
        &self,
        [plain, fenced]: [Statement; 2],
        under: Option<&Term>,
    ) -> Call {
        let Some(Term { role, number }) = under else { return self.query(plain) };
        self.query(fenced).param("term_role", role.as_str()).param("term_number", *number)
    }

    /// Its row. Errors: `role.stale_term`, and nothing was stored.
    pub(in crate::neo4j) async fn one_under(&self, call: Call, under: Option<&Term>) -> Result<Cells> {
        if let Some(row) = self.exec(call).await?.into_iter().next() {
            return Ok(row);
        }
        self.check_term(under).await?;
        // Otherwise it was over, and is not any more: a clock was set.
        Err(under.map_or_else(|| missing(&self.namespace), |term| roles::stale(term, &Role::default(), 0)))
    }

    /// By what stands there now, for who writes nothing. Errors: `role.stale_term`.
    pub(in crate::neo4j) async fn check_term(&self, under: Option<&Term>) -> Result<()> {
        let Some(term) = under else { return Ok(()) };
        let Roles { now, roles } = all(self).await?;
        roles::check_term(term, roles.iter().find(|role| role.role == term.role), now)
    }
}

pub(super) async fn change(store: &Neo4jStore, change: &RoleChange) -> Result<RoleLease> {
    if let RoleWish::Renew { term, ttl } = change.wish {
        return renew(store, change, term, micros(ttl)).await;
    }
    for _ in 0..ROUNDS {
        let (query, lease) = decided(store, change).await?;
        let Some(query) = query else { return Ok(lease) };
        if store.one(query).await?.next()? {
            return Ok(lease);
        }
    }
    Err(Error::unavailable(format!("the role {:?} changes too quickly", change.role)))
}

async fn renew(store: &Neo4jStore, change: &RoleChange, term: i64, ttl: Micros) -> Result<RoleLease> {
    let query = store
        .query(RENEW)
        .param("role", change.role.as_str())
        .param("agent", change.agent.as_str())
        .param("term", term)
        .param("ttl", ttl);
    let mut row = store.one(query).await?;
    let (now, ours): (Micros, bool) = (row.next()?, row.next()?);
    let role = role(&mut row)?.unwrap_or_default();
    let lease = role.lease(now).filter(|_| ours);
    lease.ok_or_else(|| roles::stale(&Term { role: change.role.clone(), number: term }, &role, now))
}

/// What is to be written, and the answer when it is; nothing where the role stays as it is.
async fn decided(store: &Neo4jStore, change: &RoleChange) -> Result<(Option<Call>, RoleLease)> {
    let facts = store.query(FACTS).param("role", change.role.as_str()).param("agent", change.agent.as_str());
    let mut row = store.one(facts).await?;
    let (now, known): (Micros, bool) = (row.next()?, row.next()?);
    if change.takes() && !known {
        return Err(Error::agent_not_found(&change.agent, None));
    }
    let mut away = vec![];
    for mut failover in row.rows()? {
        away.push(Away { term: failover.next()?, from_agent: failover.next()? });
    }
    let role = role(&mut row)?.unwrap_or_default();
    let step = change.decide(&role, &away, now)?;
    if step.role == role {
        return Ok((None, step.lease));
    }
    let seen = cells![
        role.term,
        role.holder.as_deref().unwrap_or_default(),
        role.promised_to.as_deref().unwrap_or_default(),
        role.expires_at,
    ];
    let query = written(store, &change.agent, &step).param("seen", seen);
    let query = query.param("agent", change.takes().then_some(change.agent.as_str()));
    Ok((Some(query), step.lease))
}

fn written(store: &Neo4jStore, agent: &str, step: &Step) -> Call {
    let Role { role, term, holder, instance, expires_at, promised_to, last_holder } = step.role.clone();
    let fields = map([
        ("term", term.into()),
        ("holder", holder.into()),
        ("instance", instance.into()),
        ("expires_at", datetime(Some(expires_at))),
        ("promised_to", promised_to.into()),
        ("last_holder", last_holder.into()),
    ]);
    let failover = |told: &Told| {
        let Taken { from, by } = told.taken.clone()?;
        Some(map([
            ("id", ids::new_id().into()),
            ("from_agent", from.into()),
            ("to_agent", told.to.clone().into()),
            ("term", term.into()),
            ("reason", told.reason.as_str().into()),
            ("triggered_by", by.as_str().into()),
        ]))
    };
    let event = |told: &Told| cells![agent, step.payload(told)];
    store
        .query(CHANGE)
        .param("role", role)
        .param("fields", fields)
        .param("failovers", list(step.told.iter().filter_map(failover)))
        .param("resolved_from", step.told.as_ref().and_then(|told| told.resolved_from))
        .param("told", list(step.told.iter().map(event)))
}

/// Oldest first.
pub(super) async fn failovers(
    store: &Neo4jStore,
    active: Option<bool>,
    since: Option<DateTime<Utc>>,
) -> Result<Vec<FailoverEvent>> {
    let query = store.query(FAILOVERS).param("active", active).param("since", since);
    let failover = |mut row: Cells| {
        Ok(FailoverEvent {
            id: row.next()?,
            role: row.next()?,
            from_agent: row.next()?,
            to_agent: row.next()?,
            term: row.next()?,
            reason: row.next()?,
            triggered_by: row.next::<String>()?.parse()?,
            activated_at: row.next()?,
            deactivated_at: row.next()?,
            status: row.next::<String>()?.parse()?,
        })
    };
    store.exec(query).await?.into_iter().map(failover).collect()
}

/// An agent is removed that led these.
pub(super) async fn give_up(store: &Neo4jStore, agent: &str, roles: &[String]) -> Result<()> {
    for role in roles {
        change(store, &HandBack::removed(role, agent)).await?;
    }
    Ok(())
}
