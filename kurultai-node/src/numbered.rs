//! What goes on between calls: readers and watchers, which JavaScript knows by number.

use kurultai_bridge::lock;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::sync;

/// Used by one call at a time.
type Shared<T> = Arc<sync::Mutex<T>>;

#[derive(Debug)]
pub(crate) struct Numbered<T>(Mutex<All<T>>);

#[derive(Debug)]
struct All<T> {
    last: u32,
    by_number: HashMap<u32, Shared<T>>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Numbered(Mutex::new(All { last: 0, by_number: HashMap::new() }))
    }
}

impl<T> Numbered<T> {
    pub(crate) fn add(&self, one: T) -> u32 {
        let mut all = lock(&self.0);
        all.last += 1;
        let number = all.last;
        all.by_number.insert(number, Arc::new(sync::Mutex::new(one)));
        number
    }

    pub(crate) fn get(&self, number: u32) -> Option<Shared<T>> {
        lock(&self.0).by_number.get(&number).cloned()
    }

    pub(crate) fn forget(&self, number: u32) {
        lock(&self.0).by_number.remove(&number);
    }
}
