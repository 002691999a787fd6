//! What the driver leaves off at its sockets and does not let us set. It does not show them either, so they are looked up
//! among the process's own descriptors: those that have come since a connection was begun and whose peer is an address of
//! the server, with its port. What other code in the process opens to another address or another port stays as it is, and
//! so does what it had open before; only its own connection to the same server, opened at the same moment, cannot be told
//! apart and is set as well.
//!
//! - TCP_NODELAY: a request of more than the driver's buffer of 8 KiB goes in two parts, and without it the second waits
//!   40 ms for the server's acknowledgement of the first.
//! - No lingering: when a connection is given up, what the network has not taken yet is dropped. Otherwise a claim that
//!   was sent into a dead route would be delivered when the route comes back, to a server that serves nobody with it.

use std::{
    collections::HashSet,
    net::{SocketAddr, ToSocketAddrs},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};
use tokio::{task::spawn_blocking, time::timeout_at};

#[derive(Debug)]
pub(super) struct Sockets {
    /// Host and port.
    server: String,
    /// The newest socket was not found, as where a name has other addresses each time, or the system refused.
    unset: AtomicBool,
}

impl Sockets {
    /// Of the server at `host:port`.
    pub(super) fn new(server: &str) -> Self {
        Sockets { server: server.to_owned(), unset: AtomicBool::new(false) }
    }

    /// Long requests stall here.
    pub(super) fn stall(&self) -> bool {
        self.unset.load(Ordering::Relaxed)
    }

    /// The sockets that are there before a connection is made.
    pub(super) fn before(&self) -> HashSet<String> {
        own().map(|(_, socket)| socket).collect()
    }

    /// Sets those to the server that have come since.
    pub(super) async fn set(&self, before: &HashSet<String>, deadline: Instant) {
        let server = self.server.clone();
        let lookup = spawn_blocking(move || server.to_socket_addrs().map(Iterator::collect));
        let addresses: Vec<SocketAddr> = match timeout_at(deadline.into(), lookup).await {
            Ok(Ok(Ok(addresses))) => addresses,
            _ => vec![],
        };
        self.unset.store(!set(before, &addresses), Ordering::Relaxed);
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

/// Whether a peer is one of the addresses; over an IPv6 socket an IPv4 address looks like one of IPv6.
#[cfg(target_os = "linux")]
fn is_any(peer: SocketAddr, addresses: &[SocketAddr]) -> bool {
    let plain = |address: &SocketAddr| (address.ip().to_canonical(), address.port());
    addresses.iter().any(|address| plain(address) == plain(&peer))
}

/// Whether there was one and the system let us set it, which containers do not that filter `pidfd_getfd`.
#[cfg(target_os = "linux")]
fn set(before: &HashSet<String>, addresses: &[SocketAddr]) -> bool {
    use rustix::{
        net::sockopt::set_socket_linger,
        process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
    };
    let Ok(process) = pidfd_open(getpid(), PidfdFlags::empty()) else { return false };
    let mut is_set = false;
    for (number, _) in own().filter(|(_, socket)| !before.contains(socket)) {
        // Closed meanwhile, or refused.
        let Ok(copy) = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) else { continue };
        let socket = std::net::TcpStream::from(copy);
        if socket.peer_addr().is_ok_and(|peer| is_any(peer, addresses)) {
            let no_delay = socket.set_nodelay(true).is_ok();
            is_set |= no_delay && set_socket_linger(&socket, Some(std::time::Duration::ZERO)).is_ok();
        }
    }
    is_set
}

#[cfg(not(target_os = "linux"))]
fn set(_: &HashSet<String>, _: &[SocketAddr]) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::clock::monotonic;
    use rustix::net::sockopt::socket_linger;
    use std::{
        net::{TcpListener, TcpStream},
        time::Duration,
    };

    #[tokio::test]
    async fn only_new_sockets_to_the_server_are_set() {
        let connected = |to: &TcpListener| TcpStream::connect(to.local_addr().unwrap()).unwrap();
        let options = |of: &TcpStream| (of.nodelay().unwrap(), socket_linger(of).unwrap());
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let other_port = TcpListener::bind("127.0.0.1:0").unwrap();
        let other_host = TcpListener::bind(("127.0.0.2", port)).unwrap();
        let earlier = connected(&server);
        let sockets = Sockets::new(&format!("localhost:{port}"));
        let before = sockets.before();
        let ours = connected(&server);
        let others = [earlier, connected(&other_port), connected(&other_host)];
        sockets.set(&before, monotonic() + Duration::from_secs(5)).await;
        for other in &others {
            assert_eq!(options(other), (false, None), "{other:?}");
        }
        // Where the system refuses, none is set.
        assert_eq!(
            options(&ours),
            if sockets.stall() { (false, None) } else { (true, Some(Duration::ZERO)) }
        );
    }

    #[tokio::test]
    async fn a_socket_that_is_not_found_stalls() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets = Sockets::new("127.0.0.1:1");
        let before = sockets.before();
        let _other = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        sockets.set(&before, monotonic() + Duration::from_secs(5)).await;
        assert!(sockets.stall());
    }

    #[test]
    fn an_address_is_the_same_over_a_socket_of_ipv6() {
        let peer = "[::ffff:127.0.0.1]:7687".parse().unwrap();
        assert!(is_any(peer, &["127.0.0.1:7687".parse().unwrap()]));
        assert!(!is_any(peer, &["127.0.0.1:7688".parse().unwrap(), "127.0.0.2:7687".parse().unwrap()]));
    }
}
