//! Idempotency-Key: a request that makes something, sent again because its answer was lost, makes
//! nothing and is answered alike.
//!
//! What was made is remembered in the transaction that made it (see [`safire_store::idempotency`]).
//! Here is what the store cannot know: that the first request of a key is still on its way.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::{HeaderName, StatusCode, request::Parts};
use safire_domain::UserId;
use safire_store::idempotency::{Key, Once};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::{
    App, Problem,
    auth::{Caller, hex},
    body::{parse_optional, read_json, read_optional_json},
    extract::parse,
};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest key.
pub(crate) const LONGEST: usize = 255;

/// The keys of the requests that this process is answering.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<(UserId, String)>>>);

impl InFlight {
    fn enter(&self, user: UserId, name: &str) -> Option<Held> {
        let place = (user, name.to_owned());
        let entered = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone());
        entered.then(|| Held { all: self.clone(), place })
    }
}

/// A key whose request is being answered, until it is dropped.
struct Held {
    all: InFlight,
    place: (UserId, String),
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.place);
    }
}

/// The key of a request, if it has one. It is to be kept until the request is answered.
pub(crate) struct RequestKey(Option<(Key, Held)>);

impl RequestKey {
    /// What the store is to know of it.
    pub fn get(&self) -> Option<Key> {
        self.0.as_ref().map(|(key, _)| key.clone())
    }

    /// The key of a request whose body, or what tells it from others, was read.
    pub async fn of(parts: &mut Parts, app: &App, body: &[u8]) -> Result<Self, Problem> {
        let Some(name) = parts.headers.get(IDEMPOTENCY_KEY) else { return Ok(Self(None)) };
        let name = name.to_str().ok().filter(|name| is_key(name)).ok_or_else(malformed)?;
        let (name, digest) = (name.to_owned(), digest(parts, body));
        let user = Caller::from_request_parts(parts, app).await?.user;
        let held = app.in_flight.enter(user, &name).ok_or_else(in_progress)?;
        Ok(Self(Some((Key { user, name, digest }, held))))
    }
}

fn digest(parts: &Parts, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [parts.method.as_str().as_bytes(), parts.uri.to_string().as_bytes(), body] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

fn is_key(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn malformed() -> Problem {
    let detail = format!("Idempotency-Key must be 1 to {LONGEST} printable ASCII characters");
    Problem::new(StatusCode::BAD_REQUEST, "idempotency.malformed", detail)
}

/// The first request of this key has not been answered yet.
pub(crate) fn in_progress() -> Problem {
    let detail = "a request with this Idempotency-Key is being answered; wait for it, or send it again later";
    Problem::conflict("idempotency.in_progress", detail)
}

/// The key belongs to another request.
pub(crate) fn mismatch() -> Problem {
    let detail = "this Idempotency-Key was used with another method, path or body in the last 24 hours";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency.mismatch", detail)
}

/// What a request made, now or at first, or why it was refused.
pub(crate) fn made<T, R>(once: Once<T, R>) -> Result<Result<T, R>, Problem> {
    match once {
        Once::Made(made) => Ok(Ok(made)),
        Once::Refused(refused) => Ok(Err(refused)),
        Once::Other => Err(mismatch()),
        Once::InProgress => Err(in_progress()),
    }
}

/// A JSON body, and the request's key.
pub(crate) struct Keyed<T> {
    pub body: T,
    pub key: RequestKey,
}

impl<T: DeserializeOwned> FromRequest<App> for Keyed<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let body = read_json(&parts.headers, body, app).await?;
        let key = RequestKey::of(&mut parts, app, &body).await?;
        Ok(Self { body: parse(&body)?, key })
    }
}

/// The key of a request without a body.
impl FromRequestParts<App> for RequestKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Self::of(parts, app, &[]).await
    }
}

/// A JSON body that may be left out, and the request's key.
pub(crate) struct OptionallyKeyed<T> {
    pub body: T,
    pub key: RequestKey,
}

impl<T: DeserializeOwned + Default> FromRequest<App> for OptionallyKeyed<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let body = read_optional_json(&parts.headers, body, app).await?;
        let key = RequestKey::of(&mut parts, app, &body).await?;
        Ok(Self { body: parse_optional(&body)?, key })
    }
}
