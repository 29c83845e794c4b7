//! Identifiers: UUIDs of version 7, so that they sort by the time they were made.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::{NoContext, Uuid};

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

fn version_7(now: Timestamp) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    let time = uuid::Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos());
    Uuid::new_v7(time)
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
        assert_eq!(early.to_string().parse(), Ok(early));
    }
}
