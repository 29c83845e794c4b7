//! An array of scenarios, or an object with the array `scenarios`. An entry is not looked into: it is read, and
//! refused, like the body of a request.

use std::{
    fmt,
    fs::File,
    io::{BufRead, BufReader},
};

use safire_domain::{operation::Row, reading::BYTE_ORDER_MARK};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Refusal, Sink, malformed};

pub(super) fn read(file: File, sink: &mut Sink) -> Result<(), Refusal> {
    let mut file = BufReader::new(file);
    if file.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        file.consume(BYTE_ORDER_MARK.len());
    }
    let mut reader = serde_json::Deserializer::from_reader(file);
    let mut refused = None;
    let outcome = Root(Entries { sink, refused: &mut refused }).deserialize(&mut reader);
    if let Some(refused) = refused {
        return Err(refused);
    }
    outcome.and_then(|()| reader.end()).map_err(|error| malformed(format!("the file is not JSON: {error}")))
}

/// The array, wherever it is.
struct Root<'s>(Entries<'s>);

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of scenarios, or an object with the array `scenarios`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        self.0.visit_seq(entries)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        match fields.next_key::<String>()?.as_deref() {
            Some("scenarios") => fields.next_value_seed(self.0)?,
            _ => return Err(A::Error::custom("expected the field `scenarios`, an array")),
        }
        match fields.next_key::<String>()? {
            None => Ok(()),
            Some(_) => Err(A::Error::custom("there is no field but `scenarios`")),
        }
    }
}

struct Entries<'s> {
    sink: &'s mut Sink,
    /// Where a refusal is left, which the reader's own error cannot carry.
    refused: &'s mut Option<Refusal>,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of scenarios")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut line = 0;
        while let Some(body) = entries.next_element::<Box<RawValue>>()? {
            line += 1;
            if let Err(refusal) = self.sink.take(Row { line, body, wrong: Vec::new() }) {
                *self.refused = Some(refusal);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}
