//! Identifiers: UUIDs of version 7, so that they sort by the time they were made.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::{Builder, Uuid};

use crate::Timestamp;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id that sorts at `now`.
            pub fn new(now: Timestamp) -> Self {
                Self(version_7(now))
            }

            /// The bare UUID, as databases store it.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A person or program that signs in.
    UserId
}
id! {
    /// A project: a user's folder of scenarios.
    ProjectId
}
id! {
    /// A scenario: one plant, one set of inputs.
    ScenarioId
}
id! {
    /// One calculation of a scenario.
    RunId
}
id! {
    /// Work that takes longer than a request, such as an import.
    OperationId
}
id! {
    /// A sign-in, and every refresh token that follows from it.
    SessionId
}
id! {
    /// A personal API key.
    KeyId
}
id! {
    /// One life of one process: the owner of the runs that it works on.
    NodeId
}

/// A UUID of version 7 whose twelve bits after the milliseconds are their fraction (RFC 9562, 6.2,
/// method 3), so that ids sort as finely as our clock tells time; the rest is random.
#[expect(clippy::disallowed_methods, reason = "the time is an argument; only the random bits are taken from here")]
fn version_7(now: Timestamp) -> Uuid {
    let micros = u64::try_from(now.timestamp_micros()).unwrap_or(0);
    let fraction = u16::try_from(micros % 1_000 * 4_096 / 1_000).unwrap_or(0);
    let random = Uuid::new_v4().into_bytes();
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&random[6..]);
    bytes[..2].copy_from_slice(&fraction.to_be_bytes());
    // Version 4 has its own version and variant bits here; the builder overwrites both.
    Builder::from_unix_timestamp_millis(micros / 1_000, &bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let early = RunId::new(Timestamp::UNIX_EPOCH);
        let late = RunId::new(Timestamp::UNIX_EPOCH + TimeDelta::milliseconds(1));
        assert!(early < late);
        for micros in 0..2_000 {
            let at = |micros| RunId::new(Timestamp::UNIX_EPOCH + TimeDelta::microseconds(micros));
            assert!(at(micros) < at(micros + 1), "{micros} us");
        }
        assert_eq!(early.uuid().get_version_num(), 7);
        assert_eq!(early.to_string().parse(), Ok(early));
    }
}
