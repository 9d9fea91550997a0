//! Accepts connections from one listener, registers each and has it driven. When the worker has as many
//! connections as it may have, or descriptors have run out, clients are answered 503, without spinning and
//! without sleeping. It must not know when to stop, only how.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use nix::errno::Errno;
use tokio::sync::Semaphore;

use super::capacity::Capacity;
use super::emfile_reserve::{EmfileReserve, Refusal};
use super::listener::{Listener, Stream};
use crate::config::ListenerRole;
use crate::http::Problem;
use crate::scoreboard::Counter;
use crate::worker::connection::connections::Connections;
use crate::worker::connection::drive::{Protocols, drive};
use crate::worker::connection::finish::linger;
use crate::worker::request::edge::Edge;

/// This number of connections is accepted in one go, before those that are open get their turn.
const BATCH: usize = 16;
/// The longest pause before a failed accept is tried again, and the shortest between two log lines about it.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// What all acceptors of a worker share.
pub(in crate::worker) struct AcceptContext {
    pub(in crate::worker) connections: Arc<Connections>,
    edge: Arc<Edge>,
    protocols: Protocols,
    max_connections: usize,
    /// The bytes of the answer to a client for which there is no room.
    refusal: Vec<u8>,
    /// Permits of refused connections that are kept half-open, so that the 503 arrives.
    lingering: Arc<Semaphore>,
}

impl AcceptContext {
    /// To be called when the application has booted: the descriptors that are open by then are counted.
    pub(in crate::worker) fn new(edge: Arc<Edge>, connections: Arc<Connections>) -> AcceptContext {
        let protocols = Protocols::new(&edge.worker.settings().http, edge.has_services());
        let Capacity {
            connections: max_connections,
            lingering,
        } = Capacity::of(&edge.worker);
        AcceptContext {
            connections,
            edge,
            protocols,
            max_connections,
            refusal: too_many_connections(max_connections).to_http1(),
            lingering: Arc::new(Semaphore::new(lingering)),
        }
    }

    /// Has a connection driven, or tells the client that there is no room.
    fn admit(&self, stream: Stream, role: ListenerRole) {
        let counters = self.edge.worker.board().counters();
        counters.add(Counter::Accepted);
        match self.connections.register(stream.peer, role, self.max_connections) {
            Some(guard) => {
                let (connections, edge) = (Arc::clone(&self.connections), Arc::clone(&self.edge));
                tokio::spawn(drive(self.protocols.clone(), stream, guard, connections, edge));
            }
            None => self.refuse(stream),
        }
    }

    /// Answers 503 on a connection that is closed at once. A client that does not take the answer at once
    /// does not get it.
    fn refuse_at_once(&self, stream: &Stream) {
        let counters = self.edge.worker.board().counters();
        counters.add(Counter::Accepted);
        counters.add(Counter::Refused);
        let _written = stream.write_now(&self.refusal);
    }

    fn refuse(&self, stream: Stream) {
        self.edge.worker.board().counters().add(Counter::Refused);
        // The send buffer of a new connection is empty and takes the whole answer, unless the client is gone
        // already.
        if stream.write_now(&self.refusal).is_ok()
            && let Ok(permit) = Arc::clone(&self.lingering).try_acquire_owned()
        {
            tokio::spawn(async move {
                linger(stream).await;
                drop(permit);
            });
        }
    }
}

/// Accepts from one listener.
pub(in crate::worker) struct Acceptor {
    listener: Listener,
    role: ListenerRole,
    context: Arc<AcceptContext>,
    reserve: EmfileReserve,
    logged: Option<Instant>,
}

impl Acceptor {
    pub(in crate::worker) fn new(listener: Listener, context: Arc<AcceptContext>) -> Acceptor {
        let cluster = &context.edge.worker.settings().cluster;
        let role = listener
            .address()
            .map_or(ListenerRole::Public, |bound| cluster.role_of(&bound));
        Acceptor {
            listener,
            role,
            context,
            reserve: EmfileReserve::new(),
            logged: None,
        }
    }

    /// Accepts until `stop` ends, then everything that is in the queue by then, and closes the listener.
    pub(in crate::worker) async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut accepted = 0_usize;
        loop {
            let next = tokio::select! {
                biased;
                () = &mut stop => break,
                next = self.listener.accept() => next,
            };
            match next {
                Ok(stream) => self.context.admit(stream, self.role),
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
        self.empty_queue();
    }

    /// Admits the connections that are in the queue.
    fn empty_queue(&mut self) {
        loop {
            match self.listener.accept_now() {
                Ok(Some(stream)) => self.context.admit(stream, self.role),
                Ok(None) => return,
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) if is_out_of_descriptors(&error) && self.refuse_one() == Refusal::Refused => {}
                Err(error) => return self.log(&error),
            }
        }
    }

    /// Refuses the first connection in the queue with the descriptor in reserve.
    fn refuse_one(&mut self) -> Refusal {
        self.reserve
            .refuse_one(&self.listener, |stream| self.context.refuse_at_once(stream))
    }

    /// After a failed accept: returns when it is worth trying again.
    async fn recover(&mut self, error: &io::Error) {
        if is_about_one_connection(error) {
            return;
        }
        self.log(error);
        if is_out_of_descriptors(error) {
            // The kernel says so even when the queue is empty, so the descriptor in reserve is used to find
            // out.
            let readiness = self.listener.readiness().await;
            let refusal = self
                .reserve
                .refuse_one(&self.listener, |stream| self.context.refuse_at_once(stream));
            match refusal {
                Refusal::Refused => return tokio::task::yield_now().await,
                Refusal::QueueIsEmpty => return self.listener.forget(readiness),
                Refusal::NoDescriptor => {}
            }
        }
        // What is short comes back when a connection ends. When other parts of the program had taken it, it
        // comes back at some time, so it is looked for again.
        let _closed = tokio::time::timeout(ACCEPT_RETRY, self.context.connections.one_closed()).await;
    }

    /// Logs a failed accept, at most once in [`ACCEPT_RETRY`].
    fn log(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self
            .logged
            .is_none_or(|before| now.duration_since(before) >= ACCEPT_RETRY)
        {
            self.logged = Some(now);
            let open = self.context.connections.count();
            tracing::warn!(%error, open, "a connection could not be accepted");
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

fn too_many_connections(limit: usize) -> Problem {
    let detail = format!("this worker serves as many connections as it may ({limit})");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_connections", detail).retry_after(1)
}
