//! What a late worker is doing, from two looks at `/proc`.

use super::process::Process;
use crate::base::time::Monotonic;
use crate::pool::Activity;
use crate::sys::procfs::{self, Stat};

/// Looks, compares with the last look, and keeps this one.
pub(super) fn examine(process: &mut Process, now: Monotonic) -> Activity {
    let Ok(stat) = procfs::stat(process.pid) else {
        return Activity::Unknown;
    };
    let before = process.looked.replace((now, stat));
    activity(before.map(|(_, stat)| stat), stat)
}

/// A runnable process whose CPU time stands still got no CPU. Without an earlier look to compare with it has the benefit of the
/// doubt. (`schedstat`'s waiting time is no use: it stands still while a task waits.)
fn activity(before: Option<Stat>, now: Stat) -> Activity {
    match now.state {
        'R' if before.is_some_and(|before| now.cpu_ticks > before.cpu_ticks) => Activity::Spinning,
        'R' => Activity::Starved,
        'T' | 't' => Activity::Stopped,
        'S' | 'D' | 'I' => Activity::Blocked,
        _ => Activity::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(state: char, cpu_ticks: u64) -> Stat {
        Stat {
            state,
            cpu_ticks,
            started: 1,
        }
    }

    #[test]
    fn a_runnable_worker_without_cpu_time_is_starved_and_not_hung() {
        assert_eq!(activity(None, stat('R', 9)), Activity::Starved);
        assert_eq!(activity(Some(stat('R', 9)), stat('R', 9)), Activity::Starved);
        assert_eq!(activity(Some(stat('R', 9)), stat('R', 10)), Activity::Spinning);
        assert_eq!(activity(None, stat('T', 9)), Activity::Stopped);
        assert_eq!(activity(None, stat('D', 9)), Activity::Blocked);
    }
}
