//! Reading JSON that somebody wrote: what does not parse is named by its place, like everything else that is
//! wrong with it.

mod strict;

use safire_engine::{Allowed, Violation, inputs::fields::Field};
use serde::de::DeserializeOwned;
use serde_json::{Value, error::Category};
use serde_path_to_error::{Path, Segment};

use strict::Strict;

/// What some programs put before a text in UTF-8, to say that it is one.
pub const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Why nothing was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Unread {
    /// It is not JSON.
    Malformed(String),
    /// It is JSON, but not what was expected at some place.
    Wrong(Violation),
}

/// Reads a text that is an object, or says where it went wrong and how.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Unread> {
    let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(Strict(&mut reader)).map_err(|error| {
        let pointer = pointer(error.path());
        misread(pointer, error.inner())
    })?;
    reader.end().map_err(|error| misread(String::new(), &error))?;
    Ok(value)
}

/// Reads a part of a document that stands at `at`.
pub fn read<T: DeserializeOwned>(at: &str, part: Value) -> Result<T, Violation> {
    serde_path_to_error::deserialize(Strict(part)).map_err(|error| {
        let pointer = format!("{at}{}", pointer(error.path()));
        match misread(pointer.clone(), error.inner()) {
            Unread::Wrong(violation) => violation,
            Unread::Malformed(message) => Violation { pointer, code: "type", message, allowed: None },
        }
    })
}

fn misread(pointer: String, error: &serde_json::Error) -> Unread {
    let message = error.to_string();
    match error.classify() {
        Category::Data => {
            // The path ends with a field that is unknown, and before one that is missing.
            let (pointer, code) = match quoted_after(&message, "missing field `") {
                Some(field) => (format!("{pointer}/{}", escape(field)), "required"),
                None if message.starts_with("unknown field") => (pointer, "field.unknown"),
                None if message.starts_with("more than") => (pointer, "too_many"),
                None => (pointer, "type"),
            };
            Unread::Wrong(violation(pointer, code, &message))
        }
        // A number that no double can hold is well-formed JSON: it is the field that is wrong.
        _ if message.starts_with("number out of range") => {
            let message = "the number is larger than any that can be computed with";
            Unread::Wrong(violation(pointer, "not_finite", message))
        }
        _ => Unread::Malformed(format!("the body is not JSON: {message}")),
    }
}

/// What was misread; where an input was expected, with the range that it may have.
fn violation(pointer: String, code: &'static str, message: &str) -> Violation {
    let at = pointer.find("/inputs/").map_or("", |at| &pointer[at + "/inputs".len()..]);
    let input = at.strip_suffix("/value").or(at.strip_suffix("/unit")).unwrap_or(at);
    let allowed = Field::at(input).map(Allowed::of);
    let (message, _) = message.rsplit_once(" at line ").unwrap_or((message, ""));
    let message = match &allowed {
        Some(allowed) => format!("{message}; allowed is {allowed}"),
        None => message.to_owned(),
    };
    Violation { pointer, code, message, allowed }
}

fn quoted_after<'m>(message: &'m str, before: &str) -> Option<&'m str> {
    let (_, rest) = message.split_once(before)?;
    rest.split_once('`').map(|(field, _)| field)
}

fn pointer(path: &Path) -> String {
    let part = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", escape(key))),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().filter_map(part).collect()
}

/// A part of a JSON pointer.
pub fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}
