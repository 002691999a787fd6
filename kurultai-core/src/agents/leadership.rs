//! A role that is held here: renewed in the background until it is handed back or lost.

use super::{
    beats::AtWork,
    contract::HeartbeatWriter,
    failovers::Trigger,
    names::find,
    roles::{RoleChange, RoleLease, RoleWish, Term},
    types::AgentInfo,
};
use crate::{
    calls::OwnedCall,
    clock::{Micros, micros},
    error::{Error, Kind, Result},
    retry::Backoff,
    session::Session,
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};

/// How to hold a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lead {
    /// How long the lease lasts without renewal; it is renewed three times as often. Default 30 s; 0.1 s to a day.
    pub ttl: Duration,
    /// How long to wait for it while somebody else holds it. Default not at all.
    pub wait: Duration,
    /// Why the role is taken, for the event.
    pub reason: Option<String>,
}

impl Default for Lead {
    fn default() -> Self {
        Lead { ttl: Duration::from_secs(30), wait: Duration::ZERO, reason: None }
    }
}

impl Lead {
    /// How long the lease lasts without renewal.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How long to wait for it while somebody else holds it.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Why the role is taken.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// How to let go of a role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HandBack {
    /// Who alone may take it in the next 30 seconds.
    pub to: Option<String>,
    /// Why, for the event.
    pub reason: Option<String>,
}

impl HandBack {
    /// For this agent alone, for 30 seconds.
    pub fn to(mut self, agent: impl Into<String>) -> Self {
        self.to = Some(agent.into());
        self
    }

    /// Why.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// For how long a role that is handed back to somebody is kept for it.
const PROMISE: Duration = Duration::from_secs(30);

impl HandBack {
    /// Of an agent that is removed.
    pub(crate) fn removed(role: &str, agent: &str) -> RoleChange {
        HandBack::default().reason("its agent was removed").change(role, agent, None)
    }

    /// Promised to nobody who is not there.
    pub(super) fn known(self, agents: &[AgentInfo]) -> Result<Self> {
        let to = self.to.as_deref().map(|to| find(agents, to)).transpose()?;
        Ok(HandBack { to: to.map(|agent| agent.id.clone()), ..self })
    }

    pub(super) fn change(self, role: &str, agent: &str, term: Option<i64>) -> RoleChange {
        let wish = RoleWish::HandBack { term, to: self.to, promise: PROMISE, reason: self.reason };
        RoleChange { role: role.to_owned(), agent: agent.to_owned(), wish }
    }
}

/// A role that this process holds for an agent. It is renewed, and the agent's heartbeats are written, until
/// [`hand_back`](Self::hand_back), a drop or a close of the store, each of which lets go of it at once, or until it is lost.
///
/// Whether it is lost is judged by this process's own stopwatch, from the beginning of the last renewal that succeeded and
/// with a margin of 2 s, so that it ends here before it ends for others. That is a hint; what must not happen under an old
/// term is written `under` this one, which the store checks in the same transaction.
pub struct Leadership {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    registry: Arc<dyn HeartbeatWriter>,
    session: Arc<Session>,
    ttl: Duration,
    state: watch::Sender<State>,
    /// Somebody wants to let go of it.
    farewell: watch::Sender<Option<HandBack>>,
}

#[derive(Debug)]
struct State {
    lease: RoleLease,
    /// By the session's stopwatch.
    trusted_until: Micros,
    over: Option<Result<RoleLease>>,
}

/// For how long a lease surely holds after it was asked for: its length without a margin for clocks that run apart.
fn trusted(ttl: Duration) -> Duration {
    ttl - (ttl / 10).min(Duration::from_secs(2))
}

pub(super) fn acquire(
    role: &str,
    agent: &str,
    lead: &Lead,
    instance: &str,
    failover: Option<Trigger>,
) -> RoleChange {
    let wish = RoleWish::Acquire {
        instance: instance.to_owned(),
        ttl: lead.ttl,
        failover,
        reason: lead.reason.clone(),
    };
    RoleChange { role: role.to_owned(), agent: agent.to_owned(), wish }
}

impl Leadership {
    /// `asked_at`, by the session's stopwatch, is when the lease was asked for.
    pub(super) fn begin(
        registry: &Arc<dyn HeartbeatWriter>,
        session: &Arc<Session>,
        (lease, ttl, asked_at): (RoleLease, Duration, Micros),
        (at_work, kept): (AtWork, OwnedCall),
    ) -> Self {
        let state = State { lease, trusted_until: asked_at + micros(trusted(ttl)), over: None };
        let held = Arc::new(Held {
            registry: registry.clone(),
            session: session.clone(),
            ttl,
            state: watch::Sender::new(state),
            farewell: watch::Sender::new(None),
        });
        tokio::spawn(keep(held.clone(), at_work, kept));
        Leadership { held }
    }

    /// Who holds what, under which term, and until when as of the last renewal.
    pub fn lease(&self) -> RoleLease {
        self.held.state.borrow().lease.clone()
    }

    /// For calls that are to count only while it is held.
    pub fn term(&self) -> Term {
        Term::from(&self.held.state.borrow().lease)
    }

    /// Renews it now, beside the renewals in the background: whether it is held is certain then. Errors: `role.stale_term`,
    /// `store.unavailable`. Cancel safe.
    pub async fn renew(&self) -> Result<()> {
        self.held.renew_once().await
    }

    /// Whether the role is surely still held, by this process's own stopwatch.
    pub fn is_valid(&self) -> bool {
        self.held.is_valid()
    }

    /// Returns when it is held no longer, for whatever reason. Cancel safe.
    pub async fn lost(&self) {
        let mut state = self.held.state.subscribe();
        drop(state.wait_for(|state| state.over.is_some()).await);
    }

    /// Lets go of the role, so that another may take it at once. Errors: `agent.not_found` of [`HandBack::to`], and it is
    /// held on; `role.stale_term` where it was lost before, `store.unavailable`: then it ends with its lease. Cancel safe: a dropped call lets go of it all the same.
    pub async fn hand_back(&self, how: HandBack) -> Result<RoleLease> {
        how.clone().change("any", "any", None).check()?;
        let how = match how.to {
            Some(_) => how.known(&self.held.registry.agents().await?)?,
            None => how,
        };
        self.held.let_go(how);
        let mut state = self.held.state.subscribe();
        let over = state.wait_for(|state| state.over.is_some()).await;
        let over = over.ok().and_then(|state| {
            state.over.as_ref().map(|over| match over {
                Ok(lease) => Ok(lease.clone()),
                Err(error) => Err(error.share()),
            })
        });
        over.unwrap_or_else(|| Err(Error::closed()))
    }
}

impl From<&Leadership> for Term {
    fn from(held: &Leadership) -> Self {
        held.term()
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.held.let_go(HandBack::default());
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership").field("lease", &self.lease()).finish_non_exhaustive()
    }
}

impl Held {
    fn is_valid(&self) -> bool {
        let state = self.state.borrow();
        state.over.is_none() && self.session.config.clock.stopwatch() < state.trusted_until
    }

    /// Who is first says how.
    fn let_go(&self, how: HandBack) {
        self.farewell.send_if_modified(|farewell| farewell.replace(how.clone()).is_none());
    }

    /// Until it is lost; the answer is why.
    async fn renew(&self) -> Error {
        let mut backoff = Backoff::default();
        sleep(self.ttl / 3).await;
        loop {
            match self.renew_once().await {
                Ok(()) => {
                    backoff = Backoff::default();
                    sleep(self.ttl / 3).await;
                }
                Err(error) if error.kind() == Kind::LeaseLost || !error.retryable() => return error,
                // As long as it may still be ours.
                Err(error) => {
                    self.session.news.complain(&error, "a role cannot be renewed; trying again");
                    backoff.wait_at_most(&error, self.ttl / 10).await;
                }
            }
        }
    }

    async fn renew_once(&self) -> Result<()> {
        let asked_at = self.session.config.clock.stopwatch();
        let RoleLease { role, holder, term, .. } = self.state.borrow().lease.clone();
        let wish = RoleWish::Renew { term, ttl: self.ttl };
        let lease = self.registry.role(RoleChange { role, agent: holder, wish }).await?;
        let trusted_until = asked_at + micros(trusted(self.ttl));
        self.state.send_modify(|state| {
            // Unless it was let go meanwhile.
            if state.trusted_until > Micros::MIN {
                state.trusted_until = state.trusted_until.max(trusted_until);
            }
            state.lease = lease;
        });
        Ok(())
    }

    /// Until nobody here may trust that it is held.
    async fn overdue(&self) -> Error {
        let mut state = self.state.subscribe();
        loop {
            let until = state.borrow_and_update().trusted_until;
            let left = until.saturating_sub(self.session.config.clock.stopwatch());
            if left <= 0 {
                let lease = self.state.borrow().lease.clone();
                let message = format!(
                    "term {} of role {:?} could not be renewed in time; nothing was stored",
                    lease.term, lease.role
                );
                return Error::new(Kind::LeaseLost, "role.stale_term", message);
            }
            tokio::select! {
                () = sleep(crate::clock::duration(left)) => {}
                _ = state.changed() => {}
            }
        }
    }
}

async fn keep(held: Arc<Held>, at_work: AtWork, _kept: OwnedCall) {
    let mut farewell = held.farewell.subscribe();
    let wanted = async { farewell.wait_for(Option::is_some).await.ok().and_then(|how| how.clone()) };
    let ended = tokio::select! {
        biased;
        how = wanted => Ok(how.unwrap_or_default()),
        () = held.session.agents.closing() => Ok(HandBack::default()),
        why = held.renew() => Err(why),
        why = held.overdue() => Err(why),
    };
    // Somebody else may have it before the answer to the hand-back is here.
    held.state.send_modify(|state| state.trusted_until = Micros::MIN);
    let RoleLease { role, holder, term, .. } = held.state.borrow().lease.clone();
    let how = match &ended {
        Ok(how) => how.clone(),
        Err(why) => {
            tracing::warn!(role, agent = holder, %why, "a role is lost");
            HandBack::default()
        }
    };
    // Also where it seems lost: it may be held for a moment more, and nobody uses it here.
    let back = held.registry.role(how.change(&role, &holder, Some(term))).await;
    if let (Ok(_), Err(error)) = (&ended, &back) {
        tracing::warn!(role, agent = holder, %error, "a role was not handed back; it ends with its lease");
    }
    held.session.news.announce_events();
    held.state.send_modify(|state| state.over = Some(ended.and(back)));
    at_work.leave().await;
}
