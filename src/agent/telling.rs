//! What people are told of a program: in the log, in `status`, and in what `why` will say of its end.

use super::facts::UsedMode;
use super::readiness::{seen_so_far, told_if_it_listens_by_itself};
use super::supervise::Supervision;
use crate::base::ids::Slot;
use crate::base::millis::ms;
use crate::worker::print_error;

impl Supervision {
    /// The program is to be replaced, for this reason.
    pub(super) fn give_up(&self, reason: &str) {
        self.master.trouble(Some(reason));
        self.worker.fail(reason);
    }

    /// Says in one line what cannot be had, where that is so.
    pub(super) fn tell_way(&self, how: &str) {
        let told = told_if_it_listens_by_itself(&self.facts, self.speaks);
        if let Some(told) = told.filter(|_| !self.told_own) {
            tracing::warn!("{told}");
        }
        if self.facts.mode == UsedMode::Reuseport && self.facts.slot == Slot(0) {
            tracing::warn!(
                "the program binds by itself ({how}): connections that wait for a program when it ends are \
                 lost; with --listen fds the cluster keeps them"
            );
        }
    }

    /// Shows in `status` how the program is.
    pub(super) fn show(&mut self) {
        let note = self.notes.borrow_and_update().clone();
        if self.is_ready && self.drain.is_none() {
            self.master.trouble(note.as_deref());
            let note = note.map_or_else(String::new, |note| format!("; {note}"));
            self.master.status(&format!("{}{note}", self.shown));
        }
    }

    /// The program is not ready, and its time is nearly over.
    pub(super) fn late(&mut self) {
        self.was_late = true;
        let rule = &self.worker.settings().run.ready;
        let told = told_if_it_listens_by_itself(&self.facts, self.speaks);
        let told = told.unwrap_or_else(|| {
            let failure = self.ready_failure.borrow().clone();
            seen_so_far(rule, &self.facts, failure, self.output.last_lines().pop())
        });
        self.master.trouble(Some(&told));
        let after_ms = ms(self.begun.elapsed());
        print_error(&format!("the program is not ready after {after_ms} ms: {told}"));
    }

    /// Says which listeners are opened for nothing: who connects there waits for ever.
    pub(super) fn look_for_unused_listeners(&mut self) {
        let Some(addresses) = self.unused.look(&self.facts) else {
            return;
        };
        self.shown = format!("{}; nobody accepts on {addresses}", self.shown);
        self.show();
        if self.facts.slot != Slot(0) {
            return;
        }
        let advice = match self.facts.mode {
            UsedMode::Node => {
                "have the program listen there or on descriptor 3 (`listen({fd: 3})`), start it with \
                 --listen fds, or leave --bind out"
            }
            UsedMode::Fds => {
                "have the program take that descriptor too (LISTEN_FDS), or leave the address out"
            }
            UsedMode::Reuseport => {
                "the program binds by itself (run.listen), so leave --bind out, and name its port with --env \
                 PORT=…"
            }
        };
        tracing::warn!(
            "nobody accepts on {addresses}, which --bind names, so whoever connects there waits for ever: \
             {advice}"
        );
    }
}
