//! Asks the master for the metrics of the whole cluster. Clients that ask while others wait are answered
//! together with them, but never with numbers from before they asked. So the numbers that one client sees,
//! scrape after scrape, never go backwards, whichever worker answers.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::lifeline::{Report, WorkerEnd};
use crate::metrics::Snapshot;
use crate::metrics::snapshot::MAX_BYTES;
use crate::sys::memfd;

/// The longest time to wait for the master, which answers at once unless it is gone or stopped.
const MASTER_TIMEOUT: Duration = Duration::from_secs(2);
/// The shortest time between two questions of one worker, however many clients scrape.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// The number of clients that may wait: more than the admin listener admits.
const MAX_WAITING: usize = 64;

/// An answer of the master: the number of the question, and the file that came along.
pub(in crate::worker) type MetricsAnswer = (u64, Vec<OwnedFd>);

/// The way of questions to the master, and of its answers back.
pub(in crate::worker) struct MasterLink {
    pub(in crate::worker) lifeline: Arc<WorkerEnd>,
    pub(in crate::worker) metrics: mpsc::UnboundedReceiver<MetricsAnswer>,
}

/// Why there are no metrics.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum MetricsError {
    #[error("the master does not answer; its workers serve on")]
    Silent,
    #[error("the master is gone; this worker finishes what it has")]
    Gone,
    #[error("the master's answer cannot be read: {0}")]
    Unreadable(Arc<str>),
}

type MetricsResult = Result<Arc<Snapshot>, MetricsError>;

/// Fetches the metrics of the whole cluster.
pub(super) struct MetricsClient {
    requests: mpsc::Sender<oneshot::Sender<MetricsResult>>,
}

impl MetricsClient {
    /// To be called inside the runtime.
    pub(super) fn start(link: MasterLink) -> MetricsClient {
        let (requests, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(serve(link, waiting));
        MetricsClient { requests }
    }

    /// The metrics at some instant after this was called.
    pub(super) async fn fetch(&self) -> MetricsResult {
        let (request, answer) = oneshot::channel();
        self.requests
            .send(request)
            .await
            .map_err(|_| MetricsError::Gone)?;
        answer.await.map_err(|_| MetricsError::Gone)?
    }
}

/// Asks the master once for all clients that wait, answers them, and begins again.
async fn serve(mut link: MasterLink, mut requests: mpsc::Receiver<oneshot::Sender<MetricsResult>>) {
    let mut number = 0;
    let mut waiting = Vec::new();
    while requests.recv_many(&mut waiting, MAX_WAITING).await > 0 {
        number += 1;
        let answer = ask(&mut link, number).await;
        for request in waiting.drain(..) {
            // A client that has gone away is told nothing.
            let _gone = request.send(answer.clone());
        }
        tokio::time::sleep(MIN_INTERVAL).await;
    }
}

async fn ask(link: &mut MasterLink, number: u64) -> MetricsResult {
    let question = async {
        let sent = link.lifeline.send(Report::MetricsWanted(number)).await;
        sent.map_err(|_| MetricsError::Gone)?;
        while let Some((answered, fds)) = link.metrics.recv().await {
            // An answer that came after its time was up is older than this question.
            if answered == number {
                return read(fds);
            }
        }
        Err(MetricsError::Gone)
    };
    let answer = tokio::time::timeout(MASTER_TIMEOUT, question).await;
    answer.unwrap_or(Err(MetricsError::Silent))
}

fn read(fds: Vec<OwnedFd>) -> MetricsResult {
    let unreadable = |reason: String| MetricsError::Unreadable(reason.into());
    let file = fds
        .first()
        .ok_or_else(|| unreadable("no file came along (too many open files?)".to_owned()))?;
    let json = memfd::content(file, MAX_BYTES).map_err(|error| unreadable(error.to_string()))?;
    let snapshot = serde_json::from_slice(&json).map_err(|error| unreadable(error.to_string()))?;
    Ok(Arc::new(snapshot))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::lifeline::decode;
    use crate::sys::seqpacket::{self, PacketRead};

    struct Master {
        end: OwnedFd,
        answers: mpsc::UnboundedSender<MetricsAnswer>,
    }

    fn pair() -> (Master, MetricsClient) {
        let (end, worker) = seqpacket::pair().expect("a pair");
        let lifeline = Arc::new(WorkerEnd::new(worker).expect("watched"));
        let (answers, metrics) = mpsc::unbounded_channel();
        let client = MetricsClient::start(MasterLink { lifeline, metrics });
        (Master { end, answers }, client)
    }

    impl Master {
        /// The number of the next question.
        async fn question(&self) -> u64 {
            let mut packet = [0; 4096];
            loop {
                match seqpacket::receive(self.end.as_fd(), &mut packet).expect("readable") {
                    PacketRead::Packet(length) => match decode(&packet[..length]).expect("a report") {
                        Report::MetricsWanted(number) => return number,
                        other => panic!("{other:?}"),
                    },
                    PacketRead::Nothing => tokio::task::yield_now().await,
                    other => panic!("{other:?}"),
                }
            }
        }

        fn answer(&self, number: u64, in_flight: u64) {
            let snapshot = Snapshot {
                in_flight,
                ..Snapshot::default()
            };
            let json = serde_json::to_vec(&snapshot).expect("JSON");
            let fd = memfd::create_sealed("test", &json, json.len() as u64, true).expect("a memfd");
            self.answers.send((number, vec![fd])).expect("received");
        }
    }

    #[tokio::test]
    async fn a_question_during_an_answer_gets_the_next_one() {
        let (master, client) = pair();
        let in_flight = |answer: MetricsResult| answer.expect("an answer").in_flight;
        let first = client.fetch();
        let second = async {
            assert_eq!(master.question().await, 1);
            let second = client.fetch();
            let third = client.fetch();
            let master = async {
                master.answer(1, 7);
                assert_eq!(master.question().await, 2);
                // A late answer to an earlier question counts for nothing.
                master.answer(1, 7);
                master.answer(2, 8);
            };
            tokio::join!(second, third, master)
        };
        let (first, (second, third, ())) = tokio::join!(first, second);
        assert_eq!(in_flight(first), 7);
        assert_eq!((in_flight(second), in_flight(third)), (8, 8));
    }

    #[tokio::test]
    async fn a_silent_master_and_an_unreadable_answer_are_errors() {
        let (master, client) = pair();
        assert!(matches!(client.fetch().await, Err(MetricsError::Silent)));
        let nonsense = async {
            while master.question().await != 2 {}
            master.answers.send((2, Vec::new())).expect("received");
        };
        let (answer, ()) = tokio::join!(client.fetch(), nonsense);
        assert!(matches!(answer, Err(MetricsError::Unreadable(_))));
        drop(master);
        assert!(matches!(client.fetch().await, Err(MetricsError::Gone)));
    }
}
