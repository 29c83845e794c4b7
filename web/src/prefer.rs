//! `Prefer: wait=N` (RFC 7240): a client that would rather wait a little than ask again.

use std::time::Duration;

use axum::extract::FromRequestParts;
use http::{HeaderMap, HeaderName, request::Parts};

pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Says which preference was followed.
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How many seconds the client would wait; a preference that makes no sense is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait(pub Option<u64>);

impl Wait {
    /// The wait, within what the service allows.
    pub fn within(self, most: Duration) -> Option<Duration> {
        self.0.map(|seconds| Duration::from_secs(seconds).min(most))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Wait {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(wait(&parts.headers)))
    }
}

fn wait(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split([',', ';'])).find_map(|preference| {
        let (name, seconds) = preference.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| seconds.trim().trim_matches('"').parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_wait_is_a_number_of_seconds_and_anything_else_is_none() {
        let of = |text: &'static str| wait(&HeaderMap::from_iter([(PREFER, HeaderValue::from_static(text))]));
        assert_eq!(of("wait=5"), Some(5));
        assert_eq!(of("respond-async, Wait = \"7\""), Some(7));
        assert_eq!(of("wait=-1"), None);
        assert_eq!(of("wait=soon"), None);
        assert_eq!(of("return=minimal"), None);
        assert_eq!(Wait(Some(60)).within(Duration::from_secs(20)), Some(Duration::from_secs(20)));
    }
}
