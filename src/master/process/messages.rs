//! Reads what a worker sends: notifications, reports on the lifeline, lines on stderr and in its log. Nothing
//! a worker sends is trusted: it is bounded and checked, and dropped when it violates the protocol.

use std::io::Read;
use std::os::fd::AsFd;

use tracing::warn;

use super::violations::Violation;
use super::worker_process::{ListenerRequest, ListenerWish, WorkerProcess};
use crate::lifeline::{self, MAX_PACKET, MAX_REASON, Report};
use crate::master::poller::WorkerFd;
use crate::observe;
use crate::pool::{Event, Notification};
use crate::sys::notify::Datagram;
use crate::sys::seqpacket::{self, PacketRead};

/// Largest number of messages that are read from one worker before the other workers have their turn.
const MAX_READS: usize = 16;

/// Longest text that is repeated of what is no log line, in characters.
const MAX_SAID: usize = 1024;

/// Longest text about a worker's trouble, in characters.
const MAX_TROUBLE: usize = 400;

/// Reads what is available on one descriptor of a worker.
pub(in crate::master) fn read(process: &mut WorkerProcess, part: WorkerFd, events: &mut Vec<Event>) {
    match part {
        WorkerFd::Notify => read_notifications(process, events),
        WorkerFd::Lifeline => read_reports(process, events),
        WorkerFd::Stderr => read_stderr(process),
        WorkerFd::Log => read_log(process),
        WorkerFd::Exit => {}
    }
}

fn read_notifications(process: &mut WorkerProcess, events: &mut Vec<Event>) {
    let life = process.facts.life;
    for _ in 0..MAX_READS {
        match process.notify.receive() {
            Ok(Datagram::From { pid, text }) if pid == process.facts.pid => {
                let new = notifications(&text).filter(|notification| {
                    *notification != Notification::Ready || process.violations.first_ready(life)
                });
                events.extend(new.map(|notification| Event::Notified { life, notification }));
            }
            Ok(Datagram::From { pid, .. }) => {
                process.violations.report(life, &Violation::OtherProcess { pid })
            }
            Ok(Datagram::Garbage) => process.violations.report(life, &Violation::Garbled),
            Ok(Datagram::Nothing) => return,
            Err(error) => return warn!(%life, "failed to read notifications: {error}"),
        }
    }
}

/// Parses lines of `KEY=value` as sd_notify(3) describes them; other keys are ignored.
fn notifications(text: &str) -> impl Iterator<Item = Notification> + '_ {
    text.lines().filter_map(|line| match line.split_once('=')? {
        ("READY", "1") => Some(Notification::Ready),
        ("STOPPING", "1") => Some(Notification::Stopping),
        ("STATUS", status) => Some(Notification::Status(printable(status, 200))),
        ("X_CLUSTER_TROUBLE", trouble) => Some(Notification::Trouble(
            (!trouble.is_empty()).then(|| printable(trouble, MAX_TROUBLE)),
        )),
        (_, _) => None,
    })
}

fn printable(text: &str, most: usize) -> String {
    text.chars()
        .take(most)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}

fn read_reports(process: &mut WorkerProcess, events: &mut Vec<Event>) {
    let life = process.facts.life;
    let mut buffer = [0; MAX_PACKET];
    for _ in 0..MAX_READS {
        let Some(lifeline) = &process.lifeline else { return };
        match seqpacket::receive(lifeline.as_fd(), &mut buffer) {
            Ok(PacketRead::Packet(length)) => match lifeline::decode(&buffer[..length]) {
                Ok(Report::TakenOver(work)) => events.push(Event::TakenOver { by: life, work }),
                Ok(Report::Probed(verdict)) => events.push(Event::Probed {
                    life,
                    verdict: verdict.map_err(|reason| printable(&reason, MAX_REASON)),
                }),
                Ok(Report::NotAdopted(slot)) => events.push(Event::NotAdopted { by: life, slot }),
                Ok(Report::MetricsWanted(number)) => process.facts.metrics_request = Some(number),
                Ok(Report::ListenerWanted { number, address }) => {
                    process
                        .listener_requests
                        .push(ListenerRequest::new(ListenerWish::Lend, number, address));
                }
                Ok(Report::ListenerReturned { number, address }) => {
                    process.listener_requests.push(ListenerRequest::new(
                        ListenerWish::TakeBack,
                        number,
                        address,
                    ));
                }
                Err(error) => {
                    let why = error.to_string();
                    process.violations.report(life, &Violation::NotAReport(why));
                }
            },
            Ok(PacketRead::TooLong) => {
                let why = format!("it has more than {MAX_PACKET} bytes");
                process.violations.report(life, &Violation::NotAReport(why));
            }
            Ok(PacketRead::Nothing) => return,
            // The worker has closed the lifeline. The descriptor would stay readable for ever.
            Ok(PacketRead::End) => process.lifeline = None,
            Err(error) => {
                warn!(%life, "failed to read reports: {error}");
                process.lifeline = None;
            }
        }
    }
}

fn read_stderr(process: &mut WorkerProcess) {
    let mut buffer = [0; 4096];
    for _ in 0..MAX_READS {
        let Some(stderr) = &mut process.stderr else { return };
        match stderr.read(&mut buffer) {
            Ok(length) if length > 0 => {
                for line in process.facts.stderr_tail.push(&buffer[..length]) {
                    warn!(life = %process.facts.life, "worker said: {line}");
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => process.stderr = None,
        }
    }
}

/// Copies what the worker logged. The master writes each line anew; what is no log line is told of as what
/// the worker said.
fn read_log(process: &mut WorkerProcess) {
    let life = process.facts.life;
    let mut buffer = [0; 4096];
    for _ in 0..MAX_READS {
        let Some(log) = &mut process.log else { return };
        match log.read(&mut buffer) {
            Ok(length) if length > 0 => process.facts.log_lines.push(&buffer[..length], |line| {
                if !observe::relay(life, line) {
                    let line = printable(&String::from_utf8_lossy(line), MAX_SAID);
                    warn!(%life, "worker said: {line}");
                }
            }),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => process.log = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_are_read_line_by_line_without_control_characters() {
        let text = "READY=1\nSTATUS=up\x1b[2J\nMAINPID=1\nREADY=2\nnonsense\nSTOPPING=1\n\
                    X_CLUSTER_TROUBLE=stuck\nX_CLUSTER_TROUBLE=";
        let found: Vec<_> = notifications(text).collect();
        assert_eq!(
            found,
            [
                Notification::Ready,
                Notification::Status("up [2J".to_owned()),
                Notification::Stopping,
                Notification::Trouble(Some("stuck".to_owned())),
                Notification::Trouble(None)
            ]
        );
    }
}
