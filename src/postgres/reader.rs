//! Reads: each is one statement on a connection of its own kind, so that a list that takes long keeps no
//! look-up waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_postgres::Row;

use super::call::Call;
use super::connect::{Link, named};
use super::failure::PostgresFailure;
use super::target::PostgresTarget;

/// A read that takes longer is given up, and with it the connection.
const LONGEST: Duration = Duration::from_secs(10);

/// One connection for reads, opened when it is first used and again after it has ended. Reads that come while
/// others are under way follow them without waiting.
#[derive(Clone)]
pub(super) struct Reader {
    target: PostgresTarget,
    link: Arc<Mutex<Option<Arc<Link>>>>,
}

impl Reader {
    pub(super) fn new(target: PostgresTarget) -> Reader {
        Reader {
            target,
            link: Arc::default(),
        }
    }

    /// The rows of a statement. What fails because the connection has ended is tried once more: a read
    /// changes nothing.
    pub(super) async fn read(&self, call: &Call) -> Result<Vec<Row>, PostgresFailure> {
        match self.try_read(call).await {
            Err(failure) if failure.ends_connection() => self.try_read(call).await,
            read => read,
        }
    }

    async fn try_read(&self, call: &Call) -> Result<Vec<Row>, PostgresFailure> {
        let link = self.link().await?;
        link.prepare(std::iter::once((call.sql, call.parameters.as_slice())))
            .await
            .map_err(|failure| named(failure, &self.target))?;
        let read = tokio::time::timeout(LONGEST, link.query(call.sql, &call.parameters)).await;
        let read = read.unwrap_or_else(|_| {
            let waited = LONGEST.as_secs();
            Err(PostgresFailure::Unreachable(format!(
                "a read was not answered for {waited} s"
            )))
        });
        if read.as_ref().is_err_and(PostgresFailure::ends_connection) {
            self.forget(&link).await;
        }
        read.map_err(|failure| named(failure, &self.target))
    }

    async fn link(&self) -> Result<Arc<Link>, PostgresFailure> {
        let mut link = self.link.lock().await;
        if let Some(link) = link.as_ref().filter(|link| !link.is_closed()) {
            return Ok(Arc::clone(link));
        }
        let opened = Arc::new(Link::open(&self.target).await?);
        *link = Some(Arc::clone(&opened));
        Ok(opened)
    }

    async fn forget(&self, broken: &Arc<Link>) {
        let mut link = self.link.lock().await;
        if link.as_ref().is_some_and(|link| Arc::ptr_eq(link, broken)) {
            *link = None;
        }
    }
}
