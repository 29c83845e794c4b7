//! Bodies, read within their limit.

use std::time::Duration;

use axum::{
    body::{Body as RawBody, BodyDataStream},
    extract::{FromRequest, Request},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{App, Problem, extract::parse};

/// A JSON body.
pub(crate) struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        parse(&read_json(&parts.headers, body, app).await?).map(Self)
    }
}

/// The value in a body, or the default when there is no body.
pub(crate) fn parse_optional<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Problem> {
    if body.is_empty() { Ok(T::default()) } else { parse(body) }
}

/// The bytes of a JSON body, or none.
pub(crate) async fn read_optional_json(headers: &HeaderMap, body: RawBody, app: &App) -> Result<Bytes, Problem> {
    let body = read_in_time(body, app).await?;
    if body.is_empty() { Ok(body) } else { json(headers, body) }
}

/// The bytes of a JSON body.
pub(crate) async fn read_json(headers: &HeaderMap, body: RawBody, app: &App) -> Result<Bytes, Problem> {
    json(headers, read_in_time(body, app).await?)
}

/// The body, if it is sent as JSON.
fn json(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Problem> {
    must_be_plain(headers)?;
    if media_type(headers).eq_ignore_ascii_case("application/json") {
        Ok(body)
    } else {
        Err(not("JSON", "application/json"))
    }
}

/// The kind of a body, without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

/// A body that is something else than the route takes.
pub(crate) fn not(what: &str, kind: &str) -> Problem {
    let detail = format!("the body must be {what} with Content-Type: {kind}");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", detail)
}

/// Refuses a body that is compressed: what it unpacks to would be bounded by nothing.
pub(crate) fn must_be_plain(headers: &HeaderMap) -> Result<(), Problem> {
    let coded = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .find(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    coded.map_or(Ok(()), |coding| {
        let detail =
            format!("the body has Content-Encoding: {}; send it as it is", coding.to_str().unwrap_or("unknown"));
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding", detail))
    })
}

/// A client that is still sending does not see an answer, only a broken connection. So much of a body
/// that is too large is therefore taken in, and thrown away, before it is refused.
const THROWN_AWAY: usize = 64 << 20;

/// … unless it pauses for so long: then it waits for the answer.
const PAUSE: Duration = Duration::from_millis(250);

/// A client may take so long over its body, and no longer: one that drips holds nothing for ever.
async fn read_in_time(body: RawBody, app: &App) -> Result<Bytes, Problem> {
    let body = read(body.into_data_stream(), app.settings.body_limit);
    timeout(app.settings.body_timeout, body).await.unwrap_or_else(|_| Err(too_slow()))
}

fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body.timeout", "the body was not sent in time")
}

async fn read(mut body: BodyDataStream, limit: usize) -> Result<Bytes, Problem> {
    let mut kept = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| unreadable())?;
        if kept.len() + chunk.len() > limit {
            throw_away(body).await;
            return Err(too_large(limit));
        }
        kept.extend_from_slice(&chunk);
    }
    Ok(kept.freeze())
}

pub(crate) async fn throw_away(mut body: BodyDataStream) {
    let mut length = 0;
    while let Ok(Some(Ok(chunk))) = timeout(PAUSE, body.next()).await {
        length += chunk.len();
        if length > THROWN_AWAY {
            return;
        }
    }
}

pub(crate) fn too_large(limit: usize) -> Problem {
    let detail = format!("the body is larger than the {limit} bytes that this service accepts");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body.too_large", detail)
}

fn unreadable() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "body.unreadable", "the body ended before it was complete")
}
