//! `health`: one question to a running master, answered by an exit code and one line, for programs that know
//! no other way to ask (the health check of a container, a probe of Kubernetes). It knows what the master
//! knows; whether the application can do its work is told by `/healthz/readiness`.

use std::path::Path;

use serde::Serialize;

use super::output::{PrintResult, print};
use super::request::{HealthProbe, MasterRequest};
use crate::base::exit::Exit;
use crate::control::client::{self, AskError};
use crate::control::{ClusterStatus, ControlAnswer, MasterState, SlotReport};
use crate::pool::status::WorkerState;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct HealthReport {
    healthy: bool,
    probe: HealthProbe,
    reason: String,
}

/// Asks the master and prints one line. What keeps a master from answering is left to the caller, who prints
/// it to stderr; `--json` has it on stdout, too.
pub(super) fn run(run_dir: &Path, request: &MasterRequest, probe: HealthProbe) -> Result<Exit, AskError> {
    let answer = client::ask(run_dir, &request.kind.request());
    let report = match &answer {
        Ok(ControlAnswer::Status(status)) => report(probe, status),
        Ok(_) => unhealthy(probe, "the master gave the answer to another question".to_owned()),
        Err(error) => unhealthy(probe, error.to_string()),
    };
    let printed = match &answer {
        Err(_) if !request.json => PrintResult::Complete,
        _ => print(&line(&report, request.json)),
    };
    answer.map(|_| match printed {
        PrintResult::Complete | PrintResult::ReaderGone if report.healthy => Exit::Stopped,
        _ => Exit::Failed,
    })
}

fn unhealthy(probe: HealthProbe, reason: String) -> HealthReport {
    HealthReport {
        healthy: false,
        probe,
        reason,
    }
}

fn report(probe: HealthProbe, status: &ClusterStatus) -> HealthReport {
    let state = status.master.state;
    let (healthy, reason) = match (probe, state) {
        // A master that stops is alive: who kills it now cuts the requests that it lets finish.
        (HealthProbe::Live, _) => (
            true,
            format!("the master answers, its state is {}", state.as_str()),
        ),
        (HealthProbe::Ready, MasterState::Stopping) => (false, "the cluster stops".to_owned()),
        (HealthProbe::Ready, MasterState::Running | MasterState::Reloading | MasterState::Upgrading) => {
            (status.slots.iter().any(serves), counted(&status.slots))
        }
    };
    HealthReport {
        healthy,
        probe,
        reason,
    }
}

fn serves(slot: &SlotReport) -> bool {
    slot.state == WorkerState::Serving.as_str()
}

/// How many workers serve, and what the first of the others does.
fn counted(slots: &[SlotReport]) -> String {
    let serving = slots.iter().filter(|slot| serves(slot)).count();
    let other = slots.iter().find(|slot| !serves(slot));
    let other = other.map_or_else(String::new, |slot| {
        format!("; slot {} is {}", slot.slot, slot.state)
    });
    format!("{serving} of {} workers serve{other}", slots.len())
}

fn line(report: &HealthReport, json: bool) -> Vec<u8> {
    if json {
        let mut line =
            serde_json::to_vec(report).expect("a report is two words and a flag, which JSON can express");
        line.push(b'\n');
        return line;
    }
    let word = match (report.probe, report.healthy) {
        (HealthProbe::Ready, true) => "ready",
        (HealthProbe::Ready, false) => "not ready",
        (HealthProbe::Live, true) => "live",
        (HealthProbe::Live, false) => "not live",
    };
    format!("{word}: {}\n", report.reason).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{Generation, Incarnation, Slot};
    use crate::control::MasterReport;

    fn slot(number: u16, state: WorkerState) -> SlotReport {
        SlotReport {
            slot: Slot(number),
            state: state.as_str().to_owned(),
            generation: Generation(1),
            worker: None,
            restarts: 0,
            last_cause: None,
            queue: None,
            weight: None,
            filled_in_ms: None,
        }
    }

    fn status(state: MasterState, slots: &[WorkerState]) -> ClusterStatus {
        ClusterStatus {
            master: MasterReport {
                program: "cluster".to_owned(),
                pid: 1,
                uptime_ms: 0,
                version: "0".to_owned(),
                binary_written: None,
                binary_for_ms: 0,
                upgrades: 0,
                state,
                incarnation: Incarnation(1),
                generation: Generation(1),
                addresses: Vec::new(),
                rss_bytes: None,
                cpu_ms: None,
                fds: 0,
                draining: 0,
                refuses: false,
                stops_in_ms: None,
                unsteered: Vec::new(),
                last_verdict: None,
            },
            slots: (0..)
                .zip(slots)
                .map(|(number, &state)| slot(number, state))
                .collect(),
            beside: Vec::new(),
        }
    }

    fn said(probe: HealthProbe, state: MasterState, slots: &[WorkerState]) -> (bool, String) {
        let report = report(probe, &status(state, slots));
        let text = String::from_utf8(line(&report, false)).expect("text");
        (report.healthy, text)
    }

    #[test]
    fn one_worker_that_serves_is_ready_in_every_state_but_stopping() {
        let slots = [WorkerState::BackingOff, WorkerState::Serving];
        for state in [
            MasterState::Running,
            MasterState::Reloading,
            MasterState::Upgrading,
        ] {
            let (healthy, text) = said(HealthProbe::Ready, state, &slots);
            assert!(healthy, "{text}");
            assert_eq!(text, "ready: 1 of 2 workers serve; slot 0 is backing-off\n");
        }
        let stopping = said(HealthProbe::Ready, MasterState::Stopping, &slots);
        assert_eq!(stopping, (false, "not ready: the cluster stops\n".to_owned()));
    }

    #[test]
    fn no_state_of_a_worker_but_serving_is_ready() {
        for state in WorkerState::ALL
            .into_iter()
            .filter(|&state| state != WorkerState::Serving)
        {
            let (healthy, text) = said(HealthProbe::Ready, MasterState::Running, &[state]);
            assert!(!healthy, "{text}");
            assert!(
                text.starts_with("not ready: 0 of 1 workers serve; slot 0 is "),
                "{text}"
            );
        }
        assert!(!said(HealthProbe::Ready, MasterState::Running, &[]).0);
    }

    #[test]
    fn a_master_that_answers_lives_whatever_its_workers_do() {
        let (healthy, text) = said(HealthProbe::Live, MasterState::Stopping, &[WorkerState::Killed]);
        assert!(healthy);
        assert_eq!(text, "live: the master answers, its state is stopping\n");
    }

    #[test]
    fn the_json_is_one_line_for_both_results() {
        let report = unhealthy(HealthProbe::Ready, "the cluster\nstops".to_owned());
        let json = String::from_utf8(line(&report, true)).expect("text");
        assert_eq!(
            json,
            "{\"healthy\":false,\"probe\":\"ready\",\"reason\":\"the cluster\\nstops\"}\n"
        );
    }
}
