//! ETag, If-None-Match and If-Match (RFC 9110, 13): who reads again what has not changed gets 304, and
//! nobody overwrites what they have not seen.
//!
//! The tag of a resource is its version; a compressed answer has one of its own, which names the same version.

use axum::{
    Json,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_ENCODING, ETAG, IF_MATCH, IF_NONE_MATCH, VARY},
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

/// The end of the tag of a compressed answer: a strong tag names bytes, and these are others (RFC 9110, 8.8.3.3).
const CODED: &str = "-gzip";

/// Gives a compressed answer a tag of its own.
pub(crate) fn tag_by_coding<B>(mut response: http::Response<B>) -> http::Response<B> {
    let is_coded = response.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
    let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()?.strip_prefix('"')?.strip_suffix('"'));
    if let Some(tag) = tag.filter(|_| is_coded).map(|tag| quoted(&format!("{tag}{CODED}"))) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// An entity tag that a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag {
    is_weak: bool,
    /// Whether it is that of a compressed answer.
    is_coded: bool,
    /// The state that it names, however that was sent.
    state: String,
}

impl Tag {
    /// The tag that a text begins with, and what comes after it (RFC 9110, 8.8.3).
    fn first(text: &[u8]) -> Option<(Self, &[u8])> {
        let opaque = text.strip_prefix(b"W/").unwrap_or(text);
        let is_weak = opaque.len() < text.len();
        let opaque = opaque.strip_prefix(b"\"")?;
        let (tag, rest) = opaque.split_at(opaque.iter().position(|byte| *byte == b'"')?);
        if tag.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
            return None;
        }
        let tag = String::from_utf8_lossy(tag);
        let state = tag.strip_suffix(CODED).unwrap_or(&tag);
        let is_coded = state.len() < tag.len();
        Some((Self { is_weak, is_coded, state: state.to_owned() }, &rest[1..]))
    }

    fn sent(&self) -> HeaderValue {
        quoted(&format!("{}{}", self.state, if self.is_coded { CODED } else { "" }))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    These(Vec<Tag>),
}

impl Tags {
    /// The tags in a header, if it is there.
    fn of(headers: &HeaderMap, name: HeaderName) -> Result<Option<Self>, Problem> {
        let lines: Vec<_> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
        if lines.is_empty() {
            return Ok(None);
        }
        Self::parse(&lines.join(&b','))
            .map(Some)
            .ok_or_else(|| malformed(if name == IF_MATCH { "If-Match" } else { "If-None-Match" }))
    }

    fn parse(mut text: &[u8]) -> Option<Self> {
        if text.trim_ascii() == b"*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        while let Some(first) = text.trim_ascii_start().first() {
            text = text.trim_ascii_start();
            if *first == b',' {
                text = &text[1..];
                continue;
            }
            let (tag, rest) = Tag::first(text)?;
            tags.push(tag);
            text = rest.trim_ascii_start();
            if text.first().is_some_and(|next| *next != b',') {
                return None;
            }
        }
        (!tags.is_empty()).then_some(Self::These(tags))
    }

    /// Whether one of the tags is that state's, byte for byte.
    fn has(&self, state: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|tag| !tag.is_weak && tag.state == state),
        }
    }

    /// The tag by which the client knows that state, weak or not.
    fn known(&self, state: &str) -> Option<HeaderValue> {
        match self {
            Self::Any => Some(quoted(state)),
            Self::These(tags) => tags.iter().find(|tag| tag.state == state).map(Tag::sent),
        }
    }
}

fn malformed(name: &str) -> Problem {
    let detail = format!("{name} has to be * or a list of entity tags such as \"3\", with their quotation marks");
    Problem::new(StatusCode::BAD_REQUEST, "precondition.malformed", detail)
}

/// The states of a resource that the client has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Has(Option<Tags>);

impl<S: Send + Sync> FromRequestParts<S> for Has {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Tags::of(&parts.headers, IF_NONE_MATCH).map(Self)
    }
}

impl Has {
    /// 304, when the client has this state of the resource.
    pub fn unchanged(&self, tag: &str) -> Option<Response> {
        let known = self.0.as_ref()?.known(tag)?;
        let vary = HeaderValue::from_static("accept-encoding");
        Some((StatusCode::NOT_MODIFIED, [(ETAG, known), (VARY, vary)]).into_response())
    }

    /// The resource, or 304 when the client has it.
    pub fn or<T: Serialize>(&self, resource: Tagged<T>) -> Response {
        self.unchanged(&resource.tag).unwrap_or_else(|| resource.into_response())
    }
}

/// The versions of a resource that a change may overwrite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IfMatch(Tags);

/// Every change of a resource says which version it changes.
impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Tags::of(&parts.headers, IF_MATCH)?.map(Self).ok_or_else(|| {
            required("send If-Match with the ETag of the version that you change, or * for whichever there is")
        })
    }
}

fn required(detail: &'static str) -> Problem {
    Problem::new(StatusCode::PRECONDITION_REQUIRED, "version.required", detail)
}

impl IfMatch {
    /// The change may go on when the resource has one of the versions that it names.
    pub fn allows(&self, version: i64) -> bool {
        self.0.has(&version.to_string())
    }

    /// The versions, where it names any.
    pub fn versions(&self) -> Option<Vec<i64>> {
        match &self.0 {
            Tags::Any => None,
            Tags::These(tags) => {
                let strong = tags.iter().filter(|tag| !tag.is_weak);
                let version =
                    |tag: &Tag| tag.state.parse().ok().filter(|version: &i64| version.to_string() == tag.state);
                Some(strong.filter_map(version).collect())
            }
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
        Ok(Tags::of(&parts.headers, IF_MATCH)?.map(Self))
    }
}

/// The versions that a request names, if it does; `*` is whichever there is.
pub(crate) fn versions(if_match: Option<IfMatch>) -> Option<Vec<i64>> {
    if_match?.versions()
}

/// What a request that makes or replaces a resource expects to be there.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

impl<S: Send + Sync> FromRequestParts<S> for Expected {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let if_match = Tags::of(&parts.headers, IF_MATCH)?;
        let if_none_match = Tags::of(&parts.headers, IF_NONE_MATCH)?;
        if if_match.is_none() && if_none_match.is_none() {
            let detail = "send If-None-Match: * to make it where there is none, or If-Match with the ETag of the \
                version that you replace, or * for whichever there is";
            return Err(required(detail));
        }
        Ok(Self { if_match, if_none_match })
    }
}

impl Expected {
    /// Whether it may be made or replaced; without a version there is none yet.
    pub fn allows(&self, version: Option<i64>) -> bool {
        let version = version.map(|version| version.to_string());
        let matches = |tags: &Tags| version.as_ref().is_some_and(|version| tags.has(version));
        let knows = |tags: &Tags| version.as_ref().is_some_and(|version| tags.known(version).is_some());
        self.if_match.as_ref().is_none_or(matches) && !self.if_none_match.as_ref().is_some_and(knows)
    }

    /// Why nothing was done.
    pub fn failed(&self) -> Problem {
        if self.if_match.is_some() {
            return changed();
        }
        let detail = "there is one already; send If-Match with its ETag to replace it";
        Problem::new(StatusCode::PRECONDITION_FAILED, "version.exists", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(name: HeaderName, values: &[&'static str]) -> Result<Option<Tags>, Problem> {
        Tags::of(&values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect(), name)
    }

    fn if_match(value: &'static str) -> IfMatch {
        IfMatch(tags(IF_MATCH, &[value]).expect("it is well-formed").expect("it was sent"))
    }

    #[test]
    fn a_version_is_matched_by_its_strong_tag_or_a_star() {
        for known in ["\"7\"", "\"6\", \"7\"", ",\"6\" ,, \"7\"", "*", " * ", "\"7-gzip\"", "\"a,b\",\"7\""] {
            assert!(if_match(known).allows(7), "{known}");
        }
        for other in ["\"6\"", "W/\"7\"", "W/\"7-gzip\"", "\"07\"", "\"+7\"", "\"\"", "\"6,7\""] {
            assert!(!if_match(other).allows(7), "{other}");
            assert!(!if_match(other).versions().expect("no star").contains(&7), "{other}");
        }
        assert_eq!(if_match("\"7\", \"8-gzip\", W/\"9\"").versions(), Some(vec![7, 8]));
        assert!(tags(IF_MATCH, &[]).is_ok_and(|none| none.is_none()));
    }

    #[test]
    fn a_list_may_stand_on_several_lines() {
        let both = tags(IF_MATCH, &["\"6\"", "\"7\""]).expect("it is well-formed").expect("it was sent");
        assert!(both.has("6") && both.has("7"));
    }

    #[test]
    fn what_is_no_list_of_tags_is_malformed() {
        for text in [
            "",
            " ",
            ",",
            "7",
            "\"",
            "\"7",
            "7\"",
            "w/\"7\"",
            "W/7",
            "\"7\" \"8\"",
            "*, \"7\"",
            "\"7\", *",
            "**",
            "\"a b\"",
        ] {
            assert!(tags(IF_MATCH, &[text]).is_err(), "{text}");
        }
        assert!(tags(IF_NONE_MATCH, &["*", "*"]).is_err());
    }

    #[test]
    fn what_the_client_has_is_known_by_weak_tags_too() {
        for known in ["\"7\"", "W/\"7\"", "\"1\",W/\"7\"", "*", "W/\"7-gzip\""] {
            assert!(Has(tags(IF_NONE_MATCH, &[known]).expect("it is well-formed")).unchanged("7").is_some(), "{known}");
        }
        assert!(Has(tags(IF_NONE_MATCH, &["\"8\""]).expect("it is well-formed")).unchanged("7").is_none());
        assert!(Has(None).unchanged("7").is_none());
    }

    #[test]
    fn what_may_be_made_and_what_replaced_is_as_rfc_9110_has_it() {
        let expected = |if_match: &[&'static str], if_none_match: &[&'static str]| Expected {
            if_match: tags(IF_MATCH, if_match).expect("it is well-formed"),
            if_none_match: tags(IF_NONE_MATCH, if_none_match).expect("it is well-formed"),
        };
        let allowed = |expected: Expected| [None, Some(3), Some(4)].map(|version| expected.allows(version));
        assert_eq!(allowed(expected(&[], &["*"])), [true, false, false]);
        assert_eq!(allowed(expected(&["*"], &[])), [false, true, true]);
        assert_eq!(allowed(expected(&["\"3\""], &[])), [false, true, false]);
        assert_eq!(allowed(expected(&[], &["W/\"3\""])), [true, false, true]);
        assert_eq!(allowed(expected(&["*"], &["*"])), [false, false, false]);
    }
}
