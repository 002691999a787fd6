//! What lives between calls, which JavaScript knows by number: jobs, inboxes, followers, watchers, roles.

use kurultai_bridge::lock;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// Cheap to clone: it stays one table.
#[derive(Debug)]
pub(crate) struct Numbered<T>(Arc<Mutex<All<T>>>);

#[derive(Debug)]
struct All<T> {
    last: u32,
    by_number: HashMap<u32, Arc<T>>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Numbered(Arc::new(Mutex::new(All { last: 0, by_number: HashMap::new() })))
    }
}

impl<T> Clone for Numbered<T> {
    fn clone(&self) -> Self {
        Numbered(self.0.clone())
    }
}

impl<T> Numbered<T> {
    /// A new number; what is added under it may come later, when its receiver is known to be there.
    pub(crate) fn number(&self) -> u32 {
        let mut all = lock(&self.0);
        all.last = all.last.wrapping_add(1);
        all.last
    }

    pub(crate) fn add(&self, number: u32, one: T) {
        lock(&self.0).by_number.insert(number, Arc::new(one));
    }

    pub(crate) fn get(&self, number: u32) -> Option<Arc<T>> {
        lock(&self.0).by_number.get(&number).cloned()
    }

    pub(crate) fn forget(&self, number: u32) {
        // Dropped without the lock: what its end does may take a while.
        let one = lock(&self.0).by_number.remove(&number);
        drop(one);
    }

    /// Forgets the others.
    pub(crate) fn retain(&self, keep: impl Fn(&T) -> bool) {
        let others: Vec<_> = lock(&self.0).by_number.extract_if(|_, one| !keep(one)).collect();
        drop(others);
    }
}
