//! Concurrent sends, fetches and acknowledgements become one transaction each.

use super::{
    contract::{Fetch, Mailbox, Post, Settle, Settled, Stored},
    types::Sent,
};
use crate::{batch::Coalescer, error::Result};
use std::sync::Arc;

type Settles = Coalescer<Vec<Settle>, Vec<Result<Settled>>>;

#[derive(Debug)]
pub(super) struct Hot {
    pub(super) put: Arc<Coalescer<Vec<Post>, Vec<Sent>>>,
    pub(super) fetch: Arc<Coalescer<Fetch, Vec<Stored>>>,
    pub(super) settle: Arc<Settles>,
}

impl Hot {
    /// Of batches of at most `limit` calls.
    pub(super) fn new(mailbox: &Arc<dyn Mailbox>, limit: usize) -> Self {
        let (put, fetch, settle) = (mailbox.clone(), mailbox.clone(), mailbox.clone());
        Hot {
            put: Coalescer::new(limit, Vec::len, move |units| {
                let mailbox = put.clone();
                Box::pin(async move { mailbox.put(units).await })
            }),
            fetch: Coalescer::new(
                limit,
                |_| 1,
                move |requests| {
                    let mailbox = fetch.clone();
                    Box::pin(async move { mailbox.fetch(requests).await })
                },
            ),
            settle: Coalescer::new(limit, Vec::len, move |units| {
                let mailbox = settle.clone();
                Box::pin(async move { mailbox.settle(units).await })
            }),
        }
    }
}
