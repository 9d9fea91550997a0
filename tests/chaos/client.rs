//! The load: an open loop, that is, requests are due at a fixed rate whatever becomes of those before them,
//! and a late one counts as late. One thread, one runtime. It must not know what is done to the server
//! meanwhile.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

use super::answer::Answer;
use super::request_log::{End, Request, RequestLog};
use super::streams::Streams;

/// A request that took longer counts as lost. More than the time until a hung worker is killed.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15);
/// Connections of a keep-alive load.
const LANES: usize = 32;
/// Connections of an HTTP/2 load.
const CONNECTIONS: usize = 8;
/// Requests on their way at once, of a load that does not wait for a connection to be free.
const MOST: usize = 8192;

/// How connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One for each request, which says so (`Connection: close`).
    New,
    /// 32 that are kept until the server says otherwise.
    KeepAlive,
    /// 8 of HTTP/2, with many requests side by side on each, until the server says GOAWAY.
    Http2,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::New => "new connections",
            Kind::KeepAlive => "keep-alive",
            Kind::Http2 => "HTTP/2",
        })
    }
}

/// One request as it is sent: the path with its method, and the body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) body: &'static str,
}

impl Call {
    fn bytes(self, kind: Kind) -> Vec<u8> {
        let Call { method, path, body } = self;
        let close = if kind == Kind::New {
            "Connection: close\r\n"
        } else {
            ""
        };
        let content = if method == "POST" {
            format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            )
        } else {
            String::new()
        };
        format!("{method} {path} HTTP/1.1\r\nHost: chaos\r\n{close}{content}\r\n{body}").into_bytes()
    }
}

/// A load as it is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) kind: Kind,
    /// Requests per second.
    pub(crate) rate: u32,
    /// Sent in turn.
    pub(crate) calls: Vec<Call>,
}

/// A load that runs.
#[derive(Debug)]
pub(crate) struct Running {
    over: Arc<AtomicBool>,
    thread: JoinHandle<RequestLog>,
}

impl Load {
    pub(crate) fn start(self) -> Running {
        let over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            LocalSet::new().block_on(&runtime, self.run(&flag))
        });
        Running { over, thread }
    }

    async fn run(self, over: &AtomicBool) -> RequestLog {
        let calls: Calls = Rc::new(self.calls.iter().map(|call| call.bytes(self.kind)).collect());
        let (done, mut ends) = mpsc::unbounded_channel();
        let sender = async move {
            match self.kind {
                Kind::New => self.each_on_its_own(over, &calls, &done).await,
                Kind::KeepAlive => self.over_lanes(over, &calls, &done).await,
                Kind::Http2 => self.over_streams(over, &done).await,
            }
        };
        let mut log = RequestLog::default();
        let gather = async {
            while let Some(request) = ends.recv().await {
                log.requests.push(request);
            }
        };
        tokio::join!(sender, gather);
        log
    }

    async fn each_on_its_own(&self, over: &AtomicBool, calls: &Calls, done: &Done) {
        self.side_by_side(over, done, |number| {
            let (calls, address) = (Rc::clone(calls), self.address);
            async move { Lane::new(address).ask(&calls[number % calls.len()]).await }
        })
        .await;
    }

    /// Each request is asked for when it is due, whatever became of those before it, unless too many are
    /// still on their way.
    async fn side_by_side<A>(&self, over: &AtomicBool, done: &Done, ask: impl Fn(usize) -> A)
    where
        A: Future<Output = Asked> + 'static,
    {
        let mut running = JoinSet::new();
        let mut pace = Pace::new(self.rate);
        while let Some((number, due)) = pace.next(over).await {
            if running.len() >= MOST {
                tell(done, due, Asked::UNSENT);
                continue;
            }
            let (asked, done) = (ask(number), done.clone());
            running.spawn_local(async move { tell(&done, due, asked.await) });
            while running.try_join_next().is_some() {}
        }
        running.join_all().await;
    }

    async fn over_lanes(&self, over: &AtomicBool, calls: &Calls, done: &Done) {
        let mut tasks = JoinSet::new();
        let lanes: Vec<_> = (0..LANES)
            .map(|_| {
                let (sender, mut wanted) = mpsc::unbounded_channel::<(usize, Instant)>();
                let (calls, done, address) = (Rc::clone(calls), done.clone(), self.address);
                tasks.spawn_local(async move {
                    let mut lane = Lane::new(address);
                    while let Some((number, due)) = wanted.recv().await {
                        let asked = lane.ask(&calls[number % calls.len()]).await;
                        tell(&done, due, asked);
                    }
                });
                sender
            })
            .collect();
        let mut pace = Pace::new(self.rate);
        while let Some((number, due)) = pace.next(over).await {
            let lane = &lanes[number % LANES];
            lane.send((number, due))
                .expect("a lane lives until nothing more can come");
        }
        drop(lanes);
        tasks.join_all().await;
    }

    async fn over_streams(&self, over: &AtomicBool, done: &Done) {
        let lanes: Vec<_> = (0..CONNECTIONS)
            .map(|_| Rc::new(Streams::new(self.address)))
            .collect();
        self.side_by_side(over, done, |number| {
            let lane = Rc::clone(&lanes[number % CONNECTIONS]);
            let call = self.calls[number % self.calls.len()];
            async move { lane.ask(call).await }
        })
        .await;
    }
}

impl Running {
    /// Sends no more, and waits for what is on its way.
    pub(crate) fn finish(self) -> RequestLog {
        self.over.store(true, Relaxed);
        self.thread.join().expect("the client does not panic")
    }
}

/// The requests of an HTTP/1.1 load as they are sent, in turn.
type Calls = Rc<Vec<Vec<u8>>>;
type Done = mpsc::UnboundedSender<Request>;

/// What became of one request, and on which connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) end: End,
    pub(crate) from: Option<SocketAddr>,
    pub(crate) again: usize,
}

impl Asked {
    const UNSENT: Asked = Asked {
        end: End::Unsent,
        from: None,
        again: 0,
    };
}

fn tell(done: &Done, due: Instant, Asked { end, from, again }: Asked) {
    let request = Request {
        due,
        over: Instant::now(),
        end,
        from,
        again,
    };
    done.send(request).expect("somebody gathers until all have told");
}

/// When each request is due.
struct Pace {
    start: Instant,
    gap: Duration,
    next: u32,
}

impl Pace {
    fn new(rate: u32) -> Pace {
        Pace {
            start: Instant::now(),
            gap: Duration::from_secs(1) / rate,
            next: 0,
        }
    }

    /// The next request, when its time has come.
    async fn next(&mut self, over: &AtomicBool) -> Option<(usize, Instant)> {
        let due = self.start + self.gap * self.next;
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        } else if self.next.is_multiple_of(16) {
            tokio::task::yield_now().await;
        }
        self.next += 1;
        (!over.load(Relaxed)).then_some((self.next as usize, due))
    }
}

/// One connection at a time, and another when the server has said that it closes.
struct Lane {
    address: SocketAddr,
    stream: Option<TcpStream>,
    used: bool,
    from: Option<SocketAddr>,
    buffer: Vec<u8>,
}

impl Lane {
    fn new(address: SocketAddr) -> Lane {
        Lane {
            address,
            stream: None,
            used: false,
            from: None,
            buffer: Vec::with_capacity(2048),
        }
    }

    /// Sends a request and reads its answer.
    async fn ask(&mut self, request: &[u8]) -> Asked {
        let end = match tokio::time::timeout(TIMEOUT, self.exchange(request)).await {
            Ok(Ok((status, keeps))) => {
                self.used = true;
                if !keeps {
                    self.stream = None;
                }
                End::of(status)
            }
            Ok(Err(end)) => {
                self.stream = None;
                end
            }
            Err(_late) => {
                self.stream = None;
                End::TimedOut
            }
        };
        Asked {
            end,
            from: self.from,
            again: 0,
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<(u16, bool), End> {
        if self.stream.is_none() {
            self.used = false;
            let stream = connect(self.address).await?;
            self.from = stream.local_addr().ok();
            self.stream = Some(stream);
        }
        let broken = if self.used {
            End::ResetReused
        } else {
            End::ResetNew
        };
        let stream = self.stream.as_mut().expect("it was just connected");
        stream.write_all(request).await.map_err(|_| broken)?;
        self.buffer.clear();
        loop {
            if let Some(answer) = Answer::read(&self.buffer).map_err(|_| End::Cut)?
                && self.buffer.len() >= answer.length
            {
                let closes = answer.closes || self.buffer.len() > answer.length;
                return Ok((answer.status, !closes));
            }
            let read = stream.read_buf(&mut self.buffer).await;
            if !matches!(read, Ok(1..)) {
                return Err(if self.buffer.is_empty() { broken } else { End::Cut });
            }
        }
    }
}

pub(crate) async fn connect(address: SocketAddr) -> Result<TcpStream, End> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => End::Refused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => End::ResetNew,
            _other => End::Unsent,
        })?;
    // Small writes are to leave at once; a socket without the option is merely slower.
    let _slower = stream.set_nodelay(true);
    Ok(stream)
}
