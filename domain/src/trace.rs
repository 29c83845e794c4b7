//! Where in a trace something was caused (W3C Trace Context, version 00).

use std::{fmt, str::FromStr};

use thiserror::Error;
use uuid::Uuid;

/// A trace: all that was done, by whichever systems, because of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// A span: one piece of work in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

/// A span in its trace, as systems tell each other what caused what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether whoever began the trace records it.
    pub is_sampled: bool,
}

impl TraceId {
    /// A trace of its own for whatever has that id.
    pub fn of(id: Uuid) -> Self {
        // Zero would be no trace.
        Self(id.as_u128().max(1))
    }
}

impl SpanId {
    /// The span of that attempt at whatever has that id.
    pub fn of(id: Uuid, attempt: u64) -> Self {
        const NOT_ZERO: u64 = 1 << 63;
        Self(id.as_u64_pair().1.wrapping_add(attempt) | NOT_ZERO)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Faster than the formatting of a number, and every request has one.
        fmt::Display::fmt(Uuid::from_u128(self.0).as_simple(), f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

/// The text is no `traceparent` of version 00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is not a traceparent")]
pub struct NoTraceparent;

impl FromStr for Traceparent {
    type Err = NoTraceparent;

    fn from_str(text: &str) -> Result<Self, NoTraceparent> {
        let parts: Vec<_> = text.split('-').collect();
        let [version, trace, span, flags] = parts.as_slice() else { return Err(NoTraceparent) };
        let (version, flags) = (hex(version, 2)?, hex(flags, 2)?);
        let (trace, span) = (hex(trace, 32)?, hex(span, 16)? as u64);
        if version != 0 || trace == 0 || span == 0 {
            return Err(NoTraceparent);
        }
        Ok(Self { trace: TraceId(trace), span: SpanId(span), is_sampled: flags & 1 == 1 })
    }
}

/// A number of so many digits, in lower case.
fn hex(text: &str, digits: usize) -> Result<u128, NoTraceparent> {
    let is_plain = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    u128::from_str_radix(text, 16).ok().filter(|_| is_plain).ok_or(NoTraceparent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_written_as_it_was_read() {
        for text in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000001-0000000000000001-00",
        ] {
            let read: Traceparent = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
            assert_eq!(read.is_sampled, text.ends_with("01"));
        }
    }

    #[test]
    fn what_is_not_well_formed_is_no_traceparent() {
        for bad in [
            "",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-02",
        ] {
            assert_eq!(bad.parse::<Traceparent>(), Err(NoTraceparent), "{bad}");
        }
    }
}
