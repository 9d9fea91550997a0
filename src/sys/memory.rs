//! Memory that was used once: heap, and the pages of code that only a start runs through.

use std::fs;

/// Gives what the allocator keeps for later back to the system, as after reading a configuration that is seldom read again.
/// A no-op where the C library is not glibc.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number, touches only memory that nobody owns, and may be called at any time.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// Unmaps this program's own code pages, of which most were only run through while starting; those that are still used come back
/// from the page cache at their next use, at the price of some dozens of minor faults.
pub fn forget_code() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let program = fs::read_link("/proc/self/exe").unwrap_or_default();
    let own = maps
        .lines()
        .filter(|line| line.ends_with(&*program.to_string_lossy()));
    for (start, length) in own.filter_map(code_range) {
        // SAFETY: the range is a private mapping of the program's file that may be executed and not written, as the kernel has just
        // told, so its pages are clean copies of the file: the next access reads the same bytes again.
        let _ = unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) };
    }
}

/// Start and length of a line of `/proc/PID/maps`, if it is code: `55d0c000-55d1f000 r-xp 00011000 fe:00 531 /bin/cluster`.
fn code_range(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (start, end) = (
        usize::from_str_radix(start, 16).ok()?,
        usize::from_str_radix(end, 16).ok()?,
    );
    (fields.next()? == "r-xp").then(|| (start, end.saturating_sub(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_forgotten() {
        let line = |mode: &str| format!("55d0c000-55d1f000 {mode} 00011000 fe:00 531 /bin/cluster");
        assert_eq!(code_range(&line("r-xp")), Some((0x55d0_c000, 0x1_3000)));
        for mode in ["r--p", "rw-p", "r-xs", "rwxp"] {
            assert_eq!(code_range(&line(mode)), None, "{mode}");
        }
    }

    #[test]
    fn a_program_that_forgot_its_code_runs_on() {
        forget_code();
        assert_eq!((1..=10).product::<u64>(), 3_628_800);
    }
}
