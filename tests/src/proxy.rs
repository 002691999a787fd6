//! A door between a store and its Neo4j server that fails as networks do. Open the store by [`Proxy::url`], choose what
//! happens with [`Proxy::set`].
#![allow(clippy::unwrap_used, reason = "for tests: what fails here fails the run")]

use std::{
    io::Result,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use url::Url;

/// How many bytes of its answers the server sends before those to a statement.
pub const RESET_ANSWER: usize = 7;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the store to the server.
    Up,
    Down,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Everything passes.
    None,
    /// Open connections are reset, new ones too.
    Reset,
    /// Nothing arrives any more, and nobody is told. A connection that lost something never recovers; later ones do.
    Swallow,
    /// The server gets what it is sent, and after so many more bytes its answers do not arrive. Otherwise as `Swallow`.
    /// The driver begins each exchange with a RESET, whose answer is [`RESET_ANSWER`].
    NoAnswers(usize),
    /// Whatever is sent arrives when the fault ends.
    Stall,
    /// After so many more bytes that way the connection is reset. Then everything passes again.
    Cut(Way, usize),
}

#[derive(Debug)]
pub struct Proxy {
    url: String,
    fault: Arc<watch::Sender<Fault>>,
    connections: Arc<AtomicUsize>,
    forgotten: Arc<AtomicUsize>,
}

impl Proxy {
    /// Before the server of this URL, for as long as the runtime lives.
    pub async fn before(server: &str) -> Proxy {
        let mut url = Url::parse(server).unwrap();
        let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(7687));
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(door.local_addr().unwrap().port())).unwrap();
        let proxy = Proxy {
            url: url.to_string(),
            fault: Arc::new(watch::Sender::new(Fault::None)),
            connections: Arc::default(),
            forgotten: Arc::default(),
        };
        let Proxy { fault, connections, forgotten, .. } = &proxy;
        let (fault, connections, forgotten) = (fault.clone(), connections.clone(), forgotten.clone());
        tokio::spawn(async move {
            while let Ok((store, _)) = door.accept().await {
                let carried = Carried {
                    number: connections.fetch_add(1, Ordering::SeqCst),
                    forgotten: forgotten.clone(),
                    lost: [false; 2],
                };
                tokio::spawn(carry(store, address.clone(), fault.clone(), carried));
            }
        });
        proxy
    }

    /// The same database, through the door.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on, also for the connections that are open.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// As a firewall does with what was silent too long: nothing arrives any more over the connections that are open.
    pub fn forget(&self) {
        self.forgotten.store(self.connections(), Ordering::SeqCst);
    }

    /// How many were made so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// One connection.
struct Carried {
    number: usize,
    forgotten: Arc<AtomicUsize>,
    /// Whether bytes of that way did not arrive, so that none may that come after them.
    lost: [bool; 2],
}

/// Carries one connection's bytes to its end.
async fn carry(
    mut store: TcpStream,
    address: String,
    fault: Arc<watch::Sender<Fault>>,
    mut carried: Carried,
) {
    let mut news = fault.subscribe();
    let Ok(mut server) = TcpStream::connect(address).await else { return reset(&[&store]) };
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    loop {
        let read = tokio::select! {
            read = store.read(&mut up) => read.map(|n| (Way::Up, n)),
            read = server.read(&mut down) => read.map(|n| (Way::Down, n)),
            _ = news.changed() => match *news.borrow_and_update() {
                Fault::Reset => Err(std::io::ErrorKind::ConnectionReset.into()),
                _ => continue,
            },
        };
        let Ok((way, count @ 1..)) = read else {
            // Nor does anybody hear of its end.
            if carried.lost.contains(&true) {
                news.wait_for(|fault| !matches!(fault, Fault::Swallow | Fault::NoAnswers(_))).await.ok();
            }
            return reset(&[&store, &server]);
        };
        let (bytes, to) = match way {
            Way::Up => (&up[..count], &mut server),
            Way::Down => (&down[..count], &mut store),
        };
        if !carried.pass(bytes, way, to, &fault).await.unwrap_or(false) {
            return reset(&[&store, &server]);
        }
    }
}

impl Carried {
    /// Whether the connection goes on.
    async fn pass(
        &mut self,
        bytes: &[u8],
        way: Way,
        to: &mut TcpStream,
        faults: &watch::Sender<Fault>,
    ) -> Result<bool> {
        let fault = *faults.subscribe().wait_for(|fault| *fault != Fault::Stall).await.unwrap();
        let lost = &mut self.lost[way as usize];
        *lost |= fault == Fault::Swallow
            || (matches!(fault, Fault::NoAnswers(left) if left < bytes.len()) && way == Way::Down)
            || self.number < self.forgotten.load(Ordering::SeqCst);
        match fault {
            Fault::Reset => return Ok(false),
            _ if *lost => {}
            Fault::Cut(cut, left) if cut == way && left <= bytes.len() => {
                faults.send_replace(Fault::None);
                to.write_all(&bytes[..left]).await?;
                return Ok(false);
            }
            Fault::Cut(cut, left) if cut == way => {
                faults.send_replace(Fault::Cut(way, left - bytes.len()));
                to.write_all(bytes).await?;
            }
            Fault::NoAnswers(left) if way == Way::Down => {
                faults.send_replace(Fault::NoAnswers(left - bytes.len()));
                to.write_all(bytes).await?;
            }
            _ => to.write_all(bytes).await?,
        }
        Ok(true)
    }
}

/// They end with a reset instead of in peace when they are dropped.
fn reset(connections: &[&TcpStream]) {
    for connection in connections {
        connection.set_zero_linger().ok();
    }
}
