//! The writer: takes the calls that wait, makes them in one transaction, and answers when that is committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_postgres::Row;

use super::call::{Again, Call};
use super::connect::{Link, named};
use super::failure::PostgresFailure;
use super::flight::{FlightEnd, Numbered, fly};
use super::options::{PostgresOptions, WriterIdentity};
use super::target::PostgresTarget;

/// Calls of one transaction at most.
const AT_ONCE: usize = 128;
/// How often a transaction that others were in the way of is tried again.
const TRIES: u32 = 8;
/// A server that was not reached is asked again after this, and calls that come before are refused.
const RECONNECT: Duration = Duration::from_millis(100);
/// Between two questions what became of a lost `COMMIT`.
const SETTLE_AGAIN: Duration = Duration::from_millis(50);

/// A call with whom to answer.
pub(super) struct Job {
    pub(super) call: Call,
    pub(super) reply: oneshot::Sender<Result<Vec<Row>, PostgresFailure>>,
}

/// How the server was when it was last asked.
pub(super) type Health = Option<PostgresFailure>;

/// What a writer has, besides its connection.
pub(super) struct Writer {
    target: PostgresTarget,
    options: PostgresOptions,
    jobs: mpsc::UnboundedReceiver<Job>,
    waiting: Arc<AtomicU64>,
    health: watch::Sender<Health>,
    commits: Arc<AtomicU64>,
    id: i64,
    number: i64,
    link: Option<Link>,
    failed_at: Option<Instant>,
}

/// What others share with a writer.
#[derive(Clone)]
pub(super) struct WriterHandle {
    pub(super) jobs: mpsc::UnboundedSender<Job>,
    pub(super) waiting: Arc<AtomicU64>,
    pub(super) health: watch::Receiver<Health>,
    pub(super) commits: Arc<AtomicU64>,
}

impl Writer {
    /// Registers the writer and begins to write. To be called inside the runtime.
    pub(super) async fn start(
        link: Link,
        target: PostgresTarget,
        identity: WriterIdentity,
        options: PostgresOptions,
    ) -> Result<WriterHandle, PostgresFailure> {
        let id = (fastrand::u64(1..) >> 1).cast_signed();
        register(&link, id, identity)
            .await
            .map_err(|failure| named(failure, &target))?;
        let (sender, jobs) = mpsc::unbounded_channel();
        let (health, healthy) = watch::channel(None);
        let (waiting, commits) = (Arc::default(), Arc::default());
        let handle = WriterHandle {
            jobs: sender,
            waiting: Arc::clone(&waiting),
            health: healthy,
            commits: Arc::clone(&commits),
        };
        let writer = Writer {
            target,
            options,
            jobs,
            waiting,
            health,
            commits,
            id,
            number: 0,
            link: Some(link),
            failed_at: None,
        };
        tokio::spawn(writer.run());
        Ok(handle)
    }

    async fn run(mut self) {
        let mut batch = Vec::with_capacity(AT_ONCE);
        while let Some(first) = self.jobs.recv().await {
            batch.push(first);
            // Whoever is about to ask does so in this turn.
            tokio::task::yield_now().await;
            while batch.len() < AT_ONCE
                && let Ok(job) = self.jobs.try_recv()
            {
                batch.push(job);
            }
            let many = batch.len() as u64;
            self.write(&mut batch).await;
            self.waiting.fetch_sub(many, Ordering::Relaxed);
        }
    }

    /// Writes these calls together; those of which one does not fit with the others each by itself.
    async fn write(&mut self, batch: &mut Vec<Job>) {
        let failure = match self.transact(batch).await {
            Ok(rows) => return self.answer(batch, rows),
            Err(failure) => failure,
        };
        let concerns_all = matches!(
            failure,
            PostgresFailure::Unreachable(_)
                | PostgresFailure::Refusing(_)
                | PostgresFailure::Fenced
                | PostgresFailure::Unknown(_)
        );
        if batch.len() == 1 || concerns_all {
            for job in batch.drain(..) {
                drop(job.reply.send(Err(failure.clone())));
            }
            return;
        }
        for job in batch.drain(..) {
            let mut alone = vec![job];
            match self.transact(&alone).await {
                Ok(rows) => self.answer(&mut alone, rows),
                Err(failure) => alone
                    .into_iter()
                    .for_each(|job| drop(job.reply.send(Err(failure.clone())))),
            }
        }
    }

    fn answer(&self, batch: &mut Vec<Job>, rows: Vec<Result<Vec<Row>, PostgresFailure>>) {
        if batch.iter().any(|job| job.call.signals) {
            (self.options.on_signal)();
        }
        for (job, rows) in batch.drain(..).zip(rows) {
            // The caller may have gone; the write stands all the same.
            drop(job.reply.send(rows));
        }
    }

    /// Makes the calls in one transaction; the rows of each once it is committed.
    async fn transact(
        &mut self,
        jobs: &[Job],
    ) -> Result<Vec<Result<Vec<Row>, PostgresFailure>>, PostgresFailure> {
        let calls: Vec<&Call> = jobs.iter().map(|job| &job.call).collect();
        let mut tries = 0;
        loop {
            let link = self.link().await?;
            let numbered = Numbered {
                writer: self.id,
                before: self.number,
                number: self.number + 1,
            };
            let end = fly(&link, &calls, numbered).await;
            match end {
                FlightEnd::Committed(rows) => {
                    self.committed(numbered);
                    self.link = Some(link);
                    return Ok(rows.into_iter().map(Ok).collect());
                }
                FlightEnd::RolledBack(failure) if failure.is_conflict() && tries < TRIES => {
                    self.link = Some(link);
                    tries += 1;
                    // Those who wait for each other must not try again at the same time.
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..1 << tries))).await;
                }
                FlightEnd::RolledBack(failure) if failure.ends_connection() => {
                    return Err(self.failed(failure));
                }
                FlightEnd::RolledBack(failure) => {
                    // A connection with an unfinished transaction is none to go on with.
                    self.link = (!link.is_closed()).then_some(link);
                    return Err(named(failure, &self.target));
                }
                FlightEnd::Lost { rows, reason } => {
                    drop(link);
                    match self.settled(numbered, &reason).await? {
                        true if rows.is_some() => return Ok(rows.into_iter().flatten().map(Ok).collect()),
                        true => return Ok(self.found_again(&calls).await),
                        // Nothing was written, and nothing will be: the same once more.
                        false if tries < TRIES => tries += 1,
                        false => return Err(named(PostgresFailure::Unreachable(reason), &self.target)),
                    }
                }
            }
        }
    }

    /// Whether a transaction was committed whose end was not heard. If not, it never will be. A server that
    /// is away is waited for: nobody else can say it. What is asked meanwhile is refused with the reason.
    async fn settled(&mut self, numbered: Numbered, reason: &str) -> Result<bool, PostgresFailure> {
        self.failed(PostgresFailure::Unreachable(reason.to_owned()));
        let was_committed = loop {
            match self.ask_for_end(numbered).await {
                Ok(end) => break end,
                Err(failure @ PostgresFailure::Unusable(_)) => {
                    let told = format!(
                        "{}: the end of a transaction was not heard ({reason}), and cannot be asked for \
                         ({failure})",
                        self.target.shown()
                    );
                    (self.options.on_poison)(told.clone());
                    return Err(PostgresFailure::Unknown(told));
                }
                Err(failure) => {
                    let why = self.failed(failure);
                    self.refuse_for(SETTLE_AGAIN, &why).await;
                }
            }
        };
        // Raised in either case.
        self.number = numbered.number;
        match was_committed {
            None => Err(PostgresFailure::Fenced),
            Some(true) => {
                self.committed(numbered);
                Ok(true)
            }
            Some(false) => Ok(false),
        }
    }

    /// Refuses what is asked in that time, so that nobody waits for a server that is away.
    async fn refuse_for(&mut self, pause: Duration, why: &PostgresFailure) {
        let until = Instant::now() + pause;
        while let Ok(Some(job)) = tokio::time::timeout_at(until, self.jobs.recv()).await {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            drop(job.reply.send(Err(why.clone())));
        }
        // Nobody asks any more.
        tokio::time::sleep_until(until).await;
    }

    async fn ask_for_end(&mut self, numbered: Numbered) -> Result<Option<bool>, PostgresFailure> {
        let link = self.open_link().await?;
        let settle = Call::new("SELECT settle_1($1, $2, $3)")
            .bind(numbered.writer)
            .bind(numbered.before)
            .bind(numbered.number);
        let rows = link.query(settle.sql, &settle.parameters).await?;
        self.link = Some(link);
        let end = rows.first().map(|row| row.try_get(0)).transpose()?;
        Ok(end.flatten())
    }

    /// The answers of calls that were committed, and whose answers are lost.
    async fn found_again(&mut self, calls: &[&Call]) -> Vec<Result<Vec<Row>, PostgresFailure>> {
        let mut answers = Vec::with_capacity(calls.len());
        for call in calls {
            answers.push(self.find_again(call).await);
        }
        answers
    }

    async fn find_again(&mut self, call: &Call) -> Result<Vec<Row>, PostgresFailure> {
        let sql = match call.again {
            Again::Same => call.sql,
            Again::Other(sql) => sql,
            Again::Unknown => {
                return Err(PostgresFailure::Unknown(
                    "it was committed, and what it answered is lost".to_owned(),
                ));
            }
        };
        loop {
            let found = match self.link().await {
                Ok(link) => {
                    let found = link.query(sql, &call.parameters).await;
                    self.link = (!link.is_closed()).then_some(link);
                    found
                }
                Err(failure) => Err(failure),
            };
            match found {
                Err(failure) if failure.ends_connection() => {
                    let why = self.failed(failure);
                    self.refuse_for(SETTLE_AGAIN, &why).await;
                }
                found => return found,
            }
        }
    }

    fn committed(&mut self, numbered: Numbered) {
        self.number = numbered.number;
        self.commits.fetch_add(1, Ordering::Relaxed);
        if self.health.borrow().is_some() {
            self.health.send_replace(None);
        }
    }

    fn failed(&mut self, failure: PostgresFailure) -> PostgresFailure {
        let failure = named(failure, &self.target);
        self.link = None;
        self.failed_at = Some(Instant::now());
        let was_well = self.health.send_replace(Some(failure.clone())).is_none();
        if was_well {
            tracing::warn!("the database is not reached: {failure}");
        }
        failure
    }

    /// The connection, taken out until it is put back.
    async fn link(&mut self) -> Result<Link, PostgresFailure> {
        if let Some(link) = self.link.take().filter(|link| !link.is_closed()) {
            return Ok(link);
        }
        let is_soon = self.failed_at.is_some_and(|at| at.elapsed() < RECONNECT);
        let last = self.health.borrow().clone();
        if is_soon && let Some(failure) = last {
            return Err(failure);
        }
        self.open_link().await
    }

    /// A new connection.
    async fn open_link(&mut self) -> Result<Link, PostgresFailure> {
        let opened = Link::open(&self.target).await;
        let link = opened.map_err(|failure| self.failed(failure))?;
        if self.health.send_replace(None).is_some() {
            tracing::info!("the database is reached again: {}", self.target.shown());
        }
        self.failed_at = None;
        Ok(link)
    }
}

async fn register(link: &Link, id: i64, identity: WriterIdentity) -> Result<(), PostgresFailure> {
    let life = match identity {
        WriterIdentity::Life(life) => Some(life),
        WriterIdentity::Operator => None,
    };
    let register = Call::new("SELECT register_2($1, $2, $3, $4, $5)")
        .bind(id)
        .bind(life.map_or_else(String::new, |life| life.host.to_string()))
        .bind(life.map(|life| i64::try_from(life.incarnation.0).unwrap_or(i64::MAX)))
        .bind(life.map(|life| i32::from(life.slot.0)))
        .bind(life.map(|life| i64::from(life.epoch.0)));
    let rows = link.query(register.sql, &register.parameters).await?;
    match rows.first().map(|row| row.try_get(0)).transpose()? {
        Some(true) => Ok(()),
        Some(false) | None => Err(PostgresFailure::Fenced),
    }
}
