//! Who is dead from now on, and who lives again.

use super::signs;
use crate::{
    agents::{Declared, Says, Term, Verdict},
    error::Result,
    sqlite::{events, tx::Tx},
    tasks::rules::NOW,
};
use rusqlite::params;

pub(super) fn declare(tx: &Tx<'_>, verdicts: &[Verdict], under: Option<&Term>) -> Result<Declared> {
    let (signs, mut declared) = (signs::read(tx)?, Declared::default());
    for verdict in verdicts {
        let sign = signs.agents.iter().find(|sign| sign.agent == verdict.agent);
        let Some(sign) = sign.filter(|sign| verdict.is_confirmed(sign, tx.now)) else { continue };
        let agent = verdict.agent.clone();
        let (topic, dead_at) = match verdict.says {
            Says::Dead(_) => {
                declared.overdue |= end_leases(tx, &agent)?;
                declared.dead.push(agent.clone());
                ("agent.dead", Some(tx.now))
            }
            Says::Recovered => {
                declared.recovered.push(agent.clone());
                ("agent.recovered", None)
            }
        };
        let sql = "update agent set dead_at = ?3 where ns = ?1 and id = ?2";
        tx.run(sql, params![tx.ns, agent, dead_at])?;
        events::append_one(tx, topic, Some(&agent), None, Some(verdict.told(sign, tx.now, under)))?;
    }
    Ok(declared)
}

/// Ends the leases of an agent: its tasks are due. Returns whether there were any.
pub(super) fn end_leases(tx: &Tx<'_>, agent: &str) -> Result<bool> {
    let sql = "update or fail task set due_at = ?4, revision = revision + 1, updated_at = ?2
        where ns = ?1 and due_at is not null and due_at > ?2 and status = 'in_progress' and claimed_by = ?3";
    Ok(tx.run(sql, params![tx.ns, tx.now, agent, NOW])? > 0)
}
