//! Who is talked with at the admin listener, and who goes for a newcomer when there is no place left: whoever came first of those
//! who have not said what they want, or have been answered. It must not know what is talked about.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

/// As many are talked with at once; more wait for this worker or another one.
const PLACES: usize = 16;
/// Nobody goes before that: whoever sent a request at once has it read by then.
const GRACE: Duration = Duration::from_millis(50);

/// Whether a guest is being answered: then it stays.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy(Arc<AtomicBool>);

/// The guests, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Floor {
    talks: JoinSet<()>,
    guests: Vec<Guest>,
}

#[derive(Debug)]
struct Guest {
    came: Instant,
    busy: Busy,
    talk: AbortHandle,
}

impl Busy {
    /// From now on it is, or is not.
    pub(super) fn set(&self, busy: bool) {
        self.0.store(busy, Ordering::Relaxed);
    }
}

impl Floor {
    /// Returns when there is a place, or somebody who can go. Dropping the future loses nothing.
    pub(super) async fn room(&mut self) {
        loop {
            self.guests.retain(|guest| !guest.talk.is_finished());
            if self.guests.len() < PLACES {
                return;
            }
            // Whoever ends is taken out above.
            match self.first_idle().map(|place| self.guests[place].came + GRACE) {
                Some(at) if at <= Instant::now() => return,
                Some(at) => drop(timeout_at(at, self.talks.join_next()).await),
                None => drop(self.talks.join_next().await),
            }
        }
    }

    /// Begins a talk, in somebody's place if need be. To be called when there is [room](Floor::room).
    pub(super) fn seat<T>(&mut self, talk: impl FnOnce(Busy) -> T)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        if self.guests.len() >= PLACES
            && let Some(place) = self.first_idle()
        {
            self.guests.remove(place).talk.abort();
        }
        let busy = Busy::default();
        self.guests.push(Guest {
            came: Instant::now(),
            busy: busy.clone(),
            talk: self.talks.spawn(talk(busy)),
        });
    }

    /// Returns when nobody is talked with.
    pub(super) async fn empty(mut self) {
        while self.talks.join_next().await.is_some() {}
    }

    fn first_idle(&self) -> Option<usize> {
        self.guests
            .iter()
            .position(|guest| !guest.busy.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_of_those_who_say_nothing_goes_for_a_newcomer_and_nobody_who_is_answered() {
        let mut floor = Floor::default();
        for place in 0..PLACES {
            floor.room().await;
            floor.seat(|busy| {
                busy.set(place == 0);
                std::future::pending()
            });
        }
        let talks: Vec<AbortHandle> = floor.guests.iter().map(|guest| guest.talk.clone()).collect();
        for gone in 1..PLACES {
            floor.room().await;
            floor.seat(|busy| {
                busy.set(true);
                std::future::pending()
            });
            tokio::task::yield_now().await;
            let ended = talks.iter().filter(|talk| talk.is_finished()).count();
            assert!(ended == gone && talks[gone].is_finished(), "{ended} of {gone}");
        }
        let late = tokio::time::timeout(Duration::from_millis(1), floor.room()).await;
        assert!(late.is_err(), "everybody is being answered");
        assert_eq!(floor.guests.len(), PLACES);
    }
}
