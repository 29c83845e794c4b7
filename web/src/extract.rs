//! What handlers take from a request; whatever does not parse is a [`Problem`].

use std::str::FromStr;

use axum::{
    extract::{FromRequest, FromRequestParts, Query as RawQuery, RawPathParams, Request, rejection::BytesRejection},
    response::IntoResponse,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header, request::Parts};
use safire_domain::name::ZoneId;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::{Path as FieldPath, Segment};

use crate::{Problem, problem::FieldError};

/// A JSON body.
pub(crate) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media_type",
                "the body must be JSON with Content-Type: application/json",
            ));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(unread)?;
        parse(&bytes).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn unread(rejection: BytesRejection) -> Problem {
    match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body.too_large",
            "the body is larger than this service accepts",
        ),
        _ => Problem::new(StatusCode::BAD_REQUEST, "body.unreadable", "the body ended before it was complete"),
    }
}

/// Reads a value, or says where in the body it went wrong and how.
pub(crate) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        misread(pointer, error.inner())
    })?;
    reader.end().map_err(|error| misread(String::new(), &error))?;
    Ok(value)
}

fn misread(pointer: String, error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    match error.classify() {
        Category::Data => {
            let (pointer, code) = match quoted_after(&message, "unknown field `") {
                Some(field) => (format!("{pointer}/{}", escape(field)), "field.unknown"),
                None if message.starts_with("missing field") => (pointer, "required"),
                None => (pointer, "type"),
            };
            Problem::invalid("body.invalid", vec![FieldError { pointer, code: code.into(), message, allowed: None }])
        }
        // A number that no double can hold is well-formed JSON: it is the field that is wrong.
        _ if message.starts_with("number out of range") => {
            let message = "the number is larger than any that can be computed with".to_owned();
            let error = FieldError { pointer, code: "not_finite".into(), message, allowed: None };
            Problem::invalid("body.invalid", vec![error])
        }
        _ => Problem::new(StatusCode::BAD_REQUEST, "body.malformed", format!("the body is not JSON: {message}")),
    }
}

fn quoted_after<'m>(message: &'m str, before: &str) -> Option<&'m str> {
    let (_, rest) = message.split_once(before)?;
    rest.split_once('`').map(|(field, _)| field)
}

fn pointer(path: &FieldPath) -> String {
    let part = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", escape(key))),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().filter_map(part).collect()
}

fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// The id in the path. One that is not an id names nothing: 404.
pub(crate) struct Id<T>(pub T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = RawPathParams::from_request_parts(parts, state).await;
        let path = path.map_err(|_| Problem::not_found("resource"))?;
        let id = path.iter().find(|(name, _)| *name == "id").and_then(|(_, value)| value.parse().ok());
        id.map(Self).ok_or_else(|| Problem::not_found("resource"))
    }
}

/// The text id in the path, under the name `{zone_id}`. One that is malformed names nothing: 404.
pub(crate) struct InZone(pub ZoneId);

impl<S: Send + Sync> FromRequestParts<S> for InZone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = RawPathParams::from_request_parts(parts, state).await;
        let path = path.map_err(|_| Problem::not_found("zone"))?;
        let id = path.iter().find(|(name, _)| *name == "zone_id").and_then(|(_, value)| value.parse().ok());
        id.map(Self).ok_or_else(|| Problem::not_found("zone"))
    }
}

/// The query string.
pub(crate) struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match RawQuery::from_request_parts(parts, state).await {
            Ok(RawQuery(query)) => Ok(Self(query)),
            Err(rejection) => Err(Problem::new(StatusCode::BAD_REQUEST, "query.invalid", rejection.body_text())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Outer {
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Inner {
        number: f64,
    }

    fn refused(json: &str) -> String {
        format!("{:?}", parse::<Outer>(json.as_bytes()).expect_err("is refused"))
    }

    #[test]
    fn what_does_not_parse_is_named_by_pointer() {
        assert!(refused(r#"{"inner":{"number":"7"}}"#).contains("/inner/number"));
        assert!(refused(r#"{"inner":{"number":1,"a/b":2}}"#).contains("/inner/a~1b"));
        assert!(refused(r#"{"inner":{"number":1e999}}"#).contains("not_finite"));
        assert!(refused(r#"{"inner":{}}"#).contains("required"));
    }

    #[test]
    fn what_is_not_json_is_called_malformed() {
        for text in ["", "{", r#"{"inner":{"number":NaN}}"#, r#"{"inner":{"number":1}} x"#, &"[".repeat(100_000)] {
            assert!(refused(text).contains("body.malformed"), "{text:.40}");
        }
    }
}
