//! What wakes an event loop from another thread.

use std::{io::Write, os::unix::net::UnixStream};

/// The far end of the pipe that a loop watches.
pub(crate) struct Bell(UnixStream);

impl Bell {
    pub(crate) fn new(wake: UnixStream) -> Self {
        Bell(wake)
    }

    /// A full pipe means that the loop has not looked yet, a broken one that it is closed: nothing to do in both.
    pub(crate) fn ring(&self) {
        drop((&self.0).write(&[1]));
    }

    /// Nothing rings any more, and whoever waits learns it.
    pub(crate) fn close(&self) -> std::io::Result<()> {
        self.0.shutdown(std::net::Shutdown::Both)
    }
}
