//! The door: accepts from one listener, seats each connection and has it driven; says no when the house is full or descriptors
//! have run out, without spinning and without sleeping. It must not know when to stop, only how.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use nix::errno::Errno;
use tokio::sync::Semaphore;

use super::capacity::Places;
use super::emfile_reserve::{Spare, Turned};
use super::listener::{Listener, Stream};
use crate::http::Problem;
use crate::scoreboard::Counter;
use crate::worker::connection::connections::Connections;
use crate::worker::connection::drive::{Protocols, drive};
use crate::worker::connection::finish::linger;
use crate::worker::request::edge::Edge;

/// Accepted in one go, before the connections that are there get their turn.
const BATCH: usize = 16;
/// An accept that failed is tried again after this at the latest, and complained about no more often.
const PATIENCE: Duration = Duration::from_secs(1);

/// What every door of a worker shares.
pub(in crate::worker) struct House {
    pub(in crate::worker) connections: Arc<Connections>,
    edge: Arc<Edge>,
    protocols: Protocols,
    seats: usize,
    no_room: Vec<u8>,
    lingering: Arc<Semaphore>,
}

impl House {
    /// To be called when the application has booted: what it has open by then counts.
    pub(in crate::worker) fn new(edge: Arc<Edge>, connections: Arc<Connections>) -> House {
        let protocols = Protocols::new(&edge.worker.settings().http);
        let Places { seats, lingering } = Places::count(&edge.worker);
        House {
            connections,
            edge,
            protocols,
            seats,
            no_room: no_room(seats).to_http1(),
            lingering: Arc::new(Semaphore::new(lingering)),
        }
    }

    /// Seats a connection, or tells it that there is no room.
    fn admit(&self, stream: Stream) {
        let counters = self.edge.worker.board().counters();
        counters.add(Counter::Accepted);
        match self.connections.register(stream.peer, self.seats) {
            Some(seat) => {
                let (connections, edge) = (Arc::clone(&self.connections), Arc::clone(&self.edge));
                tokio::spawn(drive(self.protocols.clone(), stream, seat, connections, edge));
            }
            None => self.refuse(stream),
        }
    }

    /// Tells a client that will be closed at once. One that does not take its answer at once does not get it.
    fn turn_away(&self, stream: &Stream) {
        let counters = self.edge.worker.board().counters();
        counters.add(Counter::Accepted);
        counters.add(Counter::Refused);
        let _written = stream.write_now(&self.no_room);
    }

    fn refuse(&self, stream: Stream) {
        self.edge.worker.board().counters().add(Counter::Refused);
        // The send buffer of a new connection is empty and takes the whole answer, unless the client is gone already.
        if stream.write_now(&self.no_room).is_ok()
            && let Ok(place) = Arc::clone(&self.lingering).try_acquire_owned()
        {
            tokio::spawn(async move {
                linger(stream).await;
                drop(place);
            });
        }
    }
}

/// One listener's door.
pub(in crate::worker) struct Door {
    listener: Listener,
    house: Arc<House>,
    spare: Spare,
    complained: Option<Instant>,
}

impl Door {
    pub(in crate::worker) fn new(listener: Listener, house: Arc<House>) -> Door {
        Door {
            listener,
            house,
            spare: Spare::new(),
            complained: None,
        }
    }

    /// Accepts until `stop` ends, then everything that is in the queue by then, and closes.
    pub(in crate::worker) async fn keep(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut accepted = 0_usize;
        loop {
            let next = tokio::select! {
                biased;
                () = &mut stop => break,
                next = self.listener.accept() => next,
            };
            match next {
                Ok(stream) => self.house.admit(stream),
                Err(error) => tokio::select! {
                    biased;
                    () = &mut stop => break,
                    () = self.recover(&error) => {}
                },
            }
            accepted += 1;
            if accepted.is_multiple_of(BATCH) {
                tokio::task::yield_now().await;
            }
        }
        self.empty();
    }

    /// Admits whoever is in the queue.
    fn empty(&mut self) {
        loop {
            match self.listener.accept_now() {
                Ok(Some(stream)) => self.house.admit(stream),
                Ok(None) => return,
                Err(error) if is_about_one_connection(&error) => {}
                Err(error)
                    if is_out_of_descriptors(&error)
                        && self
                            .spare
                            .turn_one_away(&self.listener, |stream| self.house.turn_away(stream))
                            == Turned::Away => {}
                Err(error) => return self.complain(&error),
            }
        }
    }

    /// After a failed accept: returns when it is worth trying again.
    async fn recover(&mut self, error: &io::Error) {
        if is_about_one_connection(error) {
            return;
        }
        self.complain(error);
        if is_out_of_descriptors(error) {
            // The kernel says so even when nobody waits, so whether somebody does is asked with the spare descriptor.
            let readiness = self.listener.readiness().await;
            match self
                .spare
                .turn_one_away(&self.listener, |stream| self.house.turn_away(stream))
            {
                Turned::Away => return tokio::task::yield_now().await,
                Turned::NobodyThere => return self.listener.forget(readiness),
                Turned::Unable => {}
            }
        }
        // What is short comes back when a connection ends; or, when others had taken it, some time: it is looked at again.
        let _closed = tokio::time::timeout(PATIENCE, self.house.connections.one_closed()).await;
    }

    /// Says what is wrong, at most once a second.
    fn complain(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self
            .complained
            .is_none_or(|before| now.duration_since(before) >= PATIENCE)
        {
            self.complained = Some(now);
            tracing::warn!(%error, open = self.house.connections.count(), "a connection could not be accepted");
        }
    }
}

/// The client was gone before it was accepted, or a signal came: nothing is wrong with the listener.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::ECONNABORTED | Errno::EINTR | Errno::EPROTO | Errno::EPERM | Errno::ENOTCONN)
    )
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EMFILE | Errno::ENFILE)
    )
}

fn no_room(limit: usize) -> Problem {
    let detail = format!("this worker serves as many connections as it may ({limit})");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_connections", detail).retry_after(1)
}
