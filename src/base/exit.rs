//! The book of exit codes: every code a master, a worker or a command of ours ends with, once. Printed by `--help`. Where
//! sysexits.h has a number for the case it is that one. Stable: a number never changes its meaning.

use std::process::ExitCode;

macro_rules! book {
    ($($name:ident = $code:literal, $doc:literal;)*) => {
        /// Why a process of ours ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Exit {
            $(#[doc = $doc] $name = $code,)*
        }

        impl Exit {
            /// Every entry, by number.
            pub const ALL: &'static [Exit] = &[$(Exit::$name,)*];

            /// What it means, in one line.
            #[must_use]
            pub const fn doc(self) -> &'static str {
                match self { $(Exit::$name => $doc,)* }
            }
        }
    };
}

book! {
    Stopped = 0, "done as asked, and nothing was cut";
    Failed = 1, "something failed that has no code of its own; the last line on stderr says what";
    Usage = 2, "the command line was not understood";
    Cut = 3, "stopped as asked, but requests in progress were cut (drain_timeout, SIGQUIT or a second SIGTERM)";
    Refused = 4, "command: refused; nothing was begun, and the message says why";
    BackedOut = 5, "command: it was begun and came to nothing; what served before serves on";
    DrainCut = 20, "worker: its drain was cut at drain_timeout; the log says what was in progress";
    BootFailed = 21, "worker: the application's boot failed; it is tried again";
    Poisoned = 22, "worker: it gave itself up because it can no longer trust its state; it is replaced";
    NoWorker = 23, "worker: started without what a master hands over, or refused what it needs by the system";
    BadData = 65, "a database, or the incarnation counter, holds something else than expected (corrupt, foreign, too new)";
    NoMaster = 68, "command: no master serves that run directory";
    InUse = 69, "another master serves this address, data directory or run directory";
    NeverReady = 70, "no worker became ready, and the reason is none of the others here";
    NoResources = 71, "the system refused a process, memory or a descriptor";
    Unwritable = 73, "the data or run directory, or a file in it, cannot be created or written";
    DiskFailed = 74, "reading or writing failed on the disk (full, or broken)";
    Misunderstood = 76, "command: the master's answer was cut off, or is of another version";
    NoPermission = 77, "not permitted: a privileged port, or becoming another user";
    BadConfig = 78, "the configuration or the catalog cannot be read or has mistakes, each told with its line";
    Panicked = 101, "a bug: the program panicked; the message on stderr says where";
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The entry with that number, as a parent sees it.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Exit> {
        Exit::ALL
            .iter()
            .copied()
            .find(|exit| i32::from(exit.code()) == code)
    }

    /// Whether a master that gives up because its workers end like this ends with the same code: it says more than
    /// [`Exit::NeverReady`] does, and trying on is useless until a person has changed something.
    #[must_use]
    pub const fn needs_a_person(self) -> bool {
        match self {
            Exit::Usage
            | Exit::BadData
            | Exit::NoResources
            | Exit::Unwritable
            | Exit::NoPermission
            | Exit::BadConfig => true,
            Exit::Stopped
            | Exit::Failed
            | Exit::Cut
            | Exit::Refused
            | Exit::BackedOut
            | Exit::NoMaster
            | Exit::Misunderstood
            | Exit::DrainCut
            | Exit::NoWorker
            | Exit::InUse
            | Exit::NeverReady
            | Exit::DiskFailed
            | Exit::BootFailed
            | Exit::Poisoned
            | Exit::Panicked => false,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_is_in_order_and_no_number_is_used_twice() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert!(codes.is_sorted_by(|one, next| one < next), "{codes:?}");
    }

    #[test]
    fn an_exit_is_recognised_by_its_number() {
        for &exit in Exit::ALL {
            assert_eq!(Exit::from_code(i32::from(exit.code())), Some(exit));
        }
        for unknown in [-1, 9, 128, 256 + 65, i32::MAX] {
            assert_eq!(Exit::from_code(unknown), None);
        }
    }

    #[test]
    fn no_number_is_one_that_a_shell_gives_a_meaning() {
        for exit in Exit::ALL {
            assert!(
                exit.code() < 125,
                "{exit:?}: 125 to 255 are env's, the shell's and the signals'"
            );
        }
    }
}
