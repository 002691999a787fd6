//! Who is dead from now on, and who lives again.

use super::{leases::end_leases, roles, signs};
use crate::{
    agents::{Declared, Says, Term, Verdict},
    error::Result,
    sqlite::{events, tx::Tx},
};
use rusqlite::params;

pub(super) fn declare(tx: &Tx<'_>, verdicts: &[Verdict], under: Option<&Term>) -> Result<Declared> {
    roles::check(tx, under)?;
    let (signs, mut declared) = (signs::read(tx)?, Declared::default());
    for verdict in verdicts {
        let sign = signs.agents.iter().find(|sign| sign.agent == verdict.agent);
        let Some(sign) = sign.filter(|sign| verdict.is_confirmed(sign, tx.now)) else { continue };
        let agent = verdict.agent.clone();
        let (topic, dead_at) = match verdict.says {
            Says::Dead(_) => {
                declared.overdue |= end_leases(tx, &agent)?;
                roles::end(tx, &agent)?;
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
