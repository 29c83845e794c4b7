//! Objects are written as JSON objects and in no other way.
//!
//! A derived `Deserialize` also takes an array, field after field: `"plant": []` would pass as a plant
//! with nothing given. The wrapper below asks the format for a map, so that arrays are refused by name.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// A deserializer that only yields maps.
pub(crate) struct MapOnly<D>(pub(crate) D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for MapOnly<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Implements the serde traits for structs that derive them with `#[serde(remote = "Self")]`, reading
/// them from objects only.
macro_rules! objects_only {
    ($($object:ty),+) => {$(
        impl serde::Serialize for $object {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$object>::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $object {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$object>::deserialize($crate::inputs::object::MapOnly(deserializer))
            }
        }
    )+};
}

pub(crate) use objects_only;

/// The most entries that a map of feedstocks or products has: more than any plant, and few enough that a
/// small text cannot become large in memory.
const MOST: usize = 64;

/// Reads a map of few entries; one that has more is refused at the first too many.
pub(crate) fn few<'de, D, T>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Few<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Few<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object with entries by code")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some(code) = entries.next_key()? {
                if map.len() == MOST {
                    return Err(A::Error::custom(format_args!("more than {MOST} entries")));
                }
                map.insert(code, entries.next_value()?);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(Few(PhantomData))
}
