//! What expires goes by this time, not by the wall clock, so that a clock that is set by hours makes nothing expire early.
//!
//! Wall clock minus time since boot is an offset that only a step changes. The offset that is trusted is kept in a file, for every
//! worker and for the next master. One further back is trusted at once: things are kept longer. One further on is trusted only
//! when it has stood for as long as anything is kept, for by then all that was dated by the old one is gone; so a clock that is
//! set back and right again makes nothing of the meantime older, either. A restart of the machine trusts its wall clock, since
//! nothing else tells how long it was off.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::now_ms;
use crate::sys::clock::since_boot_ms;

/// The file in the data directory.
const FILE: &str = "clock.json";
/// A clock that is disciplined moves by less between two looks.
const STEP_MS: i64 = 2_000;

/// What is in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Anchor {
    /// Of which start of the machine.
    boot: String,
    /// The wall clock's milliseconds since 1970 at that start, as it is trusted.
    offset_ms: i64,
    /// The same as the wall clock has it since it was set forward, and when that was first seen, in milliseconds since the start.
    stepped: Option<(i64, u64)>,
}

impl Anchor {
    fn new(boot: &str, offset_ms: i64) -> Anchor {
        Anchor {
            boot: boot.to_owned(),
            offset_ms,
            stepped: None,
        }
    }

    /// What to trust after another look, when nothing is kept for longer than `kept_ms`.
    fn after(self, boot: &str, offset_ms: i64, since_boot_ms: u64, kept_ms: u64) -> Anchor {
        let is_near = |known: i64| known.abs_diff(offset_ms) <= STEP_MS.unsigned_abs();
        if self.boot != boot || is_near(self.offset_ms) || offset_ms < self.offset_ms {
            return Anchor::new(boot, offset_ms);
        }
        match self.stepped {
            Some((stepped, since)) if is_near(stepped) => {
                if since_boot_ms.saturating_sub(since) > kept_ms {
                    Anchor::new(boot, offset_ms)
                } else {
                    self
                }
            }
            Some(_) | None => Anchor {
                stepped: Some((offset_ms, since_boot_ms)),
                ..self
            },
        }
    }
}

/// The time that expiry goes by.
#[derive(Debug)]
pub(super) struct Almanac {
    path: PathBuf,
    boot: String,
    offset_ms: AtomicI64,
}

impl Almanac {
    /// Trusts what the file says, or the wall clock when there is none of this start of the machine.
    pub(super) fn open(data_dir: &Path) -> Almanac {
        let path = data_dir.join(FILE);
        let boot = boot_id();
        let known = read(&path).filter(|anchor| anchor.boot == boot);
        let offset_ms = known.map_or_else(wall_offset_ms, |anchor| anchor.offset_ms);
        Almanac {
            path,
            boot,
            offset_ms: AtomicI64::new(offset_ms),
        }
    }

    /// Milliseconds since 1970: never ahead of the wall clock, and never moved forward by a step of it.
    pub(super) fn now_ms(&self) -> u64 {
        let offset = self.offset_ms.load(Ordering::Relaxed).min(wall_offset_ms());
        u64::try_from(offset).unwrap_or(0).saturating_add(since_boot_ms())
    }

    /// Reads what the keeper wrote.
    pub(super) fn look(&self) {
        if let Some(anchor) = read(&self.path).filter(|anchor| anchor.boot == self.boot) {
            self.offset_ms.store(anchor.offset_ms, Ordering::Relaxed);
        }
    }

    /// The keeper's look at the wall clock, written down when it changed what is known.
    pub(super) fn keep(&self, kept: Duration) -> io::Result<()> {
        let known = read(&self.path);
        let trusted = self.offset_ms.load(Ordering::Relaxed);
        let before = known.clone().unwrap_or_else(|| Anchor::new(&self.boot, trusted));
        let kept_ms = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
        let after = before.after(&self.boot, wall_offset_ms(), since_boot_ms(), kept_ms);
        self.offset_ms.store(after.offset_ms, Ordering::Relaxed);
        let moved = |known: &Anchor| {
            known.boot != after.boot
                || known.stepped != after.stepped
                || known.offset_ms.abs_diff(after.offset_ms) > STEP_MS.unsigned_abs() / 2
        };
        if known.as_ref().is_none_or(moved) {
            if let Some((stepped, _)) = after.stepped {
                let by_ms = stepped - after.offset_ms;
                tracing::warn!(
                    by_ms,
                    "the wall clock was set; nothing expires by it before its time"
                );
            }
            write(&self.path, &after)?;
        }
        Ok(())
    }
}

fn wall_offset_ms() -> i64 {
    now_ms()
        .cast_signed()
        .saturating_sub(since_boot_ms().cast_signed())
}

/// The kernel's name for this start of the machine; empty where `/proc` has none, which trusts nothing across restarts less.
fn boot_id() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    read.trim().to_owned()
}

/// A file that cannot be read or understood is as good as none.
fn read(path: &Path) -> Option<Anchor> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn write(path: &Path, anchor: &Anchor) -> io::Result<()> {
    let beside = path.with_extension("json.new");
    std::fs::write(&beside, serde_json::to_vec(anchor)?)?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const KEPT: u64 = 90_000;

    fn looked(anchor: Anchor, offset_ms: i64, since_boot_ms: u64) -> Anchor {
        anchor.after("boot", offset_ms, since_boot_ms, KEPT)
    }

    #[test]
    fn a_step_is_not_trusted_before_all_that_was_dated_before_it_is_gone() {
        let set = 5 * HOUR;
        let mut anchor = looked(Anchor::new("boot", 0), set, 10_000);
        for at in [10_000, 50_000, 100_000] {
            anchor = looked(anchor, set + 1, at);
            assert_eq!(anchor.offset_ms, 0);
        }
        assert_eq!(looked(anchor, set, 100_001).offset_ms, set);
    }

    #[test]
    fn what_was_dated_while_the_clock_was_wrong_is_not_old_when_it_is_right_again() {
        let anchor = looked(Anchor::new("boot", 0), -5 * HOUR, 10_000);
        assert_eq!(anchor.offset_ms, -5 * HOUR, "further back is trusted at once");
        let anchor = looked(looked(anchor, 0, 20_000), 0, 110_000);
        assert_eq!(anchor.offset_ms, -5 * HOUR, "a key of then is as young as it is");
        assert_eq!(looked(anchor, 0, 110_001).offset_ms, 0);
    }

    #[test]
    fn a_clock_that_is_set_back_is_as_if_it_had_never_been_set() {
        let anchor = Anchor::new("boot", 0);
        let anchor = looked(anchor, 5 * HOUR, 10_000);
        let anchor = looked(anchor, 7, 20_000);
        assert_eq!(anchor, Anchor::new("boot", 7));
    }

    #[test]
    fn a_clock_that_drifts_is_followed_and_a_restarted_machine_believed() {
        let anchor = (1..1_000).fold(Anchor::new("boot", 0), |anchor, look| {
            looked(anchor, look * 100, look.unsigned_abs() * 2_000)
        });
        assert_eq!(anchor, Anchor::new("boot", 99_900));
        assert_eq!(
            anchor.after("next", 5 * HOUR, 1, KEPT),
            Anchor::new("next", 5 * HOUR)
        );
    }

    #[test]
    fn what_the_file_trusts_counts_where_the_wall_clock_is_ahead_and_the_wall_clock_where_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let wall = wall_offset_ms();
        let trusting = |offset_ms| {
            write(&dir.path().join(FILE), &Anchor::new(&boot_id(), offset_ms)).unwrap();
            Almanac::open(dir.path())
        };
        let set_forward = trusting(wall - 5 * HOUR);
        assert!(now_ms().abs_diff(set_forward.now_ms() + 5 * HOUR.unsigned_abs()) < 60_000);
        set_forward.keep(Duration::from_secs(90)).unwrap();
        assert!(read(&dir.path().join(FILE)).unwrap().stepped.is_some());
        assert!(now_ms().abs_diff(set_forward.now_ms() + 5 * HOUR.unsigned_abs()) < 60_000);
        let set_back = trusting(wall + 5 * HOUR);
        assert!(set_back.now_ms() <= now_ms());
        set_back.look();
        assert!(set_back.now_ms() <= now_ms());
    }
}
