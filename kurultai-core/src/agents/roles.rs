//! Role leases: an office that one agent holds at a time. What a store keeps of a role, and what may become of it. Pure.
//!
//! A role lease is not an agent's `role`, which is a word about it: `developer`.

use super::failovers::{self, Away, Taken, Trigger};
use crate::{
    check,
    clock::{Micros, micros, time},
    error::{Error, Kind, Result},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

/// Who holds a role, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleLease {
    /// The role: `router`.
    pub role: String,
    /// The agent that holds it.
    pub holder: String,
    /// Of the opened store that holds it: another process of the same agent does not.
    pub instance: String,
    /// Its number, which only grows: each time that the role is taken it is a new one, also after it was handed back, and
    /// where the store was restored from an older copy.
    pub term: i64,
    /// Until when it holds unless it is renewed, by the store's clock.
    pub expires_at: DateTime<Utc>,
}

/// The office under which somebody acts, and its number, which grows with each holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The role: `watcher`.
    pub role: String,
    /// Its number.
    pub number: i64,
}

impl From<&RoleLease> for Term {
    fn from(lease: &RoleLease) -> Self {
        Term { role: lease.role.clone(), number: lease.term }
    }
}

impl From<RoleLease> for Term {
    fn from(lease: RoleLease) -> Self {
        Term::from(&lease)
    }
}

/// A role as a store has it, also while nobody holds it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Role {
    /// Its name.
    pub role: String,
    /// Of the last one who took it; 0 where nobody ever has.
    pub term: i64,
    /// Who holds it, unless `expires_at` is over.
    pub holder: Option<String>,
    /// Of the opened store that holds it.
    pub instance: Option<String>,
    /// When the lease ends or, without a holder, the promise.
    pub expires_at: Micros,
    /// To whom it was handed back: nobody else may take it until `expires_at`.
    pub promised_to: Option<String>,
    /// Who held it last.
    pub last_holder: Option<String>,
}

/// The roles of a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// The store's time when they were read.
    pub now: Micros,
    /// In the order of their names.
    pub roles: Vec<Role>,
}

impl Role {
    /// Its lease, where somebody holds it.
    pub fn lease(&self, now: Micros) -> Option<RoleLease> {
        let (holder, instance) = (self.holder.clone()?, self.instance.clone()?);
        let lease = RoleLease {
            role: self.role.clone(),
            holder,
            instance,
            term: self.term,
            expires_at: time(self.expires_at),
        };
        (self.expires_at > now).then_some(lease)
    }

    pub(super) fn is_free_for(&self, agent: &str, now: Micros) -> bool {
        self.expires_at <= now
            || (self.holder.is_none() && self.promised_to.as_deref().is_none_or(|to| to == agent))
    }

    fn is_of(&self, term: i64, now: Micros) -> bool {
        self.term == term && self.holder.is_some() && self.expires_at > now
    }
}

/// What somebody wants of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleChange {
    /// Which one.
    pub role: String,
    /// Who wants to hold it or holds it.
    pub agent: String,
    /// What is wanted.
    pub wish: RoleWish,
}

/// What an agent wants of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleWish {
    /// To hold it, under a new term, where nobody does.
    Acquire {
        /// Of the opened store.
        instance: String,
        /// For how long, unless it is renewed.
        ttl: Duration,
        /// What it is where another agent held the role before; `None` where it comes back to whom it belongs.
        failover: Option<Trigger>,
        /// Why.
        reason: Option<String>,
    },
    /// To hold it for longer.
    Renew {
        /// Under which term it is held.
        term: i64,
        /// For how long from now on.
        ttl: Duration,
    },
    /// To hold it no longer.
    HandBack {
        /// Under which term it is held; `None`: under whichever.
        term: Option<i64>,
        /// Who alone may take it for a while.
        to: Option<String>,
        /// For how long.
        promise: Duration,
        /// Why.
        reason: Option<String>,
    },
}

/// What becomes of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) role: Role,
    /// The answer.
    pub(crate) lease: RoleLease,
    /// `None` where its holder stays: then it is no event.
    pub(crate) told: Option<Told>,
}

/// What a change of holders leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) promised_to: Option<String>,
    pub(crate) reason: String,
    pub(crate) taken: Option<Taken>,
    /// The active failovers of this term and later ones are over.
    pub(crate) resolved_from: Option<i64>,
}

/// The topic of the event.
pub(crate) const CHANGED: &str = "role.changed";

impl Step {
    /// What the event tells.
    pub(crate) fn payload(&self, told: &Told) -> String {
        let Told { from, to, reason, promised_to, .. } = told;
        let (role, term) = (&self.role.role, self.role.term);
        let mut payload = json!({"role": role, "from": from, "to": to, "term": term, "reason": reason});
        if let Some(agent) = promised_to {
            payload["promised_to"] = agent.as_str().into();
        }
        payload.to_string()
    }
}

impl RoleChange {
    pub(super) fn check(&self) -> Result<()> {
        name(&self.role)?;
        check::agent("agent", &self.agent)?;
        let (ttl, to, reason) = match &self.wish {
            RoleWish::Acquire { ttl, reason, .. } => (*ttl, None, reason.as_ref()),
            RoleWish::Renew { ttl, .. } => (*ttl, None, None),
            RoleWish::HandBack { to, promise, reason, .. } => (*promise, to.as_ref(), reason.as_ref()),
        };
        check::held("ttl", ttl)?;
        to.map_or(Ok(()), |to| check::agent("to", to))?;
        reason.map_or(Ok(()), |reason| check::text("reason", reason, 1_000))
    }

    /// Whether somebody wants to hold a role who may not hold it yet.
    pub(crate) fn takes(&self) -> bool {
        matches!(self.wish, RoleWish::Acquire { .. })
    }

    /// What the role becomes. `away` are its active failovers. Errors: `role.held`, `role.stale_term`, `role.not_found`.
    pub(crate) fn decide(&self, role: &Role, away: &[Away], now: Micros) -> Result<Step> {
        match &self.wish {
            RoleWish::Acquire { instance, ttl, failover, reason } => {
                self.acquire(role, away, now, (instance, *ttl, *failover, reason.as_deref()))
            }
            RoleWish::Renew { term, ttl } => {
                if !role.is_of(*term, now) {
                    return Err(stale(&Term { role: self.role.clone(), number: *term }, role, now));
                }
                let role = Role { expires_at: role.expires_at.max(now + micros(*ttl)), ..role.clone() };
                Ok(Step { lease: live(&role), role, told: None })
            }
            RoleWish::HandBack { term, to, promise, reason } => {
                self.hand_back(role, now, *term, (to.as_deref(), *promise, reason.as_deref()))
            }
        }
    }

    fn acquire(
        &self,
        role: &Role,
        away: &[Away],
        now: Micros,
        (instance, ttl, failover, reason): (&String, Duration, Option<Trigger>, Option<&str>),
    ) -> Result<Step> {
        let expires_at = now + micros(ttl);
        if let Some(lease) = role.lease(now) {
            // The answer to a first call may have been lost.
            if (&lease.holder, &lease.instance) == (&self.agent, instance) {
                let role = Role { expires_at: role.expires_at.max(expires_at), ..role.clone() };
                return Ok(Step { lease: live(&role), role, told: None });
            }
            return Err(held(role, &lease.holder, "held by", lease.expires_at));
        }
        let promised = role.promised_to.as_ref().filter(|_| role.holder.is_none() && role.expires_at > now);
        if let Some(agent) = promised.filter(|agent| **agent != self.agent) {
            return Err(held(role, agent, "promised to", time(role.expires_at)));
        }
        let why = match (&role.holder, &role.last_holder) {
            (Some(holder), _) => format!("the lease of {holder} is over"),
            (None, Some(last)) => format!("{last} has handed it back"),
            (None, None) => "nobody held it".to_owned(),
        };
        let from = role.holder.clone().or_else(|| role.last_holder.clone());
        let (taken, resolved_from) = failovers::after(from.as_deref(), &self.agent, failover, away);
        let next = Role {
            role: self.role.clone(),
            term: (role.term + 1).max(now / 1_000),
            holder: Some(self.agent.clone()),
            instance: Some(instance.clone()),
            expires_at,
            promised_to: None,
            last_holder: Some(self.agent.clone()),
        };
        let told = Told {
            from,
            to: Some(self.agent.clone()),
            promised_to: None,
            reason: reason.map_or(why, str::to_owned),
            taken,
            resolved_from,
        };
        Ok(Step { lease: live(&next), role: next, told: Some(told) })
    }

    fn hand_back(
        &self,
        role: &Role,
        now: Micros,
        term: Option<i64>,
        (to, promise, reason): (Option<&str>, Duration, Option<&str>),
    ) -> Result<Step> {
        if role.term == 0 {
            let message = format!("nobody has ever held the role {:?}", self.role);
            return Err(Error::new(Kind::NotFound, "role.not_found", message));
        }
        let live = role.lease(now);
        let ours = role.holder.as_ref() == Some(&self.agent) && term.is_none_or(|term| term == role.term);
        if !ours || live.is_none() {
            return match (live, term) {
                (Some(_), Some(term)) => {
                    Err(stale(&Term { role: self.role.clone(), number: term }, role, now))
                }
                (Some(lease), None) => Err(held(role, &lease.holder, "held by", lease.expires_at)),
                (None, Some(term)) if ours => {
                    Err(stale(&Term { role: self.role.clone(), number: term }, role, now))
                }
                (None, None) if role.last_holder.as_ref() != Some(&self.agent) => {
                    let message =
                        format!("{} does not hold the role {:?}: nobody does", self.agent, self.role);
                    Err(Error::new(Kind::NotFound, "role.not_found", message))
                }
                // It was handed back before, or is over.
                (None, _) => {
                    Ok(Step { lease: ended(role, &self.agent, now), role: role.clone(), told: None })
                }
            };
        }
        let next = Role {
            holder: None,
            instance: None,
            expires_at: if to.is_some() { now + micros(promise) } else { now },
            promised_to: to.map(str::to_owned),
            ..role.clone()
        };
        let told = Told {
            from: Some(self.agent.clone()),
            to: None,
            promised_to: next.promised_to.clone(),
            reason: reason.map_or_else(|| "handed back".to_owned(), str::to_owned),
            taken: None,
            resolved_from: None,
        };
        Ok(Step { lease: ended(role, &self.agent, now), role: next, told: Some(told) })
    }
}

/// What a role may be called.
pub(crate) fn name(role: &str) -> Result<()> {
    check::text("role", role, 128)
}

fn live(role: &Role) -> RoleLease {
    role.lease(Micros::MIN).expect("it has just been taken")
}

fn ended(role: &Role, agent: &str, now: Micros) -> RoleLease {
    RoleLease {
        role: role.role.clone(),
        holder: agent.to_owned(),
        instance: role.instance.clone().unwrap_or_default(),
        term: role.term,
        expires_at: time(now),
    }
}

fn held(role: &Role, by: &str, how: &str, until: DateTime<Utc>) -> Error {
    let until = until.to_rfc3339_opts(SecondsFormat::Millis, true);
    let message =
        format!("role {:?} is {how} {by} until {until}; wait for it, or have it handed back", role.role);
    Error::conflict("role.held", message)
}

/// `role.stale_term`, where a term is not that of the role any more.
pub(crate) fn stale(term: &Term, role: &Role, now: Micros) -> Error {
    let why = match role.lease(now) {
        Some(lease) => format!("now held by {} under term {}", lease.holder, lease.term),
        None if role.term == term.number && role.holder.is_some() => "its lease is over".to_owned(),
        None => "nobody holds it".to_owned(),
    };
    let message =
        format!("term {} of role {:?} is no longer valid: {why}; nothing was stored", term.number, term.role);
    Error::new(Kind::LeaseLost, "role.stale_term", message)
}

/// Whether whoever acts under the term still holds the role. Errors: `role.stale_term`.
pub(crate) fn check_term(term: &Term, role: Option<&Role>, now: Micros) -> Result<()> {
    match role {
        Some(role) if role.is_of(term.number, now) => Ok(()),
        role => Err(stale(term, role.unwrap_or(&Role::default()), now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;
    const NOW: Micros = 1_780_000_000 * SECOND;

    fn acquire(agent: &str, failover: Option<Trigger>) -> RoleChange {
        let wish = RoleWish::Acquire {
            instance: format!("{agent}-1"),
            ttl: Duration::from_secs(30),
            failover,
            reason: None,
        };
        RoleChange { role: "router".into(), agent: agent.into(), wish }
    }

    fn hand_back(agent: &str, to: Option<&str>) -> RoleChange {
        let wish = RoleWish::HandBack {
            term: None,
            to: to.map(str::to_owned),
            promise: Duration::from_secs(30),
            reason: None,
        };
        RoleChange { role: "router".into(), agent: agent.into(), wish }
    }

    fn taken_by(agent: &str, role: &Role, now: Micros) -> Step {
        acquire(agent, Some(Trigger::Manual)).decide(role, &[], now).unwrap()
    }

    #[test]
    fn a_term_only_grows_whatever_the_clock_says() {
        let mut role = taken_by("kublai", &Role::default(), NOW).role;
        assert_eq!(role.term, NOW / 1_000);
        for back in [0, 60 * SECOND, -3_600 * SECOND] {
            let before = role.term;
            let given = hand_back("kublai", None).decide(&role, &[], NOW + back).unwrap().role;
            assert_eq!(given.term, before);
            role = taken_by("kublai", &given, NOW + back).role;
            assert!(role.term > before);
        }
    }

    #[test]
    fn a_restored_store_gives_no_term_that_it_gave_before() {
        let copy = taken_by("kublai", &Role::default(), NOW).role;
        let later = taken_by("ogedei", &copy, NOW + 31 * SECOND).role;
        let restored = taken_by("mongke", &copy, NOW + 40 * SECOND).role;
        assert!(restored.term > later.term);
    }

    #[test]
    fn a_promise_keeps_others_out_until_it_is_over() {
        let role = taken_by("ogedei", &Role::default(), NOW).role;
        let role = hand_back("ogedei", Some("kublai")).decide(&role, &[], NOW).unwrap().role;
        let error = acquire("mongke", None).decide(&role, &[], NOW + 29 * SECOND).unwrap_err();
        assert_eq!(error.code(), "role.held");
        assert!(error.message().contains("promised to kublai"), "{error}");
        assert!(acquire("kublai", None).decide(&role, &[], NOW + 29 * SECOND).is_ok());
        assert!(acquire("mongke", None).decide(&role, &[], NOW + 30 * SECOND).is_ok());
    }

    #[test]
    fn a_failover_lasts_until_the_role_is_back() {
        let away = |term, from: &str| Away { term, from_agent: from.into() };
        let role = taken_by("kublai", &Role::default(), NOW).role;
        let told = taken_by("ogedei", &role, NOW + 31 * SECOND).told.unwrap();
        let from = Taken { from: "kublai".into(), by: Trigger::Manual };
        assert_eq!((told.taken, told.resolved_from), (Some(from), None));
        // From kublai to ogedei under 1, on to mongke under 2.
        let all = [away(1, "kublai"), away(2, "ogedei")];
        let role = Role { term: 2, last_holder: Some("mongke".into()), ..Role::default() };
        for (agent, failover, resolved) in [
            ("kublai", Some(Trigger::Auto), Some(1)),
            ("ogedei", Some(Trigger::Auto), Some(2)),
            ("jochi", Some(Trigger::Auto), None),
            ("jochi", None, Some(1)),
        ] {
            let told = acquire(agent, failover).decide(&role, &all, NOW).unwrap().told.unwrap();
            assert_eq!(told.resolved_from, resolved, "{agent}");
            assert_eq!(told.taken.is_some(), resolved.is_none(), "{agent}");
        }
    }

    #[test]
    fn a_lease_that_is_over_is_not_renewed_even_where_nobody_has_taken_it() {
        let role = taken_by("kublai", &Role::default(), NOW).role;
        let renew = |term| RoleChange {
            wish: RoleWish::Renew { term, ttl: Duration::from_secs(30) },
            ..acquire("kublai", None)
        };
        let longer = renew(role.term).decide(&role, &[], NOW + 29 * SECOND).unwrap();
        assert_eq!((longer.role.expires_at, longer.told), (NOW + 59 * SECOND, None));
        for (term, now) in [(role.term, NOW + 30 * SECOND), (role.term - 1, NOW)] {
            assert_eq!(renew(term).decide(&role, &[], now).unwrap_err().code(), "role.stale_term");
        }
    }
}
