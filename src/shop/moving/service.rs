//! The services whose databases are moved.

use super::move_error::MoveError;
use crate::postgres::{BulkConnection, PostgresSchema};
use crate::shop::engine::PostgresPlace;
use crate::shop::postgres::MovedTable;
use crate::shop::{inventory, orders, payments, sandbox};
use crate::store::Schema;

/// A service on both sides.
#[derive(Clone, Copy, Debug)]
pub(super) struct MovedService {
    /// Its file in the data directory.
    pub(super) file: &'static str,
    /// The tables of the file.
    pub(super) schema: &'static Schema,
    /// The tables at PostgreSQL.
    pub(super) postgres: &'static PostgresSchema,
    /// How each table is moved.
    pub(super) tables: &'static [MovedTable],
    /// Whether it has events that others read.
    pub(super) has_events: bool,
}

impl MovedService {
    /// Its name.
    pub(super) fn name(&self) -> &'static str {
        self.postgres.name
    }

    /// Connects to its database at PostgreSQL.
    pub(super) async fn at_postgres(&self, place: &PostgresPlace) -> Result<BulkConnection, MoveError> {
        Ok(BulkConnection::open(&place.target(self.name())?).await?)
    }
}

/// All of them, in the order in which files are locked.
pub(super) const MOVED_SERVICES: [MovedService; 4] = [
    MovedService {
        file: orders::FILE,
        schema: &orders::SCHEMA,
        postgres: &orders::postgres::POSTGRES_SCHEMA,
        tables: orders::postgres::MOVED,
        has_events: true,
    },
    MovedService {
        file: inventory::FILE,
        schema: &inventory::SCHEMA,
        postgres: &inventory::postgres::POSTGRES_SCHEMA,
        tables: inventory::postgres::MOVED,
        has_events: true,
    },
    MovedService {
        file: payments::FILE,
        schema: &payments::SCHEMA,
        postgres: &payments::postgres::POSTGRES_SCHEMA,
        tables: payments::postgres::MOVED,
        has_events: true,
    },
    MovedService {
        file: sandbox::FILE,
        schema: &sandbox::SCHEMA,
        postgres: &sandbox::postgres::POSTGRES_SCHEMA,
        tables: sandbox::postgres::MOVED,
        has_events: false,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::scoreboard::Board;
    use crate::store::{Store, StoreOptions};

    /// Tables that belong to one side alone: whose writers they are, and what a database says of itself. The
    /// line of the events is moved by statements of its own.
    const OF_ONE_SIDE: [&str; 4] = ["writers", "cluster_meta", "event_stream", "last_user"];

    #[test]
    fn every_table_of_both_sides_is_moved() {
        for service in MOVED_SERVICES {
            let moved: BTreeSet<String> = service.tables.iter().map(|table| table.name.to_owned()).collect();
            let dir = tempfile::tempdir().unwrap();
            let cell = Board::private().cell(service.name()).unwrap();
            let options = StoreOptions::new(dir.path().join(service.file), cell);
            let store = Store::open(service.schema, options).unwrap();
            let names = "SELECT name FROM sqlite_schema WHERE type = 'table'";
            let in_file: BTreeSet<String> = store
                .peek(|connection| {
                    let mut names = connection.prepare(names)?;
                    names.query_map([], |row| row.get(0))?.collect()
                })
                .unwrap();
            let mut at_postgres: BTreeSet<String> = service
                .postgres
                .objects()
                .into_iter()
                .filter(|(kind, _)| *kind == "TABLE")
                .map(|(_, name)| name)
                .collect();
            if !service.has_events {
                // The functions of every database want them, and nothing is in them.
                at_postgres.retain(|name| !["outbox", "fences"].contains(&name.as_str()));
            }
            for there in [in_file, at_postgres] {
                let forgotten: Vec<_> = there
                    .difference(&moved)
                    .filter(|name| !OF_ONE_SIDE.contains(&name.as_str()))
                    .collect();
                assert!(forgotten.is_empty(), "{}: {forgotten:?}", service.name());
            }
        }
    }
}
