//! PostgreSQL as a store: one database of one service, reached by one writer and few readers.
//!
//! A write is a [`Call`] of a function in the database, which makes one verb one round trip whatever it does.
//! The calls that wait are committed together: they go out back to back with the `BEGIN` before and the
//! `COMMIT` behind them, and whoever asked is answered when the commit is. What one call does wrong costs the
//! others nothing: they are tried again each by itself.
//!
//! **The row of the writer.** Each writer has a row in the table `writers`. The first statement of every
//! transaction raises the number in it, from the one that is known to the next. So the row is three things
//! at once: a *fence* (who claims the work of a dead writer removes its row, which waits for a transaction
//! that is under way, and none begins after it), the *record of the commit* (when the answer to a `COMMIT`
//! is lost, the number says whether it was done, and raising it keeps a late one from being done), and the
//! *order* of the writer's transactions.
//!
//! What a service's functions do is the service's own: nothing in here knows of orders.

mod bind;
mod bulk;
mod call;
mod connect;
mod driven_client;
mod failure;
mod flight;
mod options;
mod reader;
mod row_value;
mod schema;
mod snapshot;
mod store;
mod target;
mod tls;
mod writer;

pub use bind::Bind;
pub use bulk::{BulkConnection, DatabaseContent, TableWriter};
pub use call::Call;
pub use failure::PostgresFailure;
pub use options::{PostgresOptions, WriterIdentity};
pub use row_value::RowValue;
pub use schema::{ClusterId, DatabaseLabel, PostgresSchema};
pub use snapshot::DatabaseSnapshot;
pub use store::PostgresStore;
pub use target::{PostgresTarget, TargetError};
pub use tokio_postgres::Row;
