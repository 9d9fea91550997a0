//! Memory that was used once.

/// Gives what the allocator keeps for later back to the system, as after reading a configuration that is seldom read again.
/// A no-op where the C library is not glibc.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number, touches only memory that nobody owns, and may be called at any time.
    let _ = unsafe { libc::malloc_trim(0) };
}
