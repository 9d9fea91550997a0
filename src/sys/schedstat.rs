//! What the scheduler says of the calling thread (`/proc/thread-self/schedstat`, see the kernel's sched-stats.rst).

use std::fs;
use std::time::Duration;

/// How long the calling thread has run and waited for a CPU until now, together; zero where the kernel does not
/// count it.
#[must_use]
pub fn busy_time_of_this_thread() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let mut fields = text.split(' ').map_while(|field| field.parse().ok());
    let (ran, waited): (u64, u64) = (fields.next().unwrap_or(0), fields.next().unwrap_or(0));
    Duration::from_nanos(ran.saturating_add(waited))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_is_busy() {
        let before = busy_time_of_this_thread();
        if before.is_zero() {
            return eprintln!("SKIPPED: this kernel does not count what its threads do");
        }
        let mut sum = 0_u64;
        while busy_time_of_this_thread().saturating_sub(before) < Duration::from_millis(2) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }
}
