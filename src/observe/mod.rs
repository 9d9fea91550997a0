//! Log lines that never block.
