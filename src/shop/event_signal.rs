//! By what those who write events signal to those who wait for them, whichever engine has the events.

use std::path::Path;

use crate::sys::file_signal::FileSignal;

/// The file in the data directory.
pub(in crate::shop) const SIGNAL_FILE: &str = "events.signal";

/// What signals for a process that writes events; to be kept open until it ends.
///
/// # Errors
/// The system's.
pub(in crate::shop) fn signal(data_dir: &Path) -> std::io::Result<FileSignal> {
    FileSignal::open(&data_dir.join(SIGNAL_FILE))
}
