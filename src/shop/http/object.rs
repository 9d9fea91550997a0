//! A JSON object and nothing else. serde's structs also read arrays, field by field, which no client intends.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};

/// A `T` that is read from an object only, and is written as `T` is.
pub(super) struct Object<T>(pub(super) T);

impl<T: Serialize> Serialize for Object<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        deserializer
            .deserialize_map(ObjectVisitor(PhantomData))
            .map(Object)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Point {
        x: u8,
    }

    #[test]
    fn an_object_is_read_and_an_array_is_not() {
        let read = serde_json::from_str::<Object<Point>>;
        assert_eq!(read(r#"{"x": 7}"#).unwrap().0.x, 7);
        let error = read("[7]").err().unwrap().to_string();
        assert!(
            error.contains("invalid type: sequence, expected an object"),
            "{error}"
        );
        assert!(read(r#"{"x": 7, "x": 8}"#).is_err(), "a field twice");
        assert!(read(r#"{"y": 7}"#).is_err(), "an unknown field");
    }
}
