//! The one clock of the shop: every row of every file is dated by it, the ledger of the sandbox included, and
//! keys and orders expire by it. It is the wall clock without its steps.
//!
//! Wall clock minus time since boot is an offset that changes only when the wall clock is set. A file keeps
//! the trusted offset for every worker and for the next master. A step of the wall clock is followed once it
//! has lasted for some seconds, so that nothing is dated or expired by a clock that is wrong for a moment.
//! After a forward step everything dated earlier looks too old, so retention is extended by the step for as
//! long as anything is retained. After a backward step earlier dates look too young, and what they date is
//! merely kept longer. After a restart of the machine its wall clock is trusted, because nothing else tells
//! how long the machine was off.
//!
//! Where the databases are a server's, the clock of the server takes the place of the wall clock, so that all
//! hosts date alike whatever their own clocks show.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::now_ms;
use crate::sys::clock::since_boot_ms;
use crate::sys::private_file;

/// The file in the data directory.
pub(in crate::shop) const FILE: &str = "clock.json";
/// A change of the offset from which on it counts as a step, in milliseconds. A disciplined clock moves by
/// less between two observations.
const STEP_MS: i64 = 2_000;
/// How long a step must last before it is followed, in milliseconds.
const STEP_LASTS_MS: u64 = 10_000;
/// How much later than the leader another worker may learn of a followed step, in milliseconds. Until then
/// that worker dates by the clock before the step.
const LEARNT_LATE_MS: u64 = 60_000;
/// How many steps are remembered; older ones are added together.
const MAX_STEPS: usize = 8;
/// How often both clocks are read at most to find their difference.
const MAX_READINGS: usize = 5;

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockState {
    /// The kernel's name for the start of the machine that the offset belongs to.
    boot: String,
    /// The trusted wall-clock time of that start, in milliseconds since 1970.
    offset_ms: i64,
    /// The time of that start by the wall clock after a step that is not followed yet, and when the step was
    /// first seen, in milliseconds since the start.
    stepped: Option<(i64, u64)>,
    /// Forward steps that were followed: the size of each, and when it was followed, both in milliseconds.
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

    /// The state after another observation of the wall clock, when nothing is retained for longer than
    /// `kept_ms`.
    fn observed(mut self, boot: &str, offset_ms: i64, since_boot_ms: u64, kept_ms: u64) -> ClockState {
        if self.boot != boot {
            return ClockState::new(boot, offset_ms);
        }
        let is_near = |known: i64| known.abs_diff(offset_ms) <= STEP_MS.unsigned_abs();
        let matters = |at: u64| since_boot_ms.saturating_sub(at) <= kept_ms.saturating_add(LEARNT_LATE_MS);
        self.followed.retain(|(_, at)| matters(*at));
        match self.stepped {
            _ if is_near(self.offset_ms) => {
                self.offset_ms = offset_ms;
                self.stepped = None;
            }
            Some((stepped, since)) if is_near(stepped) => {
                if since_boot_ms.saturating_sub(since) >= STEP_LASTS_MS {
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
            if self.followed.len() == MAX_STEPS {
                let (first, _) = self.followed.remove(0);
                self.followed[0].0 += first;
            }
            self.followed.push((by_ms, since_boot_ms));
        }
        self.offset_ms = offset_ms;
        self.stepped = None;
    }

    /// By how many milliseconds a date may look older than it is.
    fn slack_ms(&self) -> u64 {
        self.followed.iter().map(|(by_ms, _)| by_ms).sum()
    }
}

/// The clock of one worker.
#[derive(Debug)]
pub(in crate::shop) struct SteadyClock {
    path: PathBuf,
    boot: String,
    trusted: Mutex<TrustedOffset>,
    /// What is followed instead of the wall clock: the clock of a server, as its time when this machine was
    /// started, in milliseconds since 1970.
    server: Mutex<Option<i64>>,
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
    /// Trusts the offset in the file, or the wall clock when the file is not of this start of the machine.
    pub(in crate::shop) fn open(data_dir: &Path) -> SteadyClock {
        SteadyClock::following(data_dir, None)
    }

    fn following(data_dir: &Path, server: Option<i64>) -> SteadyClock {
        let path = data_dir.join(FILE);
        let boot = boot_id();
        let known = read(&path).filter(|state| state.boot == boot);
        let state = known.unwrap_or_else(|| ClockState::new(&boot, server.unwrap_or_else(wall_offset_ms)));
        SteadyClock {
            path,
            boot,
            trusted: Mutex::new(TrustedOffset::of(&state)),
            server: Mutex::new(server),
        }
    }

    /// As [`SteadyClock::open`], and writes the offset down, so that later workers trust the same one.
    pub(in crate::shop) fn begin(data_dir: &Path) -> SteadyClock {
        SteadyClock::open(data_dir).begun()
    }

    /// As [`SteadyClock::begin`], of a server whose clock showed `server_ms` (milliseconds since 1970) when
    /// this machine had been up for so long.
    #[cfg(feature = "postgres")]
    pub(in crate::shop) fn begin_at_server(data_dir: &Path, server_ms: u64, up: Duration) -> SteadyClock {
        let server = offset_ms(server_ms, up);
        let ahead_ms = wall_offset_ms().saturating_sub(server);
        if ahead_ms.abs() > STEP_MS {
            tracing::warn!(
                by_ms = ahead_ms,
                "the clock of this host is not that of the database's server, and orders are dated by the \
                 server's"
            );
        }
        SteadyClock::following(data_dir, Some(server)).begun()
    }

    /// The clock of the server showed `server_ms` when this machine had been up for so long.
    #[cfg(feature = "postgres")]
    pub(in crate::shop) fn follow_server(&self, server_ms: u64, up: Duration) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(offset_ms(server_ms, up));
    }

    fn begun(self) -> SteadyClock {
        let clock = self;
        let known = read(&clock.path);
        if known.is_none_or(|state| state.boot != clock.boot) {
            let state = ClockState::new(&clock.boot, clock.trusted().offset_ms);
            // The leader of the maintenance tries again, and logs when that fails.
            drop(write(&clock.path, &state));
        }
        clock
    }

    /// The time to date records by, in milliseconds since 1970.
    pub(in crate::shop) fn now_ms(&self) -> u64 {
        self.trusted().now_ms()
    }

    /// The time before which every date is older than `age`, whatever steps the clock made: milliseconds
    /// since 1970.
    pub(in crate::shop) fn ago_ms(&self, age: Duration) -> u64 {
        let trusted = self.trusted();
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        trusted
            .now_ms()
            .saturating_sub(trusted.slack_ms)
            .saturating_sub(age)
    }

    /// Reads what the leader of the maintenance wrote.
    pub(in crate::shop) fn reload(&self) {
        if let Some(state) = read(&self.path).filter(|state| state.boot == self.boot) {
            self.trust(TrustedOffset::of(&state));
        }
    }

    /// Observes the wall clock, and writes the state down when it changed. For the leader of the maintenance
    /// only. Only what is written down is trusted, so that all workers date by the same offset.
    pub(in crate::shop) fn observe(&self, kept: Duration) -> io::Result<()> {
        let known = read(&self.path);
        let before = known
            .clone()
            .unwrap_or_else(|| ClockState::new(&self.boot, self.trusted().offset_ms));
        let kept_ms = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
        let after = before
            .clone()
            .observed(&self.boot, self.followed_offset_ms(), since_boot_ms(), kept_ms);
        log_change(&before, &after);
        let moved = |known: &ClockState| {
            known.boot != after.boot
                || known.stepped != after.stepped
                || known.followed != after.followed
                || known.offset_ms.abs_diff(after.offset_ms) > STEP_MS.unsigned_abs() / 2
        };
        if known.as_ref().is_none_or(moved) {
            write(&self.path, &after)?;
            self.trust(TrustedOffset::of(&after));
        } else {
            self.trust(TrustedOffset::of(&before));
        }
        Ok(())
    }

    /// The offset of the clock that is followed.
    fn followed_offset_ms(&self) -> i64 {
        let server = *self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.unwrap_or_else(wall_offset_ms)
    }

    fn trusted(&self) -> TrustedOffset {
        *self.trusted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trust(&self, trusted: TrustedOffset) {
        *self.trusted.lock().unwrap_or_else(PoisonError::into_inner) = trusted;
    }
}

fn log_change(before: &ClockState, after: &ClockState) {
    match after.stepped {
        Some((stepped, _)) if before.stepped != after.stepped => {
            let by_ms = stepped - after.offset_ms;
            tracing::warn!(
                by_ms,
                "the wall clock was set; the new time is used once it has lasted for {} s, and nothing \
                 expires early by it",
                STEP_LASTS_MS / 1_000
            );
        }
        None if before.stepped.is_some() && before.boot == after.boot => {
            let by_ms = after.offset_ms - before.offset_ms;
            tracing::info!(by_ms, "orders are dated by the wall clock again");
        }
        Some(_) | None => {}
    }
}

/// The wall clock minus the time since boot. The process may be stopped between the two readings, so the wall
/// clock is read between two readings of the time since boot, until these agree or for a few times.
fn wall_offset_ms() -> i64 {
    let read = || {
        let (before, wall) = (since_boot_ms(), now_ms());
        let took = since_boot_ms() - before;
        (took, wall.cast_signed().saturating_sub(before.cast_signed()))
    };
    let mut best = read();
    for _ in 1..MAX_READINGS {
        if best.0 == 0 {
            break;
        }
        best = best.min(read());
    }
    best.1
}

/// What a clock shows minus the time since boot.
#[cfg(feature = "postgres")]
fn offset_ms(shown_ms: u64, up: Duration) -> i64 {
    let up_ms = i64::try_from(up.as_millis()).unwrap_or(i64::MAX);
    shown_ms.cast_signed().saturating_sub(up_ms)
}

/// The kernel's name for this start of the machine; empty where `/proc` has none.
fn boot_id() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    read.trim().to_owned()
}

/// Reads the file; `None` also when it cannot be understood.
fn read(path: &Path) -> Option<ClockState> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn write(path: &Path, state: &ClockState) -> io::Result<()> {
    let beside = path.with_extension(format!("json.{}", std::process::id()));
    private_file::write(&beside, &serde_json::to_vec(state)?)?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const KEPT: u64 = 90_000;

    fn observe(state: ClockState, offset_ms: i64, since_boot_ms: u64) -> ClockState {
        state.observed("boot", offset_ms, since_boot_ms, KEPT)
    }

    /// The clock was set to `offset_ms` at that time, and was seen so until it was followed.
    fn follow(state: ClockState, offset_ms: i64, since_boot_ms: u64) -> ClockState {
        let seen = observe(state, offset_ms, since_boot_ms);
        observe(seen, offset_ms, since_boot_ms + STEP_LASTS_MS)
    }

    #[test]
    fn a_clock_that_is_wrong_for_a_moment_dates_nothing() {
        for by in [5 * HOUR, -26 * HOUR] {
            let state = observe(ClockState::new("boot", 0), by, 10_000);
            let state = observe(state, by + 1, 10_000 + STEP_LASTS_MS - 1);
            assert_eq!(state.offset_ms, 0);
            assert_eq!(observe(state, 7, 20_000), ClockState::new("boot", 7));
        }
    }

    #[test]
    fn what_was_dated_before_a_step_forward_is_not_older_for_it() {
        let state = follow(ClockState::new("boot", 0), 5 * HOUR, 10_000);
        assert_eq!(state.offset_ms, 5 * HOUR, "people want to read it");
        assert_eq!(state.slack_ms(), 5 * HOUR.unsigned_abs());
        let at = 20_000 + KEPT + LEARNT_LATE_MS;
        let state = observe(state, 5 * HOUR, at);
        assert_eq!(state.slack_ms(), 5 * HOUR.unsigned_abs());
        assert_eq!(
            observe(state, 5 * HOUR, at + 1).slack_ms(),
            0,
            "all of it is gone"
        );
    }

    #[test]
    fn what_was_dated_while_the_clock_was_back_is_not_older_when_it_is_right_again() {
        let state = follow(ClockState::new("boot", 0), -5 * HOUR, 10_000);
        assert_eq!((state.offset_ms, state.slack_ms()), (-5 * HOUR, 0));
        let state = follow(state, 0, 30_000);
        assert_eq!((state.offset_ms, state.slack_ms()), (0, 5 * HOUR.unsigned_abs()));
    }

    #[test]
    fn however_often_the_clock_is_set_the_sum_is_kept_and_the_file_stays_short() {
        let state = (1..50).fold(ClockState::new("boot", 0), |state, step| {
            follow(state, step * HOUR, step.unsigned_abs() * 1_000)
        });
        assert_eq!(state.followed.len(), MAX_STEPS);
        assert_eq!(state.slack_ms(), 49 * HOUR.unsigned_abs());
    }

    #[test]
    fn a_clock_that_drifts_is_followed_and_a_restarted_machine_believed() {
        let state = (1..1_000).fold(ClockState::new("boot", 0), |state, look| {
            observe(state, look * 100, look.unsigned_abs() * 2_000)
        });
        assert_eq!(state, ClockState::new("boot", 99_900));
        assert_eq!(
            state.observed("next", 5 * HOUR, 1, KEPT),
            ClockState::new("next", 5 * HOUR)
        );
    }

    #[test]
    fn every_process_dates_by_what_the_file_says() {
        let dir = tempfile::tempdir().unwrap();
        let wall = wall_offset_ms();
        write(
            &dir.path().join(FILE),
            &ClockState::new(&boot_id(), wall - STEP_MS / 4),
        )
        .unwrap();
        let (keeper, other) = (SteadyClock::open(dir.path()), SteadyClock::open(dir.path()));
        keeper.observe(Duration::from_secs(90)).unwrap();
        other.reload();
        assert_eq!(keeper.trusted().offset_ms, other.trusted().offset_ms);
    }

    #[test]
    fn what_the_file_trusts_counts_until_the_wall_clock_has_stood() {
        let dir = tempfile::tempdir().unwrap();
        let wall = wall_offset_ms();
        for by in [5 * HOUR, -5 * HOUR] {
            write(&dir.path().join(FILE), &ClockState::new(&boot_id(), wall - by)).unwrap();
            let clock = SteadyClock::open(dir.path());
            let is_wall_less_by = |ms: u64| (now_ms().cast_signed() - ms.cast_signed() - by).abs() < 60_000;
            assert!(is_wall_less_by(clock.now_ms()));
            clock.observe(Duration::from_secs(90)).unwrap();
            assert!(read(&dir.path().join(FILE)).unwrap().stepped.is_some());
            assert!(is_wall_less_by(clock.now_ms()));
            clock.reload();
            assert!(is_wall_less_by(clock.ago_ms(Duration::ZERO)));
        }
    }
}
