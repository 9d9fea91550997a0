//! Subscribers of the events: one follows the pages, one the stream, and both lose their connection again and
//! again. Each must see every event; the reader of pages sees it once, and each of them sees the events of
//! one thing in the order in which they happened.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client_log::{AnsweredOrder, Ending};
use super::cluster::TorturedCluster;
use super::http;

/// How long a stream is read before its reader leaves it and asks again.
const LONGEST_STREAM: Duration = Duration::from_secs(2);
/// Between two tries.
const RETRY_INTERVAL: Duration = Duration::from_millis(15);
/// How long the rest of the events may take to be read once the cluster is at rest.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// How a subscriber reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadingMode {
    /// Page by page, each behind the one before.
    Pages,
    /// As a stream of server-sent events, from the last one that was seen.
    Stream,
}

/// What one subscriber saw.
#[derive(Debug)]
pub(super) struct SubscriberLog {
    mode: ReadingMode,
    /// The position behind which it goes on; none at the start.
    position: Option<String>,
    /// The ids of the events, and how often each was seen.
    seen: BTreeMap<String, u32>,
    /// The number or the step of the last event of each subject.
    last: BTreeMap<String, u64>,
    complaints: Vec<String>,
}

impl SubscriberLog {
    fn new(mode: ReadingMode) -> SubscriberLog {
        SubscriberLog {
            mode,
            position: None,
            seen: BTreeMap::new(),
            last: BTreeMap::new(),
            complaints: Vec::new(),
        }
    }

    fn see(&mut self, event: &Value) {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let (id, subject) = (text("id"), text("subject"));
        let times = self.seen.entry(id.clone()).or_default();
        *times += 1;
        if *times > 1 {
            if self.mode == ReadingMode::Pages {
                self.complaints.push(format!("the event {id} was on two pages"));
            }
            return;
        }
        let place = place_within_subject(&text("type"), &id, &subject);
        let last = self.last.insert(subject, place);
        if last.is_some_and(|last| last > place) {
            self.complaints
                .push(format!("{:?}: the event {id} came after a later one", self.mode));
        }
    }
}

/// Where an event stands among those of its subject: an article's by the number in its id, a payment's by its
/// step. An order has one event.
fn place_within_subject(kind: &str, id: &str, subject: &str) -> u64 {
    let number = id.strip_prefix(subject).and_then(|rest| rest.split('.').nth(1));
    let number = number.and_then(|number| number.parse().ok());
    number.unwrap_or(u64::from(kind.contains("refunded")))
}

/// Reads until `stop` is set.
pub(super) fn run(mode: ReadingMode, cluster: &TorturedCluster, stop: &AtomicBool) -> SubscriberLog {
    let mut log = SubscriberLog::new(mode);
    while !stop.load(Ordering::Acquire) {
        match mode {
            ReadingMode::Pages => {
                if read_page(&mut log, cluster, "&wait=1s").is_none() {
                    std::thread::sleep(RETRY_INTERVAL);
                }
            }
            ReadingMode::Stream => {
                // A stream that breaks off is begun anew behind its last event.
                drop(read_stream(&mut log, cluster, stop));
                std::thread::sleep(RETRY_INTERVAL);
            }
        }
    }
    log
}

/// Reads a page; how many events it had. `None` when it was not answered.
fn read_page(log: &mut SubscriberLog, cluster: &TorturedCluster, wait: &str) -> Option<usize> {
    let after = log.position.as_ref().map(|position| format!("&after={position}"));
    let path = format!("/events?limit=500{wait}{}", after.unwrap_or_default());
    let answer = http::get(cluster.address(), &path).ok()?;
    let page: Value = serde_json::from_str(&answer.body).ok()?;
    if answer.status != 200 {
        if !matches!(answer.status, 503 | 507) {
            let (mode, status, body) = (log.mode, answer.status, answer.body);
            log.complaints
                .push(format!("{mode:?}: {path} was answered {status} {body}"));
        }
        return None;
    }
    let items = page["items"].as_array()?;
    items.iter().for_each(|event| log.see(event));
    log.position = Some(page["next"].as_str()?.to_owned());
    Some(items.len())
}

/// Reads a stream for a while.
fn read_stream(log: &mut SubscriberLog, cluster: &TorturedCluster, stop: &AtomicBool) -> std::io::Result<()> {
    let last = log.position.as_ref().map(|id| format!("Last-Event-ID: {id}\r\n"));
    // In HTTP/1.0 an answer without a length is not cut into chunks.
    let request = format!(
        "GET /events HTTP/1.0\r\nHost: torture\r\nAccept: text/event-stream\r\n{}\r\n",
        last.unwrap_or_default()
    );
    let stream = http::send(cluster.address(), &request)?;
    stream.set_read_timeout(Some(LONGEST_STREAM))?;
    let end = Instant::now() + LONGEST_STREAM;
    let mut lines = BufReader::<TcpStream>::new(stream).lines();
    let (mut id, mut data) = (None, None);
    for line in lines.by_ref() {
        let line = line?;
        if let Some(position) = line.strip_prefix("id: ") {
            id = Some(position.to_owned());
        } else if let Some(json) = line.strip_prefix("data: ") {
            data = serde_json::from_str::<Value>(json).ok();
        } else if line.is_empty() {
            data.take().iter().for_each(|event| log.see(event));
            log.position = id.take().or(log.position.take());
            if stop.load(Ordering::Acquire) || Instant::now() >= end {
                break;
            }
        }
    }
    Ok(())
}

/// Reads what is left, at rest, and checks that nothing was missed; what is wrong.
pub(super) fn contradictions(
    mut log: SubscriberLog,
    cluster: &TorturedCluster,
    entries: &[AnsweredOrder],
) -> Vec<String> {
    let deadline = Instant::now() + DRAIN_TIMEOUT;
    while read_page(&mut log, cluster, "") != Some(0) {
        if Instant::now() >= deadline {
            let mode = log.mode;
            log.complaints
                .push(format!("{mode:?}: the events had no end after {DRAIN_TIMEOUT:?}"));
            break;
        }
    }
    let SubscriberLog {
        mode,
        seen,
        mut complaints,
        ..
    } = log;
    let wished: BTreeSet<String> = entries.iter().filter_map(event_of).collect();
    let missed = wished.iter().filter(|id| !seen.contains_key(*id));
    complaints.extend(missed.map(|id| format!("{mode:?}: the event {id} was never seen")));
    complaints
}

/// The id of the event of an order that has ended for its client.
fn event_of(entry: &AnsweredOrder) -> Option<String> {
    let word = match entry.ending {
        Ending::Confirmed => "confirmed",
        Ending::Declined | Ending::SoldOut | Ending::Rejected(_) => "rejected",
        Ending::Parked => return None,
    };
    Some(format!("{}.{word}", entry.id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: &str, id: &str, subject: &str) -> Value {
        json!({ "type": kind, "id": id, "subject": subject })
    }

    #[test]
    fn an_event_that_is_seen_twice_or_too_late_is_told() {
        let mut pages = SubscriberLog::new(ReadingMode::Pages);
        let changed = |number| event("shop.article.changed.v1", &format!("a.{number}.7"), "a");
        for seen in [changed(1), changed(3), changed(3), changed(2)] {
            pages.see(&seen);
        }
        pages.see(&event("shop.payment.refunded.v1", "pay_1.refunded", "pay_1"));
        pages.see(&event("shop.payment.charged.v1", "pay_1.charged", "pay_1"));
        let told = pages.complaints.join("\n");
        assert!(
            told.contains("a.3.7 was on two pages") && told.contains("a.2.7 came after"),
            "{told}"
        );
        assert!(
            told.contains("pay_1.charged came after") && pages.complaints.len() == 3,
            "{told}"
        );
        let mut stream = SubscriberLog::new(ReadingMode::Stream);
        [changed(1), changed(1), changed(2)]
            .iter()
            .for_each(|seen| stream.see(seen));
        assert_eq!(stream.complaints, Vec::<String>::new());
    }
}
