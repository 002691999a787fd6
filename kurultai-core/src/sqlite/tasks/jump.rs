use super::links::links;
use crate::{clock::Micros, error::Result, sqlite::tx::Tx};

/// Moves leases, spans to wait and back-offs of all namespaces; a time that somebody has named stays.
pub(in crate::sqlite) fn shift(tx: &Tx<'_>, by: Micros) -> Result<()> {
    // Ranges that come up early only give their tasks a `due_at`, which says the rest.
    tx.run("update expiry set at = at + ?1 where ?1 < 0", [by])?;
    // The claim moves too where the lease must not last longer than so much after it.
    let sql = concat!(
        "update task set due_at = due_at + ?1, claimed_at = iif(links & ",
        links!(max_runtime),
        ", claimed_at + ?1, claimed_at), revision = revision + 1
        where status = 'in_progress' and due_at > 0"
    );
    tx.run(sql, [by])?;
    tx.run("update task_result set stalled_at = stalled_at + ?1 where stalled_at is not null", [by])?;
    let sql = "update task set expires_at = iif(d.timeout is null, expires_at, expires_at + ?1),
          run_at = iif(attempts > 0, run_at + ?1, run_at), revision = revision + 1
        from task_data d where d.n = task.n and status in ('pending', 'blocked')
          and (d.timeout is not null and expires_at is not null or attempts > 0 and run_at is not null)";
    tx.run(sql, [by])?;
    // As the rules have it: when a task can be claimed or when it expires, whichever comes first.
    let sql = "update task set due_at = coalesce(
            iif(status = 'pending' and claim_key is null and run_at < coalesce(expires_at, run_at + 1), run_at, null),
            expires_at)
        where status in ('pending', 'blocked') and due_at > 0";
    tx.run(sql, [])?;
    Ok(())
}
