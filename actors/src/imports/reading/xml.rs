//! The lengths of what XML is made of, before a reader that keeps each piece in memory sees any of it.

use std::io::{self, Write};

/// Bytes of a text, a tag or a comment: a cell has at most 32,767 characters, which may be written as escapes.
const PIECE: usize = 256 << 10;

/// Texts that cells share: a reader keeps all of them.
const TEXTS: usize = 400_000;

/// XML on its way to nowhere, which goes no further than it may.
///
/// It knows as much of the syntax as decides where a piece ends: a `>` in a text, in quotes or in a comment ends none.
#[derive(Debug, Default)]
pub(super) struct Measure {
    at: At,
    /// Bytes of the piece so far, and the last two of them.
    length: usize,
    last: [u8; 2],
    /// The local name of the tag so far, as far as it may be that of a shared text.
    name: Name,
    texts: usize,
    /// What there is too much of.
    pub too_much: Option<&'static str>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum At {
    #[default]
    Text,
    /// Behind a `<`.
    Open,
    Tag,
    /// In quotes of a tag.
    Quotes(u8),
    /// Behind `<!`.
    Bang,
    Comment,
    CData,
    Instruction,
}

/// Two letters, or something else.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Name {
    #[default]
    Empty,
    S,
    Si,
    Other,
}

impl Name {
    fn and(self, byte: u8) -> Self {
        match (self, byte) {
            // What was before it is the name of a space.
            (_, b':') => Self::Empty,
            (Self::Empty, b's') => Self::S,
            (Self::S, b'i') => Self::Si,
            _ => Self::Other,
        }
    }
}

impl Measure {
    fn take(&mut self, byte: u8) -> Option<&'static str> {
        self.length += 1;
        let next = match (self.at, byte) {
            (At::Text, b'<') => At::Open,
            (At::Open, b'!') => At::Bang,
            (At::Open, b'?') => At::Instruction,
            (At::Open, b'>') | (At::Tag, b'>') => At::Text,
            (At::Open, _) => At::Tag,
            (At::Tag, quote @ (b'"' | b'\'')) => At::Quotes(quote),
            (At::Quotes(quote), byte) if quote == byte => At::Tag,
            (At::Bang, b'-') => At::Comment,
            (At::Bang, b'[') => At::CData,
            (At::Bang, _) => return Some("a document type, which no workbook has"),
            (At::Comment, b'>') if self.last == *b"--" => At::Text,
            (At::CData, b'>') if self.last == *b"]]" => At::Text,
            (At::Instruction, b'>') if self.last[1] == b'?' => At::Text,
            (at, _) => at,
        };
        self.count_texts(next, byte);
        self.last = [self.last[1], byte];
        if next != self.at && matches!(next, At::Text | At::Open) {
            self.length = 0;
        }
        self.at = next;
        match () {
            () if self.length > PIECE => Some("a cell of more than 256 KiB"),
            () if self.texts > TEXTS => Some("more than 400,000 texts"),
            () => None,
        }
    }

    fn count_texts(&mut self, next: At, byte: u8) {
        match (next, byte) {
            (At::Open, _) => self.name = Name::Empty,
            (At::Tag | At::Text, b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'>') => {
                self.texts += usize::from(self.name == Name::Si);
                self.name = Name::Other;
            }
            (At::Tag, byte) => self.name = self.name.and(byte),
            _ => {}
        }
    }
}

impl Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.too_much = self.take(*byte);
            if self.too_much.is_some() {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn too_much(pieces: &[&[u8]]) -> Option<&'static str> {
        let mut measure = Measure::default();
        let _ = pieces.iter().try_for_each(|piece| measure.write_all(piece));
        measure.too_much
    }

    #[test]
    fn no_piece_is_longer_than_it_may_be_whatever_is_in_it() {
        let long = |within: &[u8]| within.repeat(2 * PIECE / within.len());
        for (begin, within, end) in [
            (&b"<t>"[..], &b"x"[..], &b"</t>"[..]),
            (b"<t>", b"a > b", b"</t>"),
            (b"<t a=\"", b"<b>", b"\">"),
            (b"<t a='", b"\">", b"'>"),
            (b"<t ", b"a ", b">"),
            (b"<!--", b"<b> ]]> ->", b"-->"),
            (b"<![CDATA[", b"<b> -->", b"]]>"),
            (b"<?a ", b"<b> >", b"?>"),
        ] {
            assert_eq!(too_much(&[begin, &long(within), end]), Some("a cell of more than 256 KiB"), "{begin:?}");
            let many = [begin, within, end].concat().repeat(100_000);
            assert_eq!(too_much(&[&many]), None, "{begin:?}");
        }
        assert!(too_much(&[b"<!DOCTYPE a>"]).is_some());
    }

    #[test]
    fn shared_texts_are_counted_whatever_space_their_name_is_in() {
        let texts = |tag: &[u8], count: usize| too_much(&[&tag.repeat(count)]);
        for tag in [&b"<si/>"[..], b"<x:si/>", b"<si><t>a</t></si>", b"<si\n></si>"] {
            // A tag that ends one has its name, too.
            let each = tag.windows(3).filter(|part| part.ends_with(b"si")).count();
            assert_eq!(texts(tag, TEXTS / each), None, "{tag:?}");
            assert_eq!(texts(tag, TEXTS + 1), Some("more than 400,000 texts"), "{tag:?}");
        }
        assert_eq!(texts(b"<sit/><s/><i/>", TEXTS + 1), None);
    }
}
