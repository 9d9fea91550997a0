//! One connection that writes. The calls that wait go out back to back between one `BEGIN` and one `COMMIT`,
//! and are answered when that is committed.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

use super::order::Calls;
use super::told;

/// Calls of one transaction at most.
const AT_ONCE: usize = 128;

/// The parameters of a call.
pub(super) type Values = Vec<Box<dyn ToSql + Sync + Send>>;

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, Error>> + Send + 'a>>;

/// A connection, as those hold it who write. Cheap to clone.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::UnboundedSender<Job>,
}

struct Job {
    /// The place of its statement among those that were prepared.
    statement: usize,
    values: Values,
    /// What is locked before anything is done.
    locks: Vec<String>,
    reply: oneshot::Sender<Result<Vec<Row>, String>>,
}

struct Connection {
    client: Client,
    begin: Statement,
    lock: Option<Statement>,
    calls: Vec<Statement>,
    id: i64,
    number: i64,
    commits: Arc<AtomicU64>,
}

impl Writer {
    /// Prepares those statements and begins to write as a life of that slot.
    pub(super) async fn start(
        client: Client,
        calls: &Calls,
        slot: i32,
        commits: Arc<AtomicU64>,
    ) -> Result<Writer, String> {
        let prepare = async |sql: &str| client.prepare(sql).await.map_err(told);
        let mut prepared = Vec::new();
        for sql in calls.statements {
            prepared.push(prepare(sql).await?);
        }
        let lock = match calls.locks {
            true => Some(prepare("SELECT lock_1($1)").await?),
            false => None,
        };
        let begin = prepare("SELECT begin_1($1, $2, $3)").await?;
        let id = (fastrand::u64(1..) >> 1).cast_signed();
        let register = "SELECT register_1($1, 7, $2, 1)";
        client.query_one(register, &[&id, &slot]).await.map_err(told)?;
        let (jobs, waiting) = mpsc::unbounded_channel();
        let connection = Connection {
            client,
            begin,
            lock,
            calls: prepared,
            id,
            number: 0,
            commits,
        };
        tokio::spawn(connection.run(waiting));
        Ok(Writer { jobs })
    }

    /// Makes a call as a part of the next transaction; its row once that is committed.
    pub(super) async fn call(
        &self,
        statement: usize,
        values: Values,
        locks: Vec<String>,
    ) -> Result<Row, String> {
        let (reply, answer) = oneshot::channel();
        let job = Job {
            statement,
            values,
            locks,
            reply,
        };
        let ended = "the writer has ended";
        self.jobs.send(job).map_err(|_| ended)?;
        let rows = answer.await.map_err(|_| ended)??;
        rows.into_iter().next().ok_or("a call answered no row".to_owned())
    }
}

impl Connection {
    async fn run(mut self, mut waiting: mpsc::UnboundedReceiver<Job>) {
        while let Some(first) = waiting.recv().await {
            let mut jobs = vec![first];
            // Whoever is about to ask does so in this turn.
            tokio::task::yield_now().await;
            while jobs.len() < AT_ONCE
                && let Ok(job) = waiting.try_recv()
            {
                jobs.push(job);
            }
            match self.fly(&jobs).await {
                Ok(rows) => {
                    self.number += 1;
                    self.commits.fetch_add(1, Ordering::Relaxed);
                    for (job, rows) in jobs.into_iter().zip(rows) {
                        drop(job.reply.send(Ok(rows)));
                    }
                }
                // Nothing here is tried again: a failure ends the run.
                Err(error) => {
                    let told = told(error);
                    for job in jobs {
                        drop(job.reply.send(Err(told.clone())));
                    }
                    return;
                }
            }
        }
    }

    /// Makes the calls in one transaction: the rows of each.
    async fn fly(&self, jobs: &[Job]) -> Result<Vec<Vec<Row>>, Error> {
        let number = self.number + 1;
        let begin: [&(dyn ToSql + Sync); 3] = [&self.id, &self.number, &number];
        let mut locks: Vec<&String> = jobs.iter().flat_map(|job| &job.locks).collect();
        locks.sort();
        locks.dedup();
        let locks_value: [&(dyn ToSql + Sync); 1] = [&locks];
        let values: Vec<Vec<&(dyn ToSql + Sync)>> = jobs
            .iter()
            .map(|job| {
                job.values
                    .iter()
                    .map(|value| &**value as &(dyn ToSql + Sync))
                    .collect()
            })
            .collect();
        let command = |sql: &'static str| -> Answer<'_> {
            Box::pin(async move { self.client.batch_execute(sql).await.map(|()| Vec::new()) })
        };
        let mut answers = vec![
            command("BEGIN"),
            Box::pin(self.client.query(&self.begin, &begin)) as Answer<'_>,
        ];
        if let Some(lock) = self.lock.as_ref().filter(|_| !locks.is_empty()) {
            answers.push(Box::pin(self.client.query(lock, &locks_value)));
        }
        let before = answers.len();
        for (job, values) in jobs.iter().zip(&values) {
            answers.push(Box::pin(self.client.query(&self.calls[job.statement], values)));
        }
        answers.push(command("COMMIT"));
        let ended = in_order(&mut answers).await;
        let rows: Result<Vec<Vec<Row>>, Error> = ended.into_iter().collect();
        Ok(rows?.drain(before..).take(jobs.len()).collect())
    }
}

/// Polls each future in turn, so that their messages go out in this order, until all have ended.
async fn in_order(answers: &mut [Answer<'_>]) -> Vec<Result<Vec<Row>, Error>> {
    let mut ended: Vec<Option<Result<Vec<Row>, Error>>> = answers.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut all = true;
        for (answer, end) in answers.iter_mut().zip(&mut ended) {
            if end.is_none() {
                match answer.as_mut().poll(context) {
                    Poll::Ready(rows) => *end = Some(rows),
                    Poll::Pending => all = false,
                }
            }
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    ended.into_iter().flatten().collect()
}
