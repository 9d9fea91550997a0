//! Columns of a row as domain types.

use serde::Serialize;
use tokio_postgres::types::FromSqlOwned;

use crate::base::ids::Life;
use crate::base::money::Money;
use crate::postgres::Row;
use crate::shop::contract::{OrderId, StorageError};

/// A row, read column by column.
#[derive(Clone, Copy)]
pub(in crate::shop) struct Columns<'a>(pub(in crate::shop) &'a Row);

impl Columns<'_> {
    /// A column as it is.
    pub(in crate::shop) fn get<T: FromSqlOwned>(&self, column: usize) -> Result<T, StorageError> {
        let value = self.0.try_get(column);
        value.map_err(|error| StorageError::Failed(error.to_string()))
    }

    /// A count, or a time in milliseconds since 1970.
    pub(in crate::shop) fn count(&self, column: usize) -> Result<u64, StorageError> {
        let count: i64 = self.get(column)?;
        u64::try_from(count).map_err(|_| invalid(column, &format!("{count} is negative")))
    }

    /// A number that is never large, such as that of a claim.
    pub(in crate::shop) fn small(&self, column: usize) -> Result<u32, StorageError> {
        let number: i32 = self.get(column)?;
        u32::try_from(number).map_err(|_| invalid(column, &format!("{number} is negative")))
    }

    /// The key of an order.
    pub(in crate::shop) fn order(&self, column: usize) -> Result<OrderId, StorageError> {
        self.get(column).map(OrderId::from_key)
    }

    /// A life: the text `7/0/3`.
    pub(in crate::shop) fn life(&self, column: usize) -> Result<Life, StorageError> {
        let text: String = self.get(column)?;
        text.parse::<Life>()
            .map_err(|error| invalid(column, &error.to_string()))
    }

    /// A text of a type that checks its text.
    pub(in crate::shop) fn validated<T: TryFrom<String>>(&self, column: usize) -> Result<T, StorageError>
    where
        T::Error: std::fmt::Display,
    {
        T::try_from(self.get(column)?).map_err(|error| invalid(column, &error.to_string()))
    }

    /// An amount and, in the column behind it, its currency.
    pub(in crate::shop) fn money(&self, column: usize) -> Result<Money, StorageError> {
        Ok(Money {
            amount: self.count(column)?,
            currency: self.validated(column + 1)?,
        })
    }

    /// A text of JSON.
    pub(in crate::shop) fn json<T: serde::de::DeserializeOwned>(
        &self,
        column: usize,
    ) -> Result<T, StorageError> {
        let text: String = self.get(column)?;
        serde_json::from_str(&text).map_err(|error| invalid(column, &error.to_string()))
    }

    /// A text of JSON, if there is one.
    pub(in crate::shop) fn json_if_any<T: serde::de::DeserializeOwned>(
        &self,
        column: usize,
    ) -> Result<Option<T>, StorageError> {
        let text: Option<String> = self.get(column)?;
        let value = text.map(|text| serde_json::from_str(&text));
        value
            .transpose()
            .map_err(|error| invalid(column, &error.to_string()))
    }
}

/// The orders that a statement answers, whose keys are its only column.
pub(in crate::shop) fn order_ids(rows: &[Row]) -> Result<Vec<OrderId>, StorageError> {
    rows.iter().map(|row| Columns(row).order(0)).collect()
}

fn invalid(column: usize, reason: &str) -> StorageError {
    StorageError::Failed(format!("column {column} of a row cannot be read: {reason}"))
}

/// A value as a column of JSON.
pub(in crate::shop) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("these types have only string keys and cannot fail to be written")
}

/// A number of rows as a parameter of a statement.
pub(in crate::shop) fn row_count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
