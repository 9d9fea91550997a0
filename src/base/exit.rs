//! Every exit code of a master, a worker or a command, in one list, which `--help` prints. Where sysexits.h
//! has a number for the case, that number is used. A number never changes its meaning.

use std::process::ExitCode;

macro_rules! exit_codes {
    ($($name:ident = $code:literal, $doc:literal;)*) => {
        /// Why a master, a worker or a command ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Exit {
            $(#[doc = $doc] $name = $code,)*
        }

        impl Exit {
            /// Every exit code, in ascending order.
            pub const ALL: &'static [Exit] = &[$(Exit::$name,)*];

            /// What the code means, in one line.
            #[must_use]
            pub const fn doc(self) -> &'static str {
                match self { $(Exit::$name => $doc,)* }
            }
        }
    };
}

exit_codes! {
    Stopped = 0, "done as asked, and nothing was cut";
    Failed = 1, "something failed that has no code of its own, or `health` says no; the last line says why";
    Usage = 2, "the command line was not understood";
    Cut = 3, "stopped as asked; requests were cut or programs killed (drain_timeout, SIGQUIT, second SIGTERM)";
    Refused = 4, "command: refused; nothing was begun, and the message says why";
    BackedOut = 5, "command: begun and backed out; the workers from before go on serving";
    DrainCut = 20, "worker: its drain was cut at drain_timeout; the log says what was in progress";
    BootFailed = 21, "worker: the application's boot failed; it is tried again";
    Poisoned = 22, "worker: it ended itself because it can no longer trust its state; it is replaced";
    NoWorker = 23, "worker: not started by a master, or the system refused what it needs";
    BadData = 65, "a database or the incarnation counter is corrupt, foreign, too new or missing";
    NoMaster = 68, "command: no master serves that run directory";
    InUse = 69, "another program has this address, or another master this data or run directory";
    NeverReady = 70, "no worker became ready, and no other code of this list says why";
    NoResources = 71, "the system refused a process, memory or a descriptor";
    Unwritable = 73, "the data or run directory, or a file in it, cannot be created or written";
    DiskFailed = 74, "reading or writing failed on the disk (full, or broken)";
    Misunderstood = 76, "command: the master is stopped, or its answer was cut off or is of another version";
    NoPermission = 77, "not permitted: a privileged port, becoming another user, reading its databases";
    BadConfig = 78, "the configuration or the catalog is unreadable or wrong; stderr names each line";
    Panicked = 101, "a bug: the program panicked; the message on stderr says where";
}

impl Exit {
    /// The number that the process ends with.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The exit of that number, as `waitid` tells it; `None` when this program has no such code.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Exit> {
        Exit::ALL
            .iter()
            .copied()
            .find(|exit| i32::from(exit.code()) == code)
    }

    /// Whether a new worker would end the same way until a person changes something. A master whose workers
    /// end with such a code ends with that code too, because it says more than [`Exit::NeverReady`].
    #[must_use]
    pub const fn needs_a_person(self) -> bool {
        match self {
            Exit::Usage
            | Exit::BadData
            | Exit::InUse
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
    fn the_codes_ascend_and_none_is_used_twice() {
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
