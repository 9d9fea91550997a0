//! When to try a checkpoint, and how. Decides by lengths and times alone; reads no clock and no file.
//!
//! A try that a reader made useless is repeated when the WAL has grown by a good part, and after
//! [`RETRY_INTERVAL`]: a WAL that cannot grow, because it filled the disk or nobody writes, must get short
//! again once the reader has left.

use std::time::{Duration, Instant};

/// From this many frames on (2 MB) a checkpoint begins. The number bounds what a worker must read to open the
/// file after a crash: four such files open again in 3 ms. Measured with 2 processes and 64 orders in flight
/// each: 250 to 1,000 frames give the same orders/s within the noise, 4,000 frames a tenth more; a checkpoint
/// wholly under the write lock gives the same orders/s at a p99 a tenth longer.
pub(super) const SOFT_FRAMES: usize = 500;
/// From this many frames on (32 MB) the checkpoint waits for readers, because a reader keeps the WAL from
/// starting again, and the file is truncated.
pub(super) const HARD_FRAMES: usize = 16 * SOFT_FRAMES;
/// How long writers wait for readers when the WAL has [`HARD_FRAMES`]. A WAL of twice the length is worth
/// twice the wait, up to [`LONGEST_WAIT`]: readers that overlap and each last longer than the wait would let
/// it grow for ever, though none of them stays. (Measured with two readers that overlap and constant writes:
/// at a fixed wait of 50 ms, readers of 30 ms let it grow to 45 MB, of 60 ms to 430 MB, and of 120 ms without
/// an end. With the longer wait, those of 120 ms let it grow to 130 MB.)
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Below the time after which the holder of a lock is killed, and all writes stand still meanwhile.
const LONGEST_WAIT: Duration = Duration::from_millis(200);
/// Between two tries while the WAL does not grow.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What a checkpoint found: the length of the WAL, and how much of it is in the database file, both in
/// frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WalProgress {
    pub(super) frames: usize,
    pub(super) copied: usize,
}

impl WalProgress {
    fn remaining(self) -> usize {
        self.frames.saturating_sub(self.copied)
    }
}

/// How the few last frames are to be copied under the write lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// Without waiting for readers.
    Copy,
    /// The file is truncated, too, after a short wait for readers.
    Truncate,
}

/// What is known of the WAL, and when the next try is due.
#[derive(Debug)]
pub(super) struct CheckpointPolicy {
    known: WalProgress,
    /// The length of the file in frames. It stays long when the WAL begins again, until it is truncated.
    file_frames: usize,
    next_at: usize,
    retry_at: Option<Instant>,
    is_blocked: bool,
    finish: Option<Finish>,
    needs_space: bool,
}

impl CheckpointPolicy {
    /// For a WAL that has this many frames.
    pub(super) fn new(frames: usize) -> CheckpointPolicy {
        CheckpointPolicy {
            known: WalProgress { frames, copied: 0 },
            file_frames: frames,
            next_at: SOFT_FRAMES,
            retry_at: None,
            is_blocked: false,
            finish: None,
            needs_space: false,
        }
    }

    /// For a WAL that was there before and whose file is this many frames long. Where the disk has space, the
    /// first writes have precedence over a try.
    pub(super) fn opened(frames: usize, now: Instant) -> CheckpointPolicy {
        let mut policy = CheckpointPolicy::new(frames);
        if frames >= SOFT_FRAMES {
            policy.next_at = frames + SOFT_FRAMES;
            policy.retry_at = Some(now + RETRY_INTERVAL);
        }
        policy
    }

    /// The WAL has this many frames after a commit.
    pub(super) fn grown_to(&mut self, frames: usize) {
        if frames < self.known.frames {
            // The WAL began again, so nothing of it is copied. Another process may have been first to write
            // after all was copied: a file that is too long is truncated all the same.
            *self = CheckpointPolicy {
                needs_space: self.needs_space,
                file_frames: self.file_frames,
                ..CheckpointPolicy::new(frames)
            };
            if self.is_file_long() {
                self.next_at = 0;
            }
        }
        self.known.frames = frames;
        self.file_frames = self.file_frames.max(frames);
    }

    /// Whether the disk needs the space of the WAL. Then a WAL of any length is copied and truncated.
    pub(super) fn set_needs_space(&mut self, needs_space: bool, now: Instant) {
        if needs_space && !self.needs_space {
            self.retry_at = Some(now);
        }
        self.needs_space = needs_space;
    }

    /// Whether a checkpoint is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.deadline(now).is_some_and(|at| at <= now)
    }

    /// When a checkpoint is due although nobody writes; `None` when the WAL is short enough.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.known.frames >= self.next_at {
            return Some(now);
        }
        self.retry_at
    }

    /// Whether the WAL is longer than it is between two checkpoints that succeed.
    pub(super) fn is_long(&self) -> bool {
        self.known.frames >= SOFT_FRAMES
    }

    /// Whether more frames have to be copied than a thread may copy that others wait for.
    pub(super) fn is_long_work(&self) -> bool {
        self.known.remaining() > HARD_FRAMES
    }

    /// Whether the last try did not make the WAL short: a reader uses it, or the disk has no space.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// How long writers may wait for readers, so that the WAL can begin again.
    pub(super) fn readers_wait(&self) -> Duration {
        let times = (self.known.frames / HARD_FRAMES).max(1);
        FIRST_WAIT
            .saturating_mul(u32::try_from(times).unwrap_or(u32::MAX))
            .min(LONGEST_WAIT)
    }

    /// Whether there is something to do under the write lock.
    pub(super) fn wants_finish(&self) -> bool {
        self.finish.is_some()
    }

    /// What is to be done under the write lock; asked once per try.
    pub(super) fn take_finish(&mut self) -> Option<Finish> {
        self.finish.take()
    }

    /// A checkpoint without the write lock was tried, with this result; `None` when another process was at
    /// it, or the disk failed.
    pub(super) fn tried(&mut self, found: Option<WalProgress>, now: Instant) {
        let before = self.known;
        self.known = found.unwrap_or(before);
        let (frames, remaining) = (self.known.frames, self.known.remaining());
        let moved = found.is_some_and(|found| found.copied != before.copied);
        self.finish = match found {
            // The reader of the try before is still there. Writers do not wait for it.
            Some(_) if !moved && remaining > 0 => None,
            Some(_) if remaining > HARD_FRAMES => None,
            Some(_) if frames >= self.hard_frames() => Some(Finish::Truncate),
            Some(_) => Some(Finish::Copy),
            None => None,
        };
        self.plan_retry(moved, now);
    }

    /// The checkpoint under the write lock was tried in that way, with this result.
    pub(super) fn finished(&mut self, finish: Finish, found: Option<WalProgress>, now: Instant) {
        self.known = found.unwrap_or(self.known);
        if finish == Finish::Truncate && found.is_some_and(|found| found.frames == 0) {
            self.file_frames = 0;
        }
        self.plan_retry(true, now);
    }

    fn plan_retry(&mut self, moved: bool, now: Instant) {
        let frames = self.known.frames;
        self.next_at = frames.max(SOFT_FRAMES / 2) + step(frames, moved);
        let is_short = frames < SOFT_FRAMES && !self.needs_space && !self.is_file_long();
        let is_copied = self.known.remaining() == 0 && frames < self.hard_frames();
        self.is_blocked = !is_short && !is_copied;
        self.retry_at = self.is_blocked.then(|| now + RETRY_INTERVAL);
    }

    fn is_file_long(&self) -> bool {
        self.file_frames >= HARD_FRAMES
    }

    /// From how many frames on the file is truncated.
    fn hard_frames(&self) -> usize {
        match self.needs_space || self.is_file_long() {
            true => 1,
            false => HARD_FRAMES,
        }
    }
}

/// By how many frames the WAL may grow until the next try. Below [`HARD_FRAMES`] a try is cheap. Above, a try
/// waits for readers: often while the readers change, less often the longer the wait is, and seldom while one
/// of them stays.
fn step(frames: usize, moved: bool) -> usize {
    match (frames < HARD_FRAMES, moved) {
        (true, _) => SOFT_FRAMES / 2,
        (false, true) => (frames / 16).max(SOFT_FRAMES),
        (false, false) => HARD_FRAMES / 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(frames: usize, copied: usize) -> Option<WalProgress> {
        Some(WalProgress { frames, copied })
    }

    /// A WAL of that length after a try that copied so much of it.
    fn tried(frames: usize, copied: usize, now: Instant) -> CheckpointPolicy {
        let mut policy = CheckpointPolicy::new(frames);
        policy.tried(progress(frames, copied), now);
        policy
    }

    #[test]
    fn a_short_wal_is_left_alone_and_a_long_one_is_tried_once_per_growth() {
        let now = Instant::now();
        let mut policy = CheckpointPolicy::new(SOFT_FRAMES - 1);
        assert_eq!(policy.deadline(now), None);
        policy.grown_to(SOFT_FRAMES);
        assert!(policy.is_due(now));
        policy.tried(progress(SOFT_FRAMES, 1), now);
        assert!(!policy.is_due(now), "a reader uses it");
        policy.grown_to(SOFT_FRAMES + SOFT_FRAMES / 2);
        assert!(policy.is_due(now));
        policy.grown_to(10);
        assert!(!policy.is_due(now) && !policy.is_blocked(), "it began again");
    }

    #[test]
    fn a_file_that_stayed_long_when_the_wal_began_again_is_truncated() {
        let now = Instant::now();
        let frames = HARD_FRAMES + 10;
        // All of it is copied, and before this process can truncate it, another one writes.
        let mut policy = tried(frames, frames, now);
        policy.grown_to(3);
        assert!(policy.is_due(now));
        policy.tried(progress(3, 3), now);
        assert_eq!(policy.take_finish(), Some(Finish::Truncate));
        policy.finished(Finish::Truncate, progress(4, 4), now);
        assert!(policy.is_blocked(), "a reader was in the way");
        assert_eq!(policy.deadline(now), Some(now + RETRY_INTERVAL));
        policy.tried(progress(4, 4), now + RETRY_INTERVAL);
        assert_eq!(policy.take_finish(), Some(Finish::Truncate));
        policy.finished(Finish::Truncate, progress(0, 0), now + RETRY_INTERVAL);
        assert!(!policy.is_blocked());
        assert_eq!(policy.deadline(now + RETRY_INTERVAL), None);
    }

    #[test]
    fn a_wal_that_a_reader_keeps_long_is_tried_again_by_time_though_it_does_not_grow() {
        let now = Instant::now();
        let mut policy = tried(600, 7, now);
        assert_eq!(policy.deadline(now), Some(now + RETRY_INTERVAL));
        assert!(policy.is_due(now + RETRY_INTERVAL) && policy.is_blocked());
        policy.tried(progress(600, 600), now + RETRY_INTERVAL);
        assert_eq!(policy.deadline(now), None, "all of it is copied");
        let opened = CheckpointPolicy::opened(600, now);
        assert_eq!(opened.deadline(now), Some(now + RETRY_INTERVAL));
    }

    #[test]
    fn a_long_wal_is_truncated_when_readers_change_and_nobody_waits_for_one_that_stays() {
        let now = Instant::now();
        let frames = HARD_FRAMES + 10;
        let mut policy = tried(frames, 5_000, now);
        assert_eq!(policy.take_finish(), Some(Finish::Truncate));
        policy.finished(Finish::Truncate, progress(frames, 5_000), now);
        policy.tried(progress(frames + 1, 5_000), now);
        assert_eq!(policy.take_finish(), None, "the same reader is still there");
        policy.tried(progress(frames + 1, frames + 1), now);
        assert_eq!(
            policy.take_finish(),
            Some(Finish::Truncate),
            "the reader has left"
        );
        policy.finished(Finish::Truncate, progress(frames + 1, frames + 1), now);
        assert!(policy.is_blocked(), "another reader came in between");
        policy.tried(progress(frames + 1, frames + 1), now + RETRY_INTERVAL);
        assert_eq!(policy.take_finish(), Some(Finish::Truncate));
        policy.finished(Finish::Truncate, progress(0, 0), now + RETRY_INTERVAL);
        assert_eq!(policy.deadline(now), None);
    }

    #[test]
    fn past_the_hard_length_writers_wait_seldom_for_a_reader_that_stays() {
        let now = Instant::now();
        let mut policy = tried(HARD_FRAMES, 5, now);
        policy.finished(Finish::Truncate, progress(HARD_FRAMES, 5), now);
        policy.tried(progress(HARD_FRAMES, 5), now);
        policy.grown_to(HARD_FRAMES + SOFT_FRAMES);
        assert!(!policy.is_due(now));
        policy.grown_to(HARD_FRAMES + HARD_FRAMES / 4);
        assert!(policy.is_due(now));
    }

    /// The longest WAL under constant writes while readers overlap, so that one of them is always there, and
    /// each of them lasts so long. The WAL begins again when the writers have waited for one reader's length.
    fn longest_wal(reader: Duration) -> usize {
        let (mut now, mut frames, mut longest) = (Instant::now(), 0, 0);
        let mut policy = CheckpointPolicy::new(0);
        for _ in 0..20_000 {
            now += Duration::from_millis(1);
            frames += SOFT_FRAMES / 50;
            longest = longest.max(frames);
            policy.grown_to(frames);
            if !policy.is_due(now) {
                continue;
            }
            policy.tried(progress(frames, frames - 5), now);
            match policy.take_finish() {
                Some(Finish::Truncate) if policy.readers_wait() >= reader => {
                    frames = 0;
                    policy.finished(Finish::Truncate, progress(0, 0), now);
                }
                Some(Finish::Truncate | Finish::Copy) => {
                    policy.finished(Finish::Truncate, progress(frames, frames), now)
                }
                None => {}
            }
        }
        longest
    }

    #[test]
    fn a_wal_is_bounded_by_how_long_the_readers_last_that_overlap() {
        for (reader, bound) in [(50, HARD_FRAMES), (100, 2 * HARD_FRAMES), (200, 4 * HARD_FRAMES)] {
            let longest = longest_wal(Duration::from_millis(reader));
            let most = bound + bound / 16 + SOFT_FRAMES;
            assert!((bound..=most).contains(&longest), "{reader} ms: {longest} frames");
        }
    }

    #[test]
    fn writers_wait_for_readers_within_a_bound_and_a_longer_wait_comes_less_often() {
        let waits = [
            1,
            HARD_FRAMES,
            2 * HARD_FRAMES,
            4 * HARD_FRAMES,
            400 * HARD_FRAMES,
        ]
        .map(|frames| CheckpointPolicy::new(frames).readers_wait().as_millis());
        assert_eq!(waits, [50, 50, 100, 200, 200]);
        let steps = [1, 2, 16].map(|times| step(times * HARD_FRAMES, true));
        assert_eq!(steps, [SOFT_FRAMES, 2 * SOFT_FRAMES, 16 * SOFT_FRAMES]);
    }

    #[test]
    fn on_a_full_disk_a_short_wal_is_truncated_too() {
        let now = Instant::now();
        let mut policy = CheckpointPolicy::new(20);
        policy.set_needs_space(true, now);
        assert!(policy.is_due(now));
        let mut opened = CheckpointPolicy::opened(600, now);
        opened.set_needs_space(true, now);
        assert!(opened.is_due(now));
        policy.tried(None, now);
        assert_eq!(
            policy.deadline(now),
            Some(now + RETRY_INTERVAL),
            "the disk failed"
        );
        policy.tried(progress(20, 20), now + RETRY_INTERVAL);
        assert_eq!(policy.take_finish(), Some(Finish::Truncate));
        policy.finished(Finish::Truncate, progress(0, 0), now);
        policy.set_needs_space(false, now);
        policy.tried(progress(0, 0), now);
        assert_eq!(policy.deadline(now), None);
    }

    #[test]
    fn much_work_is_not_done_while_others_wait() {
        let now = Instant::now();
        assert!(CheckpointPolicy::new(HARD_FRAMES + 1).is_long_work());
        let mut policy = tried(3 * HARD_FRAMES, 5, now);
        assert_eq!(policy.take_finish(), None);
        policy.tried(progress(3 * HARD_FRAMES, 3 * HARD_FRAMES), now);
        assert!(!policy.is_long_work());
        assert_eq!(policy.take_finish(), Some(Finish::Truncate));
    }
}
