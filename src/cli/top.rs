//! `top`: shows the status every second, in place on a terminal and cut to its size, one below the other
//! elsewhere. Each status uses a connection of its own, so `top` goes on when the master is replaced.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use terminal_size::{Height, Width};

use super::output::{PrintResult, print};
use super::render::rendered;
use super::request::MasterRequest;
use super::screen::{self, ScreenSize};
use super::table::{self, CpuShares};
use crate::base::exit::Exit;
use crate::base::ids::{Epoch, Slot};
use crate::control::client::{self, AskError};
use crate::control::{ClusterStatus, ControlAnswer, ControlCommand};

/// Time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);
/// Moves the cursor to the top left corner.
const HOME: &str = "\x1b[H";
/// Clears what is left of the last frame in a line. It stands before the new text: after a text as wide as
/// the terminal it would clear the last character.
const CLEAR_LINE: &str = "\x1b[K";
/// Clears everything below the cursor.
const CLEAR_REST: &str = "\x1b[J";

/// Shows the status `count` times, or until the reader of stdout has gone.
pub(super) fn run(run_dir: &Path, request: &MasterRequest, count: Option<u64>) -> Result<Exit, AskError> {
    let in_place = stdout().is_terminal() && !request.json;
    let mut before: Option<CpuSample> = None;
    for shown in 1_u64.. {
        let began = Instant::now();
        let answer = client::ask(run_dir, &request.kind.request())?;
        let text = match &answer {
            ControlAnswer::Status(status) if !request.json => {
                let sample = CpuSample::of(status, began);
                let shares = before.as_ref().map(|before| sample.shares(before));
                before = Some(sample);
                frame(status, &shares.unwrap_or_default(), in_place)
            }
            other => {
                String::from_utf8_lossy(&rendered(ControlCommand::Status, other, request.json)).into_owned()
            }
        };
        let printed = print(text.as_bytes());
        if printed != PrintResult::Complete || count == Some(shown) {
            return Ok(printed.exit());
        }
        std::thread::sleep(INTERVAL.saturating_sub(began.elapsed()));
    }
    Ok(Exit::Stopped)
}

fn frame(status: &ClusterStatus, shares: &CpuShares, in_place: bool) -> String {
    if !in_place {
        return table::text(status, Some(shares)) + "\n";
    }
    // Looked at for each frame, because people resize terminals.
    let size = terminal_size::terminal_size_of(stdout());
    overwriting(&match size {
        Some((Width(columns), Height(lines))) => {
            let (columns, lines) = (columns.into(), lines.into());
            screen::text(status, Some(shares), ScreenSize { columns, lines })
        }
        // A terminal that says no size has any.
        None => table::text(status, Some(shares)),
    })
}

/// The text in place of the last one on a terminal.
fn overwriting(text: &str) -> String {
    let lines: String = text.lines().map(|line| format!("{CLEAR_LINE}{line}\n")).collect();
    format!("{HOME}{lines}{CLEAR_REST}")
}

/// The CPU time of each worker at one instant.
struct CpuSample {
    at: Instant,
    cpu_ms: BTreeMap<(Slot, Epoch), u64>,
}

impl CpuSample {
    fn of(status: &ClusterStatus, at: Instant) -> CpuSample {
        let in_slots = status.slots.iter().filter_map(|slot| slot.worker.as_ref());
        let cpu_ms = in_slots
            .chain(&status.beside)
            .filter_map(|worker| Some(((worker.slot, worker.epoch), worker.cpu_ms?)))
            .collect();
        CpuSample { at, cpu_ms }
    }

    #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
    fn shares(&self, before: &CpuSample) -> CpuShares {
        let wall = self.at.duration_since(before.at).as_secs_f64() * 1000.0;
        let share = |(life, &now): (&(Slot, Epoch), &u64)| {
            let used = now.saturating_sub(*before.cpu_ms.get(life)?);
            (wall > 0.0).then(|| (*life, used as f64 * 100.0 / wall))
        };
        self.cpu_ms.iter().filter_map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_one_cpu_and_only_for_workers_of_the_last_sample() {
        let now = Instant::now();
        let sample = |at, cpu: &[(u32, u64)]| CpuSample {
            at,
            cpu_ms: cpu
                .iter()
                .map(|&(epoch, ms)| ((Slot(0), Epoch(epoch)), ms))
                .collect(),
        };
        let shares = sample(now + INTERVAL, &[(1, 700), (2, 50)]).shares(&sample(now, &[(1, 200)]));
        assert_eq!(
            shares.into_iter().collect::<Vec<_>>(),
            [((Slot(0), Epoch(1)), 50.0)]
        );
    }

    #[test]
    fn a_frame_in_place_overwrites_the_last_one() {
        assert_eq!(overwriting("a\nb\n"), "\x1b[H\x1b[Ka\n\x1b[Kb\n\x1b[J");
    }
}
