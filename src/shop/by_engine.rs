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

/// Opens what belongs to a data directory, by whichever of the two readers its engine has:
/// `open_reader!(OrdersReader, SqliteOrdersReader, PostgresOrdersReader, data_dir)`.
macro_rules! open_reader {
    ($either:ident, $of_files:ident, $of_databases:ident, $data_dir:expr) => {
        match $crate::shop::engine::StoreEngine::of($data_dir)? {
            $crate::shop::engine::StoreEngine::Sqlite => {
                $of_files::open($data_dir).await.map($either::Sqlite)
            }
            #[cfg(feature = "postgres")]
            $crate::shop::engine::StoreEngine::Postgres(place) => {
                $of_databases::open(&place).await.map($either::Postgres)
            }
            #[cfg(not(feature = "postgres"))]
            $crate::shop::engine::StoreEngine::Postgres(_) => Err($crate::shop::engine::without_postgres()),
        }
    };
}
pub(in crate::shop) use open_reader;
