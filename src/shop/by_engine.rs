//! What types with one variant for each engine have in common.

/// Asks the engine that there is, in a method of a type with one variant for each:
/// `either!(self, reader => reader.standing(order).await)`.
macro_rules! either {
    ($self:expr, $one:ident => $answer:expr) => {
        match $self {
            Self::Sqlite($one) => $answer,
            #[cfg(feature = "postgres")]
            Self::Postgres($one) => $answer,
        }
    };
}
pub(in crate::shop) use either;
