//! Which binary this master runs, for operators who want to know whether their upgrade took effect.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::base::time::Monotonic;
use crate::sys::clock;

/// The running binary, and since when this process has run it.
#[derive(Clone, Debug)]
pub(in crate::master) struct Build {
    /// The version that the binary calls itself.
    pub(in crate::master) version: &'static str,
    /// When its file was written (RFC 3339, UTC), as far as the file system tells.
    pub(in crate::master) modified: Option<String>,
    /// Since when this process has run it.
    pub(in crate::master) since: Monotonic,
}

impl Build {
    /// The binary of this process. `/proc/self/exe` is the running file, even when its path holds another
    /// file by now.
    pub(in crate::master) fn of_this_process(version: &'static str) -> Build {
        let modified = std::fs::metadata("/proc/self/exe").and_then(|found| found.modified());
        Build {
            version,
            modified: modified.ok().and_then(formatted),
            since: clock::now(),
        }
    }
}

/// The instant to the second, in UTC.
fn formatted(at: SystemTime) -> Option<String> {
    OffsetDateTime::from(at)
        .replace_nanosecond(0)
        .ok()?
        .format(&Rfc3339)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_binary_has_a_date() {
        let build = Build::of_this_process("1");
        assert!(build.modified.expect("a date").ends_with('Z'));
        assert_eq!(
            formatted(SystemTime::UNIX_EPOCH).as_deref(),
            Some("1970-01-01T00:00:00Z")
        );
    }
}
