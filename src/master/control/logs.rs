//! What the programs of the workers printed, from the rings of those that live and of those that have ended
//! lately. An answer is bounded; a client that is far behind asks again.

use std::collections::{BTreeMap, VecDeque};

use crate::base::ids::{Life, Slot};
use crate::control::{LifeOutput, OutputPosition, OutputReport};
use crate::master::host::Host;
use crate::output_ring::{OutputLine, OutputLines, OutputView};
use crate::pool::Pool;

/// The number of ended lives of one slot whose rings are kept.
const MAX_ENDED_PER_SLOT: usize = 2;
/// The text of one answer, in bytes: the lives share it.
const MAX_TEXT: usize = 1 << 20;

/// The rings of workers that have ended, the newest of each slot. A new master binary starts with none; the
/// last lines of each stand in its post-mortem.
#[derive(Debug, Default)]
pub(in crate::master) struct EndedOutputs {
    by_slot: BTreeMap<Slot, VecDeque<(Life, OutputView)>>,
}

impl EndedOutputs {
    /// Keeps the ring of a worker that has ended.
    pub(in crate::master) fn keep(&mut self, life: Life, ring: OutputView) {
        let slot = self.by_slot.entry(life.slot).or_default();
        slot.push_back((life, ring));
        if slot.len() > MAX_ENDED_PER_SLOT {
            slot.pop_front();
        }
    }

    fn all(&self) -> impl Iterator<Item = (Life, &OutputView)> {
        let rings = self.by_slot.values().flatten();
        rings.map(|(life, ring)| (*life, ring))
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogsQuery<'a> {
    /// One slot, or all.
    pub(super) slot: Option<Slot>,
    /// The number of lines that are wanted of a life of which no position is given.
    pub(super) lines: u32,
    pub(super) positions: &'a [OutputPosition],
}

/// The lines that the programs printed.
///
/// # Errors
/// When this cluster runs no program, or has no such slot, in words.
pub(super) fn logs(pool: &Pool, host: &Host, query: LogsQuery<'_>) -> Result<OutputReport, String> {
    let living = host.processes.values().filter_map(|process| {
        let output = process.output.as_ref()?;
        Some((process.facts.life, &output.view))
    });
    let rings: Vec<(Life, &OutputView)> = living.chain(host.ended_outputs.all()).collect();
    let runs_program = host
        .newest()
        .is_some_and(|generation| generation.settings.run.is_asked_for());
    if rings.is_empty() && !runs_program {
        return Err(
            "this cluster runs no program (`run`), so there are no lines of one; its own log is the stderr of \
             the master, under systemd: journalctl -u UNIT"
                .to_owned(),
        );
    }
    let slots = pool.workers();
    if let Some(slot) = query.slot
        && slot.0 >= slots
        && rings.iter().all(|(life, _)| life.slot != slot)
    {
        let last = slots.saturating_sub(1);
        return Err(format!("there is no slot {slot}; expected one from 0 to {last}"));
    }
    Ok(report(rings, query))
}

fn report(mut rings: Vec<(Life, &OutputView)>, query: LogsQuery<'_>) -> OutputReport {
    rings.retain(|(life, _)| query.slot.is_none_or(|slot| slot == life.slot));
    rings.sort_by_key(|(life, _)| *life);
    let share = MAX_TEXT / rings.len().max(1);
    let lives = rings.into_iter().map(|(life, ring)| {
        let position = query.positions.iter().find(|position| position.0 == life);
        let lines = match position {
            Some(position) => first_within(ring.lines_from(position.1), share),
            None => {
                let most = usize::try_from(query.lines).unwrap_or(usize::MAX);
                last_within(ring.last_lines(most), share)
            }
        };
        LifeOutput {
            life,
            pid: ring.pid(),
            lost: lines.lost,
            next: lines.next,
            lines: lines.lines,
        }
    });
    OutputReport {
        lives: lives.collect(),
    }
}

/// The oldest lines that have room, at least one; the client asks for the others next.
fn first_within(mut read: OutputLines, share: usize) -> OutputLines {
    let taken = within(read.lines.iter(), share);
    read.lines.truncate(taken);
    if let Some(last) = read.lines.last() {
        read.next = last.number.saturating_add(1);
    }
    read
}

/// The newest lines that have room, at least one.
fn last_within(mut read: OutputLines, share: usize) -> OutputLines {
    let taken = within(read.lines.iter().rev(), share);
    read.lines.drain(..read.lines.len() - taken);
    read
}

/// How many of these lines have room.
fn within<'a>(lines: impl Iterator<Item = &'a OutputLine>, share: usize) -> usize {
    let mut text = 0;
    let fits = |(number, line): &(usize, &OutputLine)| {
        text += line.text.len();
        *number == 0 || text <= share
    };
    lines.enumerate().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::output_ring::{OutputRing, OutputStream};

    fn ring(lines: usize) -> OutputView {
        let fd = OutputRing::create_fd("test").expect("a memfd");
        let view = OutputView::open(fd.as_fd()).expect("a view");
        let ring = OutputRing::open(fd).expect("a ring");
        for number in 0..lines {
            ring.push(OutputStream::Stdout, 0, format!("line {number}").as_bytes());
        }
        view
    }

    fn asked(
        rings: &[(Life, &OutputView)],
        slot: Option<u16>,
        lines: u32,
        from: &[(Life, u64)],
    ) -> Vec<LifeOutput> {
        let positions: Vec<OutputPosition> =
            from.iter().map(|&(life, at)| OutputPosition(life, at)).collect();
        let query = LogsQuery {
            slot: slot.map(Slot),
            lines,
            positions: &positions,
        };
        report(rings.to_vec(), query).lives
    }

    #[test]
    fn the_last_lines_come_first_and_then_those_that_are_new() {
        let (one, two) = (ring(30), ring(3));
        let rings = [(Life::of(1, 1, 1), &two), (Life::of(1, 0, 1), &one)];
        let lives = asked(&rings, None, 10, &[]);
        let counts: Vec<_> = lives
            .iter()
            .map(|life| (life.lines.len(), life.next, life.lost))
            .collect();
        assert_eq!(counts, [(10, 30, 0), (3, 3, 0)]);
        assert_eq!(lives[0].lines[0].text, "line 20");
        let lives = asked(
            &rings,
            Some(1),
            0,
            &[(Life::of(1, 1, 1), 1), (Life::of(9, 9, 9), 1)],
        );
        assert_eq!((lives.len(), lives[0].lines.len(), lives[0].next), (1, 2, 3));
        let lives = asked(&rings, None, 0, &[]);
        assert!(lives.iter().all(|life| life.lines.is_empty() && life.next > 0));
    }

    #[test]
    fn an_answer_is_bounded_and_what_is_left_comes_next() {
        let read = |count: usize| ring(count).lines_from(0);
        let first = first_within(read(100), 20);
        assert_eq!((first.lines.len(), first.next), (3, 3));
        assert_eq!(first_within(read(100), 0).next, 1);
        let last = last_within(read(100), 20);
        assert_eq!((last.lines[0].text.as_str(), last.next), ("line 98", 100));
        assert_eq!(first_within(read(0), 20), OutputLines::default());
    }

    #[test]
    fn the_newest_ended_lives_of_a_slot_are_kept() {
        let mut ended = EndedOutputs::default();
        for epoch in 1..=9 {
            ended.keep(Life::of(1, 0, epoch), ring(0));
        }
        ended.keep(Life::of(1, 3, 1), ring(0));
        let lives: Vec<String> = ended.all().map(|(life, _)| life.to_string()).collect();
        assert_eq!(lives, ["1/0/8", "1/0/9", "1/3/1"]);
    }
}
