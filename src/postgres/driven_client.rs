//! How a connection is made, with TLS or without, and led until it ends.

use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use super::failure::PostgresFailure;
use super::target::PostgresTarget;

/// A client, and the task that leads its connection. Dropping it closes the connection.
pub(super) struct DrivenClient {
    client: Client,
    driver: JoinHandle<()>,
}

impl Drop for DrivenClient {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl std::ops::Deref for DrivenClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl std::ops::DerefMut for DrivenClient {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl DrivenClient {
    /// Connects, with TLS if the target asks for it.
    pub(super) async fn connect(target: &PostgresTarget) -> Result<DrivenClient, PostgresFailure> {
        let ended = |ended: Result<(), tokio_postgres::Error>| {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to PostgreSQL has ended");
            }
        };
        let failed = |error: tokio_postgres::Error| PostgresFailure::not_connected(&error);
        let (client, driver) = match &target.tls {
            None => {
                let (client, connection) = target.config.connect(NoTls).await.map_err(failed)?;
                (client, tokio::spawn(async move { ended(connection.await) }))
            }
            Some(tls) => {
                let (client, connection) = target.config.connect(tls.clone()).await.map_err(failed)?;
                (client, tokio::spawn(async move { ended(connection.await) }))
            }
        };
        Ok(DrivenClient { client, driver })
    }
}
