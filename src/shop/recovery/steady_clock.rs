//! The clock that orders are dated by and expire by: the wall clock, but for its steps.
//!
//! Wall clock minus time since boot is an offset that only a step changes. The offset that is trusted is kept
//! in a file, for every worker and for the next master. A step is followed once it has stood for some
//! seconds, so that what happens while the clock is wrong for a moment is neither dated nor expired by it.
//! One forward makes all that was dated before look older than it is: as much is kept longer, for as long as
//! anything is kept. One back makes it look younger, which does no harm but that it is kept longer. A restart
//! of the machine trusts its wall clock, since nothing else tells how long it was off.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::now_ms;
use crate::sys::clock::since_boot_ms;

/// The file in the data directory.
const FILE: &str = "clock.json";
/// A clock that is disciplined moves by less between two looks.
const STEP_MS: i64 = 2_000;
/// A step is followed when it has stood for so long.
const STANDS_MS: u64 = 10_000;
/// A worker may learn so much later than the keeper that a step was followed, and date by the clock before it
/// until then.
const LATE_MS: u64 = 60_000;
/// More steps are remembered as one.
const MOST_STEPS: usize = 8;

/// What is in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockState {
    /// Of which start of the machine.
    boot: String,
    /// The wall clock's milliseconds since 1970 at that start, as it is trusted.
    offset_ms: i64,
    /// The same as the wall clock has it since it was set, and when that was first seen, in milliseconds
    /// since the start.
    stepped: Option<(i64, u64)>,
    /// Steps forward that were followed: by how much, and when.
    followed: Vec<(u64, u64)>,
}

impl ClockState {
    fn new(boot: &str, offset_ms: i64) -> ClockState {
        ClockState {
            boot: boot.to_owned(),
            offset_ms,
            stepped: None,
            followed: Vec::new(),
        }
    }

    /// What to trust after another look, when nothing is kept for longer than `kept_ms`.
    fn after(mut self, boot: &str, offset_ms: i64, since_boot_ms: u64, kept_ms: u64) -> ClockState {
        if self.boot != boot {
            return ClockState::new(boot, offset_ms);
        }
        let is_near = |known: i64| known.abs_diff(offset_ms) <= STEP_MS.unsigned_abs();
        let matters = |at: u64| since_boot_ms.saturating_sub(at) <= kept_ms.saturating_add(LATE_MS);
        self.followed.retain(|(_, at)| matters(*at));
        match self.stepped {
            _ if is_near(self.offset_ms) => {
                self.offset_ms = offset_ms;
                self.stepped = None;
            }
            Some((stepped, since)) if is_near(stepped) => {
                if since_boot_ms.saturating_sub(since) >= STANDS_MS {
                    self.follow(offset_ms, since_boot_ms);
                }
            }
            Some(_) | None => self.stepped = Some((offset_ms, since_boot_ms)),
        }
        self
    }

    fn follow(&mut self, offset_ms: i64, since_boot_ms: u64) {
        if offset_ms > self.offset_ms {
            let by_ms = offset_ms.abs_diff(self.offset_ms);
            if self.followed.len() == MOST_STEPS {
                let (first, _) = self.followed.remove(0);
                self.followed[0].0 += first;
            }
            self.followed.push((by_ms, since_boot_ms));
        }
        self.offset_ms = offset_ms;
        self.stepped = None;
    }

    /// How much older than it is something may look.
    fn slack_ms(&self) -> u64 {
        self.followed.iter().map(|(by_ms, _)| by_ms).sum()
    }
}

/// The clock.
#[derive(Debug)]
pub(in crate::shop) struct SteadyClock {
    path: PathBuf,
    boot: String,
    trusted: Mutex<TrustedOffset>,
}

#[derive(Clone, Copy, Debug)]
struct TrustedOffset {
    offset_ms: i64,
    slack_ms: u64,
}

impl TrustedOffset {
    fn of(state: &ClockState) -> TrustedOffset {
        TrustedOffset {
            offset_ms: state.offset_ms,
            slack_ms: state.slack_ms(),
        }
    }

    fn now_ms(self) -> u64 {
        u64::try_from(self.offset_ms)
            .unwrap_or(0)
            .saturating_add(since_boot_ms())
    }
}

impl SteadyClock {
    /// Trusts what the file says, or the wall clock when there is none of this start of the machine.
    pub(in crate::shop) fn open(data_dir: &Path) -> SteadyClock {
        let path = data_dir.join(FILE);
        let boot = boot_id();
        let known = read(&path).filter(|state| state.boot == boot);
        let state = known.unwrap_or_else(|| ClockState::new(&boot, wall_offset_ms()));
        SteadyClock {
            path,
            boot,
            trusted: Mutex::new(TrustedOffset::of(&state)),
        }
    }

    /// As [`SteadyClock::open`]; whoever opens it afterwards trusts the same.
    pub(in crate::shop) fn begin(data_dir: &Path) -> SteadyClock {
        let almanac = SteadyClock::open(data_dir);
        let known = read(&almanac.path);
        if known.is_none_or(|state| state.boot != almanac.boot) {
            let state = ClockState::new(&almanac.boot, almanac.trusted().offset_ms);
            // The keeper tries again, and says so when it fails.
            drop(write(&almanac.path, &state));
        }
        almanac
    }

    /// What is dated now is dated by this: milliseconds since 1970.
    pub(in crate::shop) fn now_ms(&self) -> u64 {
        self.trusted().now_ms()
    }

    /// What was dated before this is older than `age`, whatever the clock was meanwhile: milliseconds since
    /// 1970.
    pub(in crate::shop) fn ago_ms(&self, age: Duration) -> u64 {
        let trusted = self.trusted();
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        trusted
            .now_ms()
            .saturating_sub(trusted.slack_ms)
            .saturating_sub(age)
    }

    /// Reads what the keeper wrote.
    pub(in crate::shop) fn look(&self) {
        if let Some(state) = read(&self.path).filter(|state| state.boot == self.boot) {
            self.trust(TrustedOffset::of(&state));
        }
    }

    /// The keeper's look at the wall clock, written down when it changed what is known.
    pub(in crate::shop) fn keep(&self, kept: Duration) -> io::Result<()> {
        let known = read(&self.path);
        let before = known
            .clone()
            .unwrap_or_else(|| ClockState::new(&self.boot, self.trusted().offset_ms));
        let kept_ms = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
        let after = before
            .clone()
            .after(&self.boot, wall_offset_ms(), since_boot_ms(), kept_ms);
        tell(&before, &after);
        self.trust(TrustedOffset::of(&after));
        let moved = |known: &ClockState| {
            known.boot != after.boot
                || known.stepped != after.stepped
                || known.followed != after.followed
                || known.offset_ms.abs_diff(after.offset_ms) > STEP_MS.unsigned_abs() / 2
        };
        if known.as_ref().is_none_or(moved) {
            write(&self.path, &after)?;
        }
        Ok(())
    }

    fn trusted(&self) -> TrustedOffset {
        *self.trusted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trust(&self, trusted: TrustedOffset) {
        *self.trusted.lock().unwrap_or_else(PoisonError::into_inner) = trusted;
    }
}

fn tell(before: &ClockState, after: &ClockState) {
    match after.stepped {
        Some((stepped, _)) if before.stepped != after.stepped => {
            let by_ms = stepped - after.offset_ms;
            tracing::warn!(
                by_ms,
                "the wall clock was set; it is followed when it has stood for {} s, and nothing expires by \
                 it before its time",
                STANDS_MS / 1_000
            );
        }
        None if before.stepped.is_some() && before.boot == after.boot => {
            let by_ms = after.offset_ms - before.offset_ms;
            tracing::info!(by_ms, "orders are dated by the wall clock as it is now");
        }
        Some(_) | None => {}
    }
}

fn wall_offset_ms() -> i64 {
    now_ms()
        .cast_signed()
        .saturating_sub(since_boot_ms().cast_signed())
}

/// The kernel's name for this start of the machine; empty where `/proc` has none, which trusts nothing across
/// restarts less.
fn boot_id() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    read.trim().to_owned()
}

/// A file that cannot be read or understood is as good as none.
fn read(path: &Path) -> Option<ClockState> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn write(path: &Path, state: &ClockState) -> io::Result<()> {
    let beside = path.with_extension(format!("json.{}", std::process::id()));
    std::fs::write(&beside, serde_json::to_vec(state)?)?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const KEPT: u64 = 90_000;

    fn looked(state: ClockState, offset_ms: i64, since_boot_ms: u64) -> ClockState {
        state.after("boot", offset_ms, since_boot_ms, KEPT)
    }

    /// The clock was set to `offset_ms` at that time, and was seen so until it was followed.
    fn followed(state: ClockState, offset_ms: i64, since_boot_ms: u64) -> ClockState {
        let seen = looked(state, offset_ms, since_boot_ms);
        looked(seen, offset_ms, since_boot_ms + STANDS_MS)
    }

    #[test]
    fn a_clock_that_is_wrong_for_a_moment_dates_nothing() {
        for by in [5 * HOUR, -26 * HOUR] {
            let state = looked(ClockState::new("boot", 0), by, 10_000);
            let state = looked(state, by + 1, 10_000 + STANDS_MS - 1);
            assert_eq!(state.offset_ms, 0);
            assert_eq!(looked(state, 7, 20_000), ClockState::new("boot", 7));
        }
    }

    #[test]
    fn what_was_dated_before_a_step_forward_is_not_older_for_it() {
        let state = followed(ClockState::new("boot", 0), 5 * HOUR, 10_000);
        assert_eq!(state.offset_ms, 5 * HOUR, "people want to read it");
        assert_eq!(state.slack_ms(), 5 * HOUR.unsigned_abs());
        let at = 20_000 + KEPT + LATE_MS;
        let state = looked(state, 5 * HOUR, at);
        assert_eq!(state.slack_ms(), 5 * HOUR.unsigned_abs());
        assert_eq!(looked(state, 5 * HOUR, at + 1).slack_ms(), 0, "all of it is gone");
    }

    #[test]
    fn what_was_dated_while_the_clock_was_back_is_not_older_when_it_is_right_again() {
        let state = followed(ClockState::new("boot", 0), -5 * HOUR, 10_000);
        assert_eq!((state.offset_ms, state.slack_ms()), (-5 * HOUR, 0));
        let state = followed(state, 0, 30_000);
        assert_eq!((state.offset_ms, state.slack_ms()), (0, 5 * HOUR.unsigned_abs()));
    }

    #[test]
    fn however_often_the_clock_is_set_the_sum_is_kept_and_the_file_stays_short() {
        let state = (1..50).fold(ClockState::new("boot", 0), |state, step| {
            followed(state, step * HOUR, step.unsigned_abs() * 1_000)
        });
        assert_eq!(state.followed.len(), MOST_STEPS);
        assert_eq!(state.slack_ms(), 49 * HOUR.unsigned_abs());
    }

    #[test]
    fn a_clock_that_drifts_is_followed_and_a_restarted_machine_believed() {
        let state = (1..1_000).fold(ClockState::new("boot", 0), |state, look| {
            looked(state, look * 100, look.unsigned_abs() * 2_000)
        });
        assert_eq!(state, ClockState::new("boot", 99_900));
        assert_eq!(
            state.after("next", 5 * HOUR, 1, KEPT),
            ClockState::new("next", 5 * HOUR)
        );
    }

    #[test]
    fn what_the_file_trusts_counts_until_the_wall_clock_has_stood() {
        let dir = tempfile::tempdir().unwrap();
        let wall = wall_offset_ms();
        for by in [5 * HOUR, -5 * HOUR] {
            write(&dir.path().join(FILE), &ClockState::new(&boot_id(), wall - by)).unwrap();
            let almanac = SteadyClock::open(dir.path());
            let is_wall_less_by = |ms: u64| (now_ms().cast_signed() - ms.cast_signed() - by).abs() < 60_000;
            assert!(is_wall_less_by(almanac.now_ms()));
            almanac.keep(Duration::from_secs(90)).unwrap();
            assert!(read(&dir.path().join(FILE)).unwrap().stepped.is_some());
            assert!(is_wall_less_by(almanac.now_ms()));
            almanac.look();
            assert!(is_wall_less_by(almanac.ago_ms(Duration::ZERO)));
        }
    }
}
