//! One SQLite file for many processes: writer thread, lock, group commit.
