//! The standard output and error of this process. It must not know who reads them.

use std::fs::File;
use std::io;

/// From now on what this process prints is lost: nobody reads the pipes behind its output any more, and a
/// write to them would fail.
///
/// # Errors
/// When `/dev/null` cannot be opened.
pub fn discard() -> io::Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}
