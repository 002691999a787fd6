//! TCP_NODELAY, which the driver leaves off: a request of more than its buffer of 8 KiB then goes in two parts, and
//! the second waits 40 ms for the server's acknowledgement of the first. The driver does not show its sockets, so
//! they are looked up among the process's own descriptors, by the server's port.

use crate::clock::monotonic;
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// A statement that took as long may have gone over a socket that is not set yet.
const STALL: Duration = Duration::from_millis(35);
/// Looking through a process's descriptors is not free, and a slow server is not a stall.
const REST: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct NoDelay {
    port: u16,
    refused: AtomicBool,
    /// The most statements that ran at once, which is how many connections the driver has opened.
    most: AtomicUsize,
    last: Mutex<Option<Instant>>,
}

impl NoDelay {
    pub(super) fn new(port: u16) -> Self {
        NoDelay {
            port,
            refused: AtomicBool::new(!cfg!(target_os = "linux")),
            most: AtomicUsize::new(0),
            last: Mutex::default(),
        }
    }

    /// Long requests stall here: the system does not let us set the option.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// After a statement that was one of so many at once and took so long.
    pub(super) fn after(&self, at_once: usize, took: Duration) {
        let is_new = self.most.fetch_max(at_once, Ordering::Relaxed) < at_once;
        if self.is_refused() || (!is_new && took < STALL) {
            return;
        }
        let now = monotonic();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_new && last.is_some_and(|last| now - last < REST) {
            return;
        }
        *last = Some(now);
        if set(self.port).is_none() {
            self.refused.store(true, Ordering::Relaxed);
        }
    }
}

/// `None` where the system refuses, as containers do that filter `pidfd_getfd`.
#[cfg(target_os = "linux")]
fn set(port: u16) -> Option<()> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let own = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    for entry in std::fs::read_dir("/proc/self/fd").ok()?.flatten() {
        let is_socket = std::fs::read_link(entry.path())
            .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"));
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if !is_socket {
            continue;
        }
        match pidfd_getfd(&own, number, PidfdGetfdFlags::empty()) {
            Ok(copy) => {
                let socket = std::net::TcpStream::from(copy);
                if socket.peer_addr().is_ok_and(|peer| peer.port() == port) {
                    socket.set_nodelay(true).ok()?;
                }
            }
            // Closed meanwhile.
            Err(rustix::io::Errno::BADF) => {}
            Err(_) => return None,
        }
    }
    Some(())
}

#[cfg(not(target_os = "linux"))]
fn set(_: u16) -> Option<()> {
    None
}
