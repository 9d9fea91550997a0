//! Asking the master for the numbers of the whole cluster. Who asks while others wait is answered together with them, but never
//! with numbers from before he asked: so what one client sees, one scrape after the other, never goes backwards, whichever
//! worker answers.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::lifeline::{Report, WorkerEnd};
use crate::metrics::Snapshot;
use crate::metrics::snapshot::MOST_BYTES;
use crate::sys::memfd;

/// The master answers within a moment, or it is gone, or stopped.
const PATIENCE: Duration = Duration::from_secs(2);
/// It is not asked more often than this by one worker, however many scrape.
const PACE: Duration = Duration::from_millis(10);
/// As many may wait as there are places at the listener, and some.
const WAITING: usize = 64;

/// An answer of the master: to which question, and the file that came along.
pub(in super::super) type Told = (u64, Vec<OwnedFd>);

/// The way to the master, and the way back.
pub(in super::super) struct Line {
    pub(in super::super) end: Arc<WorkerEnd>,
    pub(in super::super) told: mpsc::UnboundedReceiver<Told>,
}

/// Why there are no numbers.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("the master does not answer; its workers serve on")]
    Silent,
    #[error("the master is gone; this worker finishes what it has")]
    Gone,
    #[error("the master's answer cannot be read: {0}")]
    Unreadable(Arc<str>),
}

type Answer = Result<Arc<Snapshot>, AskError>;

/// Whoever wants the numbers has this.
pub(super) struct Asker {
    wishes: mpsc::Sender<oneshot::Sender<Answer>>,
}

impl Asker {
    /// To be called inside the runtime.
    pub(super) fn begin(line: Line) -> Asker {
        let (wishes, wanted) = mpsc::channel(WAITING);
        tokio::spawn(serve(line, wanted));
        Asker { wishes }
    }

    /// The numbers as they are, at some instant after this was called.
    pub(super) async fn ask(&self) -> Answer {
        let (wish, answer) = oneshot::channel();
        self.wishes.send(wish).await.map_err(|_| AskError::Gone)?;
        answer.await.map_err(|_| AskError::Gone)?
    }
}

/// Asks for all who wait, answers them, and begins again.
async fn serve(mut line: Line, mut wanted: mpsc::Receiver<oneshot::Sender<Answer>>) {
    let mut number = 0;
    let mut waiting = Vec::new();
    while wanted.recv_many(&mut waiting, WAITING).await > 0 {
        number += 1;
        let answer = ask(&mut line, number).await;
        for wish in waiting.drain(..) {
            // A client that has gone away is told nothing.
            let _gone = wish.send(answer.clone());
        }
        tokio::time::sleep(PACE).await;
    }
}

async fn ask(line: &mut Line, number: u64) -> Answer {
    let conversation = async {
        let sent = line.end.send(Report::FiguresWanted(number)).await;
        sent.map_err(|_| AskError::Gone)?;
        while let Some((answered, fds)) = line.told.recv().await {
            // An answer that came after its time was up is older than this question.
            if answered == number {
                return read(fds);
            }
        }
        Err(AskError::Gone)
    };
    let answer = tokio::time::timeout(PATIENCE, conversation).await;
    answer.unwrap_or(Err(AskError::Silent))
}

fn read(fds: Vec<OwnedFd>) -> Answer {
    let unreadable = |reason: String| AskError::Unreadable(reason.into());
    let file = fds
        .first()
        .ok_or_else(|| unreadable("no file came along (too many open files?)".to_owned()))?;
    let json = memfd::content(file, MOST_BYTES).map_err(|error| unreadable(error.to_string()))?;
    let snapshot = serde_json::from_slice(&json).map_err(|error| unreadable(error.to_string()))?;
    Ok(Arc::new(snapshot))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::lifeline::decode;
    use crate::sys::seqpacket::{self, Received};

    struct Master {
        end: OwnedFd,
        tell: mpsc::UnboundedSender<Told>,
    }

    fn pair() -> (Master, Asker) {
        let (end, worker) = seqpacket::pair().expect("a pair");
        let end_of_worker = Arc::new(WorkerEnd::new(worker).expect("watched"));
        let (tell, told) = mpsc::unbounded_channel();
        let asker = Asker::begin(Line {
            end: end_of_worker,
            told,
        });
        (Master { end, tell }, asker)
    }

    impl Master {
        /// The number of the question that was asked.
        async fn heard(&self) -> u64 {
            let mut packet = [0; 4096];
            loop {
                match seqpacket::receive(self.end.as_fd(), &mut packet).expect("readable") {
                    Received::Packet(length) => match decode(&packet[..length]).expect("a report") {
                        Report::FiguresWanted(number) => return number,
                        other => panic!("{other:?}"),
                    },
                    Received::Nothing => tokio::task::yield_now().await,
                    other => panic!("{other:?}"),
                }
            }
        }

        fn tells(&self, number: u64, in_flight: u64) {
            let snapshot = Snapshot {
                in_flight,
                ..Snapshot::default()
            };
            let json = serde_json::to_vec(&snapshot).expect("JSON");
            let fd = memfd::create_sealed("test", &json, json.len() as u64, true).expect("a memfd");
            self.tell.send((number, vec![fd])).expect("heard");
        }
    }

    #[tokio::test]
    async fn who_asks_during_an_answer_gets_the_next_one() {
        let (master, asker) = pair();
        let in_flight = |answer: Answer| answer.expect("an answer").in_flight;
        let first = asker.ask();
        let second = async {
            assert_eq!(master.heard().await, 1);
            let second = asker.ask();
            let third = asker.ask();
            let master = async {
                master.tells(1, 7);
                assert_eq!(master.heard().await, 2);
                // A late answer to an earlier question counts for nothing.
                master.tells(1, 7);
                master.tells(2, 8);
            };
            tokio::join!(second, third, master)
        };
        let (first, (second, third, ())) = tokio::join!(first, second);
        assert_eq!(in_flight(first), 7);
        assert_eq!((in_flight(second), in_flight(third)), (8, 8));
    }

    #[tokio::test]
    async fn a_silent_master_and_nonsense_are_told() {
        let (master, asker) = pair();
        assert!(matches!(asker.ask().await, Err(AskError::Silent)));
        let nonsense = async {
            while master.heard().await != 2 {}
            master.tell.send((2, Vec::new())).expect("heard");
        };
        let (answer, ()) = tokio::join!(asker.ask(), nonsense);
        assert!(matches!(answer, Err(AskError::Unreadable(_))));
        drop(master);
        assert!(matches!(asker.ask().await, Err(AskError::Gone)));
    }
}
