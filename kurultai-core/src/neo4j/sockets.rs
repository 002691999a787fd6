//! What the driver leaves off at its sockets and does not let us set. It does not show them either, so new ones are
//! looked up among the process's own descriptors, by the server's port.
//!
//! - TCP_NODELAY: a request of more than the driver's buffer of 8 KiB goes in two parts, and without it the second waits
//!   40 ms for the server's acknowledgement of the first.
//! - No lingering: when a connection is given up, what the network has not taken yet is dropped. Otherwise a claim that
//!   was sent into a dead route would be delivered when the route comes back, to a server that serves nobody with it.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
};

#[derive(Debug)]
pub(super) struct Sockets {
    port: u16,
    refused: AtomicBool,
}

impl Sockets {
    pub(super) fn new(port: u16) -> Self {
        Sockets { port, refused: AtomicBool::new(!cfg!(target_os = "linux")) }
    }

    /// Long requests stall here: the system does not let us set the option.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// The sockets that are there before a connection is made.
    pub(super) fn before(&self) -> HashSet<String> {
        if self.is_refused() { HashSet::new() } else { own().map(|(_, socket)| socket).collect() }
    }

    /// Sets those to the server that have come since.
    pub(super) fn set(&self, before: &HashSet<String>) {
        if !self.is_refused() && set(self.port, before).is_none() {
            self.refused.store(true, Ordering::Relaxed);
        }
    }
}

/// The process's sockets: descriptors and names.
fn own() -> impl Iterator<Item = (i32, String)> {
    let all = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    all.filter_map(|entry| {
        let socket = std::fs::read_link(entry.path()).ok()?.to_str()?.to_owned();
        let number = entry.file_name().to_str()?.parse().ok()?;
        socket.starts_with("socket:").then_some((number, socket))
    })
}

/// `None` where the system refuses, as containers do that filter `pidfd_getfd`.
#[cfg(target_os = "linux")]
fn set(port: u16, before: &HashSet<String>) -> Option<()> {
    use rustix::{
        net::sockopt::set_socket_linger,
        process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
    };
    let process = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    for (number, _) in own().filter(|(_, socket)| !before.contains(socket)) {
        match pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) {
            Ok(copy) => {
                let socket = std::net::TcpStream::from(copy);
                if socket.peer_addr().is_ok_and(|peer| peer.port() == port) {
                    socket.set_nodelay(true).ok()?;
                    set_socket_linger(&socket, Some(std::time::Duration::ZERO)).ok()?;
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
fn set(_: u16, _: &HashSet<String>) -> Option<()> {
    None
}
