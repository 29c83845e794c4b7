//! Short texts that people give: names, descriptions, e-mail addresses.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use utoipa::ToSchema;

use crate::UserId;

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadText {
    /// Too short or too long.
    #[error("has {length} characters, allowed are {min} to {max}")]
    Length {
        /// Characters given.
        length: usize,
        /// The least allowed.
        min: usize,
        /// The most allowed.
        max: usize,
    },
    /// A control character, which would corrupt logs and tables.
    #[error("contains a control character")]
    Control,
    /// A character that has no place in an id.
    #[error("contains a character other than A-Z, a-z, 0-9, _ and -")]
    NotPlain,
    /// Not `name@host`.
    #[error("is not an e-mail address such as ana@example.com")]
    NotAnAddress,
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $min:tt, $max:tt, $check:path, $pattern:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, min_length = $min, max_length = $max, pattern = $pattern, example = $example)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadText;

            fn try_from(text: String) -> Result<Self, BadText> {
                $check(&text, $min, $max)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text! {
    /// What a user, project or scenario is called: 1 to 200 characters.
    Name, 1, 200, printable, r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$", "HEFA in Houston"
}
text! {
    /// A project's description: up to 2,000 characters.
    Description, 0, 2000, plain, r"^[^\x00-\x09\x0B-\x1F\x7F-\x9F]*$", "Used cooking oil, from 2028"
}
text! {
    /// A line about where figures come from: 1 to 500 characters.
    Note, 1, 500, printable, r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$", "Prices of 2025, from the plant's own contracts"
}
text! {
    /// The id by which other systems know a user: 1 to 128 characters, none of them a control character.
    GlobalId, 1, 128, printable, r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$", "ldap:7"
}
text! {
    /// The id of a zone: 1 to 64 of A-Z, a-z, 0-9, _ and -.
    ZoneId, 1, 64, word, r"^[A-Za-z0-9_-]+$", "north"
}

impl FromStr for ZoneId {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        text.to_owned().try_into()
    }
}

impl From<UserId> for GlobalId {
    /// The global id of a user to whom nobody gave one.
    fn from(id: UserId) -> Self {
        Self(id.to_string())
    }
}

/// An e-mail address in ASCII, in lower case: the name that a user signs in with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(
    value_type = String,
    format = "email",
    min_length = 3,
    max_length = 254,
    pattern = r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$",
    example = "ana@example.com"
)]
pub struct Email(String);

impl Email {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Email {
    type Error = BadText;

    fn try_from(text: String) -> Result<Self, BadText> {
        printable(&text, 3, 254)?;
        match text.split_once('@') {
            Some((user, host)) if is_user(user) && host.split('.').all(is_label) => Ok(Self(text.to_ascii_lowercase())),
            _ => Err(BadText::NotAnAddress),
        }
    }
}

/// The part before the @: a dot-atom (RFC 5321, 4.1.2).
fn is_user(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c);
    text.len() <= 64 && text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(fits))
}

/// A part of a host's name.
fn is_label(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(fits) && !text.starts_with('-') && !text.ends_with('-')
}

impl From<Email> for String {
    fn from(email: Email) -> String {
        email.0
    }
}

/// A password as it is counted and hashed: in NFKC, so that it is the same whichever way a keyboard composes its letters
/// (NIST SP 800-63B, 5.1.1.2).
pub fn normalised_password(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { text.into() } else { text.nfkc().collect() }
}

/// Whether a text may be a password: 12 to 128 characters.
pub fn check_password(text: &str) -> Result<(), BadText> {
    let (length, min, max) = (normalised_password(text).chars().count(), 12, 128);
    if (min..=max).contains(&length) { Ok(()) } else { Err(BadText::Length { length, min, max }) }
}

fn plain(text: &str, min: usize, max: usize) -> Result<(), BadText> {
    let length = text.trim().chars().count();
    if length < min || text.chars().count() > max {
        return Err(BadText::Length { length, min, max });
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(BadText::Control);
    }
    Ok(())
}

fn printable(text: &str, min: usize, max: usize) -> Result<(), BadText> {
    plain(text, min, max)?;
    if text.contains('\n') { Err(BadText::Control) } else { Ok(()) }
}

fn word(text: &str, min: usize, max: usize) -> Result<(), BadText> {
    plain(text, min, max)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if text.chars().all(fits) { Ok(()) } else { Err(BadText::NotPlain) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_counted_in_the_characters_that_it_is_hashed_in() {
        let (composed, decomposed) = ("M\u{fc}ller passw\u{f6}rt", "Mu\u{308}ller passwo\u{308}rt");
        assert_eq!(normalised_password(decomposed), composed);
        assert_eq!(normalised_password(composed), composed);
        assert_eq!(normalised_password("correct horse battery"), "correct horse battery");
        let short = "o\u{308}".repeat(11);
        assert_eq!(short.chars().count(), 22);
        assert!(matches!(check_password(&short), Err(BadText::Length { length: 11, .. })));
        assert_eq!(check_password(&"o\u{308}".repeat(128)), Ok(()));
        assert!(matches!(check_password(&"\u{fb03}".repeat(43)), Err(BadText::Length { length: 129, .. })));
    }

    #[test]
    fn a_name_is_neither_blank_nor_endless_nor_a_control_sequence() {
        assert!(Name::try_from("HEFA in Houston".to_owned()).is_ok());
        assert!(matches!(Name::try_from("   ".to_owned()), Err(BadText::Length { length: 0, .. })));
        assert!(matches!(Name::try_from("x".repeat(201)), Err(BadText::Length { length: 201, .. })));
        assert_eq!(Name::try_from("a\u{1b}[2J".to_owned()), Err(BadText::Control));
        assert_eq!(Name::try_from("two\nlines".to_owned()), Err(BadText::Control));
    }

    #[test]
    fn an_address_has_two_parts_and_is_kept_in_lower_case() {
        assert_eq!(Email::try_from("Ana@Example.com".to_owned()).unwrap().as_str(), "ana@example.com");
        for bad in
            ["ana", "@example.com", "ana@", "a@b@c", "a b@c", "ěþ@²ã", ".a@b", "a..b@c", "a@b..c", "a@-b", "(a)@b"]
        {
            assert_eq!(Email::try_from(bad.to_owned()), Err(BadText::NotAnAddress), "{bad}");
        }
    }
    #[test]
    fn ids_given_by_people_are_one_line_and_zones_one_word() {
        assert!(GlobalId::try_from("LDAP:ana müller/7".to_owned()).is_ok());
        assert_eq!(GlobalId::try_from("two\nlines".to_owned()), Err(BadText::Control));
        assert!(matches!(GlobalId::try_from("x".repeat(129)), Err(BadText::Length { .. })));
        assert!("EU-north_1".parse::<ZoneId>().is_ok());
        assert!(matches!("".parse::<ZoneId>(), Err(BadText::Length { .. })));
        for bad in ["a b", "a/b", "ä", "a;--"] {
            assert_eq!(bad.parse::<ZoneId>(), Err(BadText::NotPlain), "{bad}");
        }
        assert!(matches!("z".repeat(65).parse::<ZoneId>(), Err(BadText::Length { .. })));
    }
}
