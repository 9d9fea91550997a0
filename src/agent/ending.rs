//! The end of a program: who is left is killed, and the worker ends as the program did.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

use super::conversation::Conversation;
use super::supervise::Supervision;
use super::words::{last_words, told_if_address_in_use};
use crate::base::exit::Exit;
use crate::worker::{WorkerExit, print_error};

/// How long what the program has said is waited for after its end: grandchildren may hold its pipes.
const LAST_LINES: Duration = Duration::from_millis(200);
/// How long the replacement of a program that has ended by itself waits for copied connections.
const COPIES: Duration = Duration::from_secs(1);
/// How long the kernel may take to end what was killed.
const KILLED_WITHIN: Duration = Duration::from_secs(2);

impl Supervision {
    /// Leaves no process of the program behind, and says how the worker ends.
    pub(super) async fn end(mut self) -> WorkerExit {
        let ended = self.tree.ended();
        if !self.tree.kill(KILLED_WITHIN).await {
            tracing::warn!("processes of the program are still there after SIGKILL: the kernel holds them");
        }
        self.hear_the_rest(LAST_LINES).await;
        self.output.finished(LAST_LINES).await;
        self.adopted.end();
        self.adopted.finished(self.time_for_copies()).await;
        let exit = match (&self.drain, ended) {
            (Some(drain), _) if drain.is_over => WorkerExit::Own(Exit::DrainCut),
            // Its connections were not finished, and the signal itself has ended it.
            (Some(drain), Some(WaitStatus::Signaled(..))) if drain.is_last_call => {
                WorkerExit::Own(Exit::DrainCut)
            }
            (Some(_), Some(status)) if self.is_as_asked(status) => WorkerExit::Own(Exit::Stopped),
            (_, Some(status)) => {
                self.tell_end(status);
                self.refused_at_boot()
                    .map_or_else(|| exit_like(status), WorkerExit::Own)
            }
            (_, None) => WorkerExit::Own(Exit::DrainCut),
        };
        match self.worker.has_failed() {
            true => WorkerExit::Own(Exit::Poisoned),
            false => exit,
        }
    }

    /// Other slots' clients that this worker serves are not its program's: they are finished when that has
    /// ended.
    fn time_for_copies(&self) -> Duration {
        match &self.drain {
            Some(drain) => drain.limits.end.saturating_sub(drain.begun.elapsed()),
            None => COPIES,
        }
    }

    /// Whether a program that was asked to end has ended so: by its signal, or with the code that says so.
    fn is_as_asked(&self, status: WaitStatus) -> bool {
        let asked = [self.stop_signal(), Signal::SIGTERM];
        match status {
            WaitStatus::Exited(_, code) => {
                code == 0 || asked.iter().any(|&signal| code == 128 + signal as i32)
            }
            WaitStatus::Signaled(_, signal, _) => asked.contains(&signal),
            _ => false,
        }
    }

    fn tell_end(&self, status: WaitStatus) {
        let how = match status {
            WaitStatus::Exited(_, code) => format!("with exit code {code}"),
            WaitStatus::Signaled(_, signal, _) => format!("by {signal}"),
            other => format!("({other:?})"),
        };
        let when = match (&self.drain, self.is_ready) {
            (Some(_), _) => "the program has ended, while it was asked to,",
            (None, _) if self.given_up.is_some() => "the program has ended after its channel was given up,",
            (None, true) => "the program has ended by itself,",
            (None, false) => "the program has ended before it was ready,",
        };
        let lines = self.output.last_lines();
        let words = last_words(&lines).map_or_else(
            || "; it has printed nothing".to_owned(),
            |line| format!("; its last words: {line}"),
        );
        // The master logs it, and shows it to the person who asked for the reload.
        print_error(&format!("{when} {how}{words}"));
        let bound = self.unused.configured();
        if !self.is_ready
            && let Some(told) = told_if_address_in_use(&lines, self.facts.mode, self.speaks, bound)
        {
            print_error(&told);
        }
    }

    /// The code of a program that ended because the master could not bind what it asked for.
    fn refused_at_boot(&self) -> Option<Exit> {
        let refused = self.conversation.as_ref().and_then(Conversation::refused);
        refused.filter(|_| !self.is_ready).map(|errno| match errno {
            Errno::EACCES | Errno::EPERM => Exit::NoPermission,
            _ => Exit::InUse,
        })
    }
}

fn exit_like(status: WaitStatus) -> WorkerExit {
    match status {
        WaitStatus::Exited(_, code) => WorkerExit::Code(u8::try_from(code).unwrap_or(1)),
        WaitStatus::Signaled(_, signal, _) => WorkerExit::Signal(signal),
        _ => WorkerExit::Own(Exit::Failed),
    }
}
