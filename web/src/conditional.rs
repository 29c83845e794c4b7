//! ETag, If-None-Match and If-Match (RFC 9110, 13): who reads again what has not changed gets 304, and
//! nobody overwrites what they have not seen.
//!
//! The tag of a resource is its version.

use axum::{
    Json,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ETAG, IF_MATCH, IF_NONE_MATCH},
    request::Parts,
};
use serde::Serialize;

use crate::Problem;

/// A resource with the tag of the state that it is in.
pub(crate) struct Tagged<T> {
    /// Its version, or what else changes with every change of it.
    pub tag: String,
    pub body: T,
}

impl<T> Tagged<T> {
    pub fn new(tag: impl ToString, body: T) -> Self {
        Self { tag: tag.to_string(), body }
    }
}

pub(crate) fn quoted(tag: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{tag}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        ([(ETAG, quoted(&self.tag))], Json(self.body)).into_response()
    }
}

/// The states of a resource that the client has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Has(Tags);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    These(Vec<String>),
}

impl Tags {
    /// The tags in a header; weak ones only where a weak comparison will do.
    fn of(headers: &HeaderMap, name: HeaderName, weak: bool) -> Option<Self> {
        let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        if values.is_empty() {
            return None;
        }
        let tags = values.iter().flat_map(|value| value.split(',')).map(str::trim);
        if tags.clone().any(|tag| tag == "*") {
            return Some(Self::Any);
        }
        let tag = |text: &str| {
            let text = if weak { text.strip_prefix("W/").unwrap_or(text) } else { text };
            Some(text.strip_prefix('"')?.strip_suffix('"')?.to_owned())
        };
        Some(Self::These(tags.filter_map(tag).collect()))
    }

    fn holds(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|known| known == tag),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Has {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(Tags::of(&parts.headers, IF_NONE_MATCH, true).unwrap_or(Tags::These(Vec::new()))))
    }
}

impl Has {
    /// Whether the client has this state of the resource.
    pub fn has(&self, tag: &str) -> bool {
        self.0.holds(tag)
    }

    /// The resource, or 304 when the client has it.
    pub fn or<T: Serialize>(&self, resource: Tagged<T>) -> Response {
        if self.has(&resource.tag) { not_modified(&resource.tag) } else { resource.into_response() }
    }
}

/// The client has the resource as it is.
pub(crate) fn not_modified(tag: &str) -> Response {
    (StatusCode::NOT_MODIFIED, [(ETAG, quoted(tag))]).into_response()
}

/// The versions of a resource that a change may overwrite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IfMatch(Tags);

/// Every change of a resource says which version it changes.
impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Tags::of(&parts.headers, IF_MATCH, false).map(Self).ok_or_else(|| {
            let detail = "send If-Match with the ETag of the version that you change, or * for whichever there is";
            Problem::new(StatusCode::PRECONDITION_REQUIRED, "version.required", detail)
        })
    }
}

impl IfMatch {
    /// The change may go on when the resource has one of the versions that it names.
    pub fn allows(&self, version: i64) -> bool {
        self.0.holds(&version.to_string())
    }

    /// The versions, where it names any.
    pub fn versions(&self) -> Option<Vec<i64>> {
        match &self.0 {
            Tags::Any => None,
            Tags::These(tags) => Some(tags.iter().filter_map(|tag| tag.parse().ok()).collect()),
        }
    }

    /// How often a change is tried that others come before: whichever version there is then may be changed as well.
    /// A scenario's runs change it, too.
    pub fn tries(&self) -> usize {
        match self.0 {
            Tags::Any => 5,
            Tags::These(_) => 1,
        }
    }

    /// Somebody else changed the resource before this change could.
    pub fn lost(&self) -> Problem {
        match self.0 {
            Tags::Any => Problem::contended(),
            Tags::These(_) => changed(),
        }
    }
}

/// Why nothing was done: the resource has none of the versions in If-Match.
pub(crate) fn changed() -> Problem {
    let detail = "the resource is no longer the version in If-Match; read it again and decide anew";
    Problem::new(StatusCode::PRECONDITION_FAILED, "version.changed", detail)
}

/// A request that need not say which version it is of.
impl<S: Send + Sync> OptionalFromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Ok(Tags::of(&parts.headers, IF_MATCH, false).map(Self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_version_is_matched_by_its_strong_tag_or_a_star() {
        let of = |value| IfMatch(Tags::of(&sent(IF_MATCH, value), IF_MATCH, false).expect("it was sent"));
        assert!(of("\"7\"").allows(7));
        assert!(of("\"6\", \"7\"").allows(7));
        assert!(of("*").allows(7));
        for other in ["\"6\"", "W/\"7\"", "7", "\"", ""] {
            assert!(!of(other).allows(7), "{other}");
        }
        assert_eq!(Tags::of(&HeaderMap::new(), IF_MATCH, false), None);
    }

    #[test]
    fn what_the_client_has_is_known_by_weak_tags_too() {
        let of = |value| Has(Tags::of(&sent(IF_NONE_MATCH, value), IF_NONE_MATCH, true).expect("it was sent"));
        for known in ["\"7\"", "W/\"7\"", "\"1\",W/\"7\"", "*"] {
            assert!(of(known).has("7"), "{known}");
        }
        assert!(!of("\"8\"").has("7"));
    }
}
