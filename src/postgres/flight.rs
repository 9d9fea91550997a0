//! Several statements in one flight: each is sent before the answer of the one before it has come.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio_postgres::Row;

use super::call::Call;
use super::connect::Link;
use super::failure::PostgresFailure;

/// A server that does not answer for so long is given up. Its own time-outs are shorter.
const ANSWER: Duration = Duration::from_secs(10);

/// The transaction that calls are made in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered {
    /// The writer.
    pub(super) writer: i64,
    /// The number of its last transaction.
    pub(super) before: i64,
    /// The number of this one.
    pub(super) number: i64,
}

/// How a flight ended.
#[derive(Debug)]
pub(super) enum FlightEnd {
    /// Everything is committed: the rows of each call.
    Committed(Vec<Vec<Row>>),
    /// Nothing is: this was the first failure.
    RolledBack(PostgresFailure),
    /// The `COMMIT` was sent, and its answer did not come. The rows of the calls, if they all came before.
    Lost {
        rows: Option<Vec<Vec<Row>>>,
        reason: String,
    },
}

const BEGIN: &str = "SELECT begin_1($1, $2, $3)";
/// The locks of all calls, in one order.
const LOCK: &str = "SELECT lock_1($1)";

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, PostgresFailure>> + Send + 'a>>;

/// Makes the calls in one transaction.
pub(super) async fn fly(link: &Link, calls: &[&Call], numbered: Numbered) -> FlightEnd {
    let first = Call::new(BEGIN)
        .bind(numbered.writer)
        .bind(numbered.before)
        .bind(numbered.number);
    let locks = locks_of(calls);
    let locks = (!locks.is_empty()).then(|| Call::new(LOCK).bind(locks));
    let all: Vec<&Call> = std::iter::once(&first)
        .chain(&locks)
        .chain(calls.iter().copied())
        .collect();
    let prepared = link.prepare(all.iter().map(|call| (call.sql, call.parameters.as_slice())));
    match tokio::time::timeout(ANSWER, prepared).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => return FlightEnd::RolledBack(failure),
        Err(_) => return FlightEnd::RolledBack(PostgresFailure::Unreachable(silent())),
    }
    let mut answers: Vec<Answer<'_>> = vec![Box::pin(command(link, "BEGIN"))];
    for call in &all {
        answers.push(Box::pin(link.query(call.sql, &call.parameters)));
    }
    answers.push(Box::pin(command(link, "COMMIT")));
    let before = answers.len() - 1 - calls.len();
    let mut came: Vec<Option<Result<Vec<Row>, PostgresFailure>>> = answers.iter().map(|_| None).collect();
    let answered = tokio::time::timeout(ANSWER, in_order(&mut answers, &mut came)).await;
    drop(answers);
    judge(came, before, answered.is_err())
}

fn silent() -> String {
    format!("the server has not answered for {} s", ANSWER.as_secs())
}

fn locks_of(calls: &[&Call]) -> Vec<String> {
    let mut locks: Vec<String> = calls.iter().flat_map(|call| call.locks.iter().cloned()).collect();
    locks.sort();
    locks.dedup();
    locks
}

async fn command(link: &Link, sql: &'static str) -> Result<Vec<Row>, PostgresFailure> {
    link.client().batch_execute(sql).await?;
    Ok(Vec::new())
}

/// What the answers come to. `before` of them are not those of calls, and the last one is that of `COMMIT`.
fn judge(
    mut came: Vec<Option<Result<Vec<Row>, PostgresFailure>>>,
    before: usize,
    is_late: bool,
) -> FlightEnd {
    let commit = came.pop().flatten();
    // The failure of the server itself comes before those that follow from it.
    let refused = came.iter().flatten().find_map(|answer| answer.as_ref().err());
    match refused {
        // The server has said so itself, before it came to the COMMIT, which it then does not carry out.
        Some(failure) if !matches!(failure, PostgresFailure::Unreachable(_)) => {
            return FlightEnd::RolledBack(failure.clone());
        }
        Some(failure) => {
            let reason = failure.to_string();
            return FlightEnd::Lost { rows: None, reason };
        }
        None => {}
    }
    let rows: Option<Vec<Vec<Row>>> = came
        .into_iter()
        .skip(before)
        .map(|answer| answer.and_then(Result::ok))
        .collect();
    match (commit, rows) {
        (Some(Ok(_)), Some(rows)) => FlightEnd::Committed(rows),
        (Some(Err(failure)), _) if !failure.ends_connection() => FlightEnd::RolledBack(failure),
        (Some(Err(failure)), rows) => FlightEnd::Lost {
            rows,
            reason: failure.to_string(),
        },
        (_, rows) => FlightEnd::Lost {
            rows,
            reason: if is_late {
                silent()
            } else {
                "the connection has ended".to_owned()
            },
        },
    }
}

/// Polls each future in turn, so that their messages go out in this order, until all have ended.
async fn in_order<T>(futures: &mut [Pin<Box<dyn Future<Output = T> + Send + '_>>], ended: &mut [Option<T>]) {
    poll_fn(|context| {
        let mut all = true;
        for (future, end) in futures.iter_mut().zip(ended.iter_mut()) {
            if end.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *end = Some(value),
                    Poll::Pending => all = false,
                }
            }
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
