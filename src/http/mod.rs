//! The edge's vocabulary: problem documents and limits.
