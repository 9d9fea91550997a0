//! The file that a program's output goes to instead of the log (`run.log_file`). It is written to and never
//! opened here: the master opens it, which may be another user. What it does not take is dropped and counted.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

/// The file, as the master has opened it for appending.
#[derive(Debug)]
pub(super) struct OutputFile {
    file: File,
    /// Whether the last byte that was written is within a line.
    within_line: bool,
    /// The number of lines that were dropped since the last write that succeeded.
    dropped: u64,
}

impl OutputFile {
    pub(super) fn new(file: OwnedFd) -> OutputFile {
        OutputFile {
            file: file.into(),
            within_line: false,
            dropped: 0,
        }
    }

    /// Appends whole lines, each with its end, in one write, so that those of several workers do not mix.
    pub(super) fn append(&mut self, lines: &[u8]) {
        let torn: &[u8] = if self.within_line { b"\n" } else { b"" };
        let all = [torn, lines].concat();
        let (written, result) = write_all(&mut self.file, &all);
        if let Some(last) = written.checked_sub(1) {
            self.within_line = all[last] != b'\n';
        }
        match result {
            Ok(()) => self.report_dropped(),
            Err(error) => self.drop_lines(&all[written.max(torn.len())..], &error),
        }
    }

    fn report_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            tracing::warn!("run.log_file takes lines again; {dropped} lines of the program were dropped");
        }
    }

    fn drop_lines(&mut self, lines: &[u8], error: &io::Error) {
        if self.dropped == 0 {
            tracing::warn!(
                %error,
                "failed to write what the program prints to run.log_file; its lines are dropped until the file \
                 takes them again"
            );
        }
        self.dropped += memchr::memchr_iter(b'\n', lines).count() as u64;
    }
}

/// Writes as many bytes as are taken; returns their number, and why it was not all.
fn write_all(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_a_full_pipe_does_not_take_is_dropped_whole_and_counted() {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
        nix::fcntl::fcntl(&writer, flags).expect("set");
        let mut file = OutputFile::new(writer.into());
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..100 {
            file.append(&line.repeat(3));
        }
        let dropped = file.dropped;
        assert!(dropped > 0);
        let mut buffer = vec![0; 1 << 20];
        let taken = reader.read(&mut buffer).expect("read");
        file.append(b"next\n");
        file.append(b"last\n");
        drop(file);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).expect("read");
        let text = String::from_utf8_lossy(&buffer[..taken]) + rest.as_str();
        let whole = text.lines().filter(|text| text.len() == 999).count() as u64;
        assert_eq!(whole + dropped, 300, "a torn line counts as dropped");
        assert!(text.ends_with("\nnext\nlast\n"), "{:?}", &text[text.len() - 30..]);
    }
}
