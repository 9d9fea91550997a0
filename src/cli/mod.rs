//! Flags, exit codes, and what is printed.
