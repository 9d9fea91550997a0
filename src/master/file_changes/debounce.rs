//! When the changes of files count as over: an editor, a compiler and a checkout write many files, one after
//! the other. Pure.

use std::time::Duration;

use crate::base::time::Monotonic;

/// Changes are over when nothing has changed for so long.
const SILENCE: Duration = Duration::from_millis(100);
/// Changes that do not end are acted upon after this time.
const LONGEST: Duration = Duration::from_secs(2);

/// Changes that were not acted upon yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Debounce {
    /// When the first and the last of them were seen.
    seen: Option<(Monotonic, Monotonic)>,
}

impl Debounce {
    /// Something has changed.
    pub(super) fn changed(&mut self, now: Monotonic) {
        let first = self.seen.map_or(now, |(first, _)| first);
        self.seen = Some((first, now));
    }

    /// When the changes count as over.
    pub(super) fn deadline(&self) -> Option<Monotonic> {
        let (first, last) = self.seen?;
        Some((last + SILENCE).min(first + LONGEST))
    }

    /// Whether the changes are over. If so, they are acted upon now.
    pub(super) fn take(&mut self, now: Monotonic) -> bool {
        let is_over = self.deadline().is_some_and(|deadline| deadline <= now);
        if is_over {
            self.seen = None;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Monotonic = Monotonic(1_000_000_000);

    #[test]
    fn changes_are_over_when_it_is_silent() {
        let mut debounce = Debounce::default();
        assert_eq!((debounce.deadline(), debounce.take(START)), (None, false));
        debounce.changed(START);
        let later = START + SILENCE / 2;
        debounce.changed(later);
        assert!(!debounce.take(START + SILENCE));
        assert_eq!(debounce.deadline(), Some(later + SILENCE));
        assert!(debounce.take(later + SILENCE));
        assert_eq!(debounce, Debounce::default());
    }

    #[test]
    fn changes_that_do_not_end_are_acted_upon() {
        let mut debounce = Debounce::default();
        let mut now = START;
        while !debounce.take(now) {
            assert!(now <= START + LONGEST);
            debounce.changed(now);
            now = now + SILENCE / 2;
        }
    }
}
