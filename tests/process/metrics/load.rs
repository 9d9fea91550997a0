//! Clients that send one request after the other and count what they get, and somebody who scrapes all the
//! while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

use crate::common::{Answer, Cluster, Scrape, client};

/// What the clients of a load counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// Answered 200.
    pub(crate) answered: f64,
    /// Sent, perhaps; without an answer.
    pub(crate) failed: f64,
}

/// What a scraper saw.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub(crate) scrapes: usize,
    pub(crate) failed: Vec<String>,
    pub(crate) fallen: Vec<String>,
}

/// Clients and a scraper at work.
pub(crate) struct Load {
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Counted>>,
    watcher: JoinHandle<Watched>,
}

impl Load {
    /// Four clients of that path, each request on a connection of its own.
    pub(crate) fn begin(cluster: &Cluster, admin: SocketAddr, path: &str) -> Load {
        let over = Arc::new(AtomicBool::new(false));
        let url = cluster.url(path);
        let clients = (0..4).map(|_| {
            let (over, url) = (Arc::clone(&over), url.clone());
            std::thread::spawn(move || send(&url, &over))
        });
        let clients = clients.collect();
        let until = Arc::clone(&over);
        Load {
            over,
            clients,
            watcher: std::thread::spawn(move || watch(admin, &until)),
        }
    }

    /// Ends it.
    pub(crate) fn end(self) -> (Counted, Watched) {
        self.over.store(true, Relaxed);
        let clients = self
            .clients
            .into_iter()
            .map(|client| client.join().expect("a client"));
        let counted = clients.fold(Counted::default(), |sum, one| Counted {
            answered: sum.answered + one.answered,
            failed: sum.failed + one.failed,
        });
        (counted, self.watcher.join().expect("the watcher"))
    }
}

fn send(url: &str, over: &AtomicBool) -> Counted {
    let (mut counted, client) = (Counted::default(), client());
    while !over.load(Relaxed) {
        match Answer::try_of(client.get(url).call()) {
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{answer:?}");
                counted.answered += 1.0;
            }
            Err(_) => counted.failed += 1.0,
        }
    }
    counted
}

/// One scrape after the other: what only grows must not fall.
fn watch(admin: SocketAddr, over: &AtomicBool) -> Watched {
    let (mut watched, mut before) = (Watched::default(), Scrape::default());
    while !over.load(Relaxed) {
        match Scrape::try_of(admin) {
            Ok(scrape) => {
                watched.fallen.extend(scrape.fallen_since(&before));
                watched.scrapes += 1;
                before = scrape;
            }
            Err(error) => watched.failed.push(error),
        }
    }
    watched
}
