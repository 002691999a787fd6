//! Concurrent sends, fetches and acknowledgements become one transaction each.

use super::{
    again::Again,
    contract::{Fetch, Mailbox, Post, Settle, Settled},
    inbox_guard::InboxGuard,
    types::Sent,
};
use crate::{batch::Coalescer, calls::Calls, error::Result};
use std::sync::Arc;

pub(super) type Settles = Coalescer<Vec<Settle>, Vec<Result<Settled>>>;

#[derive(Debug)]
pub(super) struct Hot {
    pub(super) put: Arc<Coalescer<Vec<Post>, Vec<Sent>>>,
    pub(super) fetch: Arc<Coalescer<Fetch, InboxGuard>>,
    pub(super) settle: Arc<Settles>,
    pub(super) again: Again,
}

impl Hot {
    /// Of batches of at most `limit` calls.
    pub(super) fn new(mailbox: &Arc<dyn Mailbox>, calls: &Arc<Calls>, limit: usize) -> Self {
        let (put, fetch, settled) = (mailbox.clone(), mailbox.clone(), mailbox.clone());
        let settle: Arc<Settles> = Coalescer::new(limit, Vec::len, move |units| {
            let mailbox = settled.clone();
            Box::pin(async move { mailbox.settle(units).await })
        });
        let again = Again::default();
        let back = (settle.clone(), again.clone(), calls.clone());
        Hot {
            put: Coalescer::new(limit, Vec::len, move |units| {
                let mailbox = put.clone();
                Box::pin(async move { mailbox.put(units).await })
            }),
            fetch: Coalescer::new(
                limit,
                |_| 1,
                move |requests| {
                    let (mailbox, (settle, again, calls)) = (fetch.clone(), back.clone());
                    Box::pin(async move {
                        // A close waits for it, also where those who asked have gone, and for what then goes back.
                        let under_way = Arc::new(calls.go_on());
                        let guard = |stored| {
                            InboxGuard::new(stored, settle.clone(), again.clone(), under_way.clone())
                        };
                        let each = mailbox.fetch(requests).await?;
                        Ok(each.into_iter().map(|answer| answer.map(guard)).collect())
                    })
                },
            ),
            settle,
            again,
        }
    }
}
