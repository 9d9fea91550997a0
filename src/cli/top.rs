//! `top`: a status every second, in place on a terminal, one after the other elsewhere. Each is a conversation of its own, so a
//! master that is replaced meanwhile is no end of it.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use super::request::Errand;
use super::run::{Printed, print, shown};
use super::table::{self, Shares};
use crate::base::exit::Exit;
use crate::base::ids::{Epoch, Slot};
use crate::control::client::{self, AskError};
use crate::control::{Answer, Ask, Status};

const EVERY: Duration = Duration::from_secs(1);
/// Home, and after the text: clear what is left of the last one.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K\n";
const CLEAR_REST: &str = "\x1b[J";

/// Looks `count` times, or until nobody reads any more.
pub(super) fn run(run_dir: &Path, errand: &Errand, count: Option<u64>) -> Result<Exit, AskError> {
    let in_place = stdout().is_terminal() && !errand.json;
    let mut before: Option<Look> = None;
    for seen in 1_u64.. {
        let began = Instant::now();
        let answer = client::ask(run_dir, &errand.task.request())?;
        let text = match &answer {
            Answer::Status(status) if !errand.json => {
                let look = Look::at(began, status);
                let shares = before.as_ref().map(|before| look.shares(before));
                before = Some(look);
                frame(&table::text(status, Some(&shares.unwrap_or_default())), in_place)
            }
            other => String::from_utf8_lossy(&shown(Ask::Status, other, errand.json)).into_owned(),
        };
        let printed = print(text.as_bytes());
        if printed != Printed::Whole || count == Some(seen) {
            return Ok(printed.exit());
        }
        std::thread::sleep(EVERY.saturating_sub(began.elapsed()));
    }
    Ok(Exit::Stopped)
}

fn frame(text: &str, in_place: bool) -> String {
    if in_place {
        format!("{HOME}{}{CLEAR_REST}", text.replace('\n', CLEAR_LINE))
    } else {
        format!("{text}\n")
    }
}

/// The CPU times at one look.
struct Look {
    at: Instant,
    cpu_ms: BTreeMap<(Slot, Epoch), u64>,
}

impl Look {
    fn at(at: Instant, status: &Status) -> Look {
        let in_slots = status.slots.iter().filter_map(|slot| slot.worker.as_ref());
        let cpu_ms = in_slots
            .chain(&status.beside)
            .filter_map(|worker| Some(((worker.slot, worker.epoch), worker.cpu_ms?)))
            .collect();
        Look { at, cpu_ms }
    }

    #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
    fn shares(&self, before: &Look) -> Shares {
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
    fn shares_are_of_one_cpu_and_only_of_those_who_were_there_before() {
        let now = Instant::now();
        let look = |at, cpu: &[(u32, u64)]| Look {
            at,
            cpu_ms: cpu
                .iter()
                .map(|&(epoch, ms)| ((Slot(0), Epoch(epoch)), ms))
                .collect(),
        };
        let shares = look(now + EVERY, &[(1, 700), (2, 50)]).shares(&look(now, &[(1, 200)]));
        assert_eq!(
            shares.into_iter().collect::<Vec<_>>(),
            [((Slot(0), Epoch(1)), 50.0)]
        );
    }

    #[test]
    fn a_frame_in_place_leaves_nothing_of_the_last_one() {
        assert_eq!(frame("a\nb\n", true), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(frame("a\n", false), "a\n\n");
    }
}
