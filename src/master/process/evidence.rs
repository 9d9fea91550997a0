//! What a late worker is doing, from two samples of `/proc`.

use super::worker_process::WorkerProcess;
use crate::base::time::Monotonic;
use crate::pool::Activity;
use crate::sys::procfs::{self, ProcessStat};

/// Samples `/proc`, compares with the last sample, and keeps this one.
pub(in crate::master) fn examine(process: &mut WorkerProcess, now: Monotonic) -> Activity {
    let Ok(stat) = procfs::stat(process.facts.pid) else {
        return Activity::Unknown;
    };
    let before = process.facts.last_stat.replace((now, stat));
    activity(
        before.map(|(_, stat)| stat),
        stat,
        &procfs::thread_states(process.facts.pid),
    )
}

/// A runnable process whose CPU time does not advance got no CPU. Without an earlier sample the process is
/// taken as starved. (The waiting time of `schedstat` is of no use: it does not advance while a task waits.)
///
/// The state of a process is that of its first thread, which may sleep while a thread that writes a database
/// is late, so the other threads are looked at as well.
fn activity(before: Option<ProcessStat>, now: ProcessStat, threads: &[char]) -> Activity {
    let has = |state| now.state == state || threads.contains(&state);
    match now.state {
        'T' | 't' => Activity::Stopped,
        'R' | 'S' | 'D' | 'I' if has('R') => {
            if before.is_some_and(|before| now.cpu_ticks > before.cpu_ticks) {
                Activity::Spinning
            } else {
                Activity::Starved
            }
        }
        'S' | 'D' | 'I' if has('D') => Activity::Disk,
        'S' | 'D' | 'I' => Activity::Blocked,
        _ => Activity::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(state: char, cpu_ticks: u64) -> ProcessStat {
        ProcessStat {
            state,
            cpu_ticks,
            started: 1,
        }
    }

    #[test]
    fn a_runnable_worker_without_cpu_time_is_starved_and_not_hung() {
        let first = |before, now| activity(before, now, &[now.state]);
        assert_eq!(first(None, stat('R', 9)), Activity::Starved);
        assert_eq!(first(Some(stat('R', 9)), stat('R', 9)), Activity::Starved);
        assert_eq!(first(Some(stat('R', 9)), stat('R', 10)), Activity::Spinning);
        assert_eq!(first(None, stat('T', 9)), Activity::Stopped);
        assert_eq!(first(None, stat('S', 9)), Activity::Blocked);
    }

    #[test]
    fn a_thread_that_starves_or_waits_for_a_disk_is_seen_though_the_first_one_sleeps() {
        let asleep = |before, ticks, threads: &[char]| activity(before, stat('S', ticks), threads);
        assert_eq!(
            asleep(Some(stat('S', 9)), 9, &['S', 'S', 'R', 'D']),
            Activity::Starved
        );
        assert_eq!(asleep(Some(stat('S', 9)), 11, &['S', 'R']), Activity::Spinning);
        assert_eq!(asleep(None, 9, &['S', 'D', 'S']), Activity::Disk);
        assert_eq!(activity(None, stat('D', 9), &['D']), Activity::Disk);
        assert_eq!(asleep(None, 9, &['S', 'S']), Activity::Blocked);
        assert_eq!(
            activity(None, stat('T', 9), &['T', 'D']),
            Activity::Stopped,
            "whatever it waited for"
        );
    }
}
