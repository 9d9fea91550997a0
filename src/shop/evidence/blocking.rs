//! Waiting for the repositories in a program, or in a thread, that has no runtime.

use std::future::Future;
use std::io;

use crate::shop::contract::StorageError;

/// Runs `work` to its end on a runtime of its own, in a thread of its own, so that the caller may be inside a
/// runtime.
///
/// # Errors
/// [`StorageError::Unavailable`] when the runtime or the thread cannot be had.
pub(in crate::shop) fn run<T: Send, F: Future<Output = T>>(
    work: impl FnOnce() -> F + Send,
) -> Result<T, StorageError> {
    let unavailable =
        |error: io::Error| StorageError::Unavailable(format!("no thread to read with: {error}"));
    let in_a_runtime = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(runtime.block_on(work()))
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("evidence".to_owned());
        let thread = thread.spawn_scoped(scope, in_a_runtime).map_err(unavailable)?;
        match thread.join() {
            Ok(done) => done.map_err(unavailable),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
