//! One value of a row whose columns are known only while the program runs.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

/// A value as a table holds it. A boolean is the number 0 or 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowValue {
    /// No value.
    Null,
    /// A number, whatever its size in the table is, or a boolean.
    Integer(i64),
    /// A text.
    Text(String),
    /// Bytes, whatever they mean.
    Bytes(Vec<u8>),
}

type AnyError = Box<dyn Error + Sync + Send>;

impl ToSql for RowValue {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, AnyError> {
        match (self, kind) {
            (RowValue::Null, _) => Ok(IsNull::Yes),
            (RowValue::Integer(number @ (0 | 1)), &Type::BOOL) => (*number == 1).to_sql(kind, out),
            (RowValue::Integer(number), &Type::INT2) => i16::try_from(*number)?.to_sql(kind, out),
            (RowValue::Integer(number), &Type::INT4) => i32::try_from(*number)?.to_sql(kind, out),
            (RowValue::Integer(number), &Type::INT8) => number.to_sql(kind, out),
            (RowValue::Text(text), &Type::TEXT) => text.to_sql(kind, out),
            (RowValue::Bytes(bytes), &Type::BYTEA) => bytes.to_sql(kind, out),
            (cell, kind) => Err(format!("{cell:?} is no {kind}").into()),
        }
    }

    fn accepts(_kind: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

impl<'a> FromSql<'a> for RowValue {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<RowValue, AnyError> {
        match *kind {
            Type::BOOL => bool::from_sql(kind, raw).map(|is| RowValue::Integer(is.into())),
            Type::INT2 => i16::from_sql(kind, raw).map(|number| RowValue::Integer(number.into())),
            Type::INT4 => i32::from_sql(kind, raw).map(|number| RowValue::Integer(number.into())),
            Type::INT8 => i64::from_sql(kind, raw).map(RowValue::Integer),
            Type::BYTEA => Vec::from_sql(kind, raw).map(RowValue::Bytes),
            _ => String::from_sql(kind, raw).map(RowValue::Text),
        }
    }

    fn from_sql_null(_kind: &Type) -> Result<RowValue, AnyError> {
        Ok(RowValue::Null)
    }

    fn accepts(kind: &Type) -> bool {
        [
            Type::BOOL,
            Type::INT2,
            Type::INT4,
            Type::INT8,
            Type::BYTEA,
            Type::TEXT,
        ]
        .contains(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_as_its_column_wants_it_and_read_back_as_it_was() {
        for (cell, kind) in [
            (RowValue::Integer(1), Type::BOOL),
            (RowValue::Integer(-3), Type::INT2),
            (RowValue::Integer(70_000), Type::INT4),
            (RowValue::Integer(i64::MIN), Type::INT8),
            (RowValue::Text("größe\n'".to_owned()), Type::TEXT),
            (RowValue::Bytes(vec![0, 255]), Type::BYTEA),
        ] {
            let mut out = BytesMut::new();
            assert!(matches!(cell.to_sql(&kind, &mut out), Ok(IsNull::No)), "{kind}");
            assert_eq!(RowValue::from_sql(&kind, &out).unwrap(), cell, "{kind}");
        }
        assert_eq!(RowValue::from_sql_null(&Type::TEXT).unwrap(), RowValue::Null);
    }

    #[test]
    fn a_value_that_does_not_fit_its_column_is_refused() {
        for (cell, kind) in [
            (RowValue::Integer(2), Type::BOOL),
            (RowValue::Integer(40_000), Type::INT2),
            (RowValue::Integer(1 << 40), Type::INT4),
            (RowValue::Text("1".to_owned()), Type::INT8),
            (RowValue::Bytes(vec![]), Type::TEXT),
        ] {
            assert!(
                cell.to_sql(&kind, &mut BytesMut::new()).is_err(),
                "{cell:?} as {kind}"
            );
        }
    }
}
