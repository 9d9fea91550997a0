//! Reads that belong together: all of one instant.

use tokio_postgres::Row;

use super::call::Call;
use super::connect::{named, typed};
use super::driven_client::DrivenClient;
use super::failure::PostgresFailure;
use super::target::PostgresTarget;

/// One instant of a database, for readers that change nothing. Dropping it ends the transaction.
pub struct DatabaseSnapshot {
    client: DrivenClient,
    target: PostgresTarget,
}

impl DatabaseSnapshot {
    /// Begins to read.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn begin(target: &PostgresTarget) -> Result<DatabaseSnapshot, PostgresFailure> {
        let client = DrivenClient::connect(target).await;
        let client = client.map_err(|failure| named(failure, target))?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let begun = client.batch_execute(begin).await;
        begun.map_err(|error| named(error.into(), target))?;
        Ok(DatabaseSnapshot {
            client,
            target: target.clone(),
        })
    }

    /// The rows of a statement, as of that instant.
    ///
    /// # Errors
    /// [`PostgresFailure`].
    pub async fn read(&self, call: Call) -> Result<Vec<Row>, PostgresFailure> {
        let rows = self.client.query_typed(call.sql, &typed(&call.parameters)).await;
        rows.map_err(|error| named(error.into(), &self.target))
    }
}
