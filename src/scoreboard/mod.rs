//! The shared page a worker beats in.
