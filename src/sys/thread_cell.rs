//! A value that all tasks of a single-threaded runtime share. tokio asks of a task that other threads could
//! run it, although none does; a lock would cost each request a dozen atomic operations for nothing.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A value that only the thread that made it reads and writes. Any other thread that tries panics.
pub struct ThreadCell<T> {
    owner: u64,
    value: Cell<T>,
}

#[expect(
    unsafe_code,
    reason = "the cell checks at run time what `Sync` wants promised"
)]
// SAFETY: `get` and `set`, the only ways to the value, end with a panic unless they are called by the thread
// that made the cell. So two threads never touch the value at the same time. A `Copy` value has no `Drop`
// that another thread could run.
unsafe impl<T: Copy + Send> Sync for ThreadCell<T> {}

impl<T: Copy + Send> ThreadCell<T> {
    /// A cell that belongs to the calling thread.
    pub fn new(value: T) -> ThreadCell<T> {
        ThreadCell {
            owner: this_thread(),
            value: Cell::new(value),
        }
    }

    /// The value.
    ///
    /// # Panics
    /// On a thread that does not own the cell.
    pub fn get(&self) -> T {
        self.check_thread();
        self.value.get()
    }

    /// Replaces the value.
    ///
    /// # Panics
    /// On a thread that does not own the cell.
    pub fn set(&self, value: T) {
        self.check_thread();
        self.value.set(value);
    }

    fn check_thread(&self) {
        assert!(
            self.owner == this_thread(),
            "a value of one thread was used by another"
        );
    }
}

/// Without the value, which another thread may not read.
impl<T> fmt::Debug for ThreadCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadCell")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// A number for the calling thread. No other thread of this process ever has the same, not even later.
fn this_thread() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    thread_local! { static NUMBER: Cell<u64> = const { Cell::new(0) } }
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(LAST.fetch_add(1, Relaxed) + 1);
        }
        number.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_thread_reads_and_writes_it_and_no_other_does() {
        let cell = ThreadCell::new(1);
        cell.set(cell.get() + 1);
        assert_eq!(cell.get(), 2);
        std::thread::scope(|scope| {
            assert!(scope.spawn(|| cell.get()).join().is_err());
            assert!(scope.spawn(|| cell.set(7)).join().is_err());
        });
        assert_eq!(cell.get(), 2);
    }
}
