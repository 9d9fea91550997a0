//! Rust values as parameters of a statement. The type of each is known before it is sent, so that no
//! statement needs to be prepared for it.

use tokio_postgres::types::{ToSql, Type};

/// A parameter with its type.
pub(super) type Parameter = (Box<dyn ToSql + Send + Sync>, Type);

/// A value that can be a parameter.
pub trait Bind: ToSql + Send + Sync + 'static {
    /// The type in the database.
    const TYPE: Type;
}

macro_rules! bind {
    ($($rust:ty => $sql:ident,)*) => {
        $(impl Bind for $rust {
            const TYPE: Type = Type::$sql;
        })*
    };
}

bind! {
    bool => BOOL,
    i16 => INT2,
    i32 => INT4,
    i64 => INT8,
    String => TEXT,
    &'static str => TEXT,
    Vec<u8> => BYTEA,
    Vec<i32> => INT4_ARRAY,
    Vec<i64> => INT8_ARRAY,
    Vec<String> => TEXT_ARRAY,
}

impl<T: Bind> Bind for Option<T> {
    const TYPE: Type = T::TYPE;
}

/// A value as a parameter.
pub(super) fn parameter<T: Bind>(value: T) -> Parameter {
    (Box::new(value), T::TYPE)
}
