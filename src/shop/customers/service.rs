//! The summaries as the routes ask for them.

use super::sqlite::CustomersRepository;
use super::summary::CustomerSummary;
use crate::shop::contract::{CustomerId, StorageError};

/// The customers. Cheap to clone; the database is opened when it is first used.
#[derive(Clone, Debug)]
pub struct CustomersService {
    repository: CustomersRepository,
}

impl CustomersService {
    /// Over what that repository stores.
    #[must_use]
    pub fn new(repository: CustomersRepository) -> CustomersService {
        CustomersService { repository }
    }

    /// What that customer ordered; `None` if no order of that customer was ever confirmed.
    ///
    /// # Errors
    /// [`StorageError`]; [`StorageError::Unavailable`] while the model is built for the first time, too.
    pub async fn summary(&self, customer: CustomerId) -> Result<Option<CustomerSummary>, StorageError> {
        self.repository.summary(customer).await
    }
}
