//! Staying signed in, and signing out.

use axum::{Json, extract::State};
use chrono::TimeDelta;
use http::StatusCode;
use safire_domain::{SessionId, Timestamp, user::User};
use safire_store::sessions::{self, Rotation, Token as StoredToken};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::{App, Problem, auth::digest, body::Body};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(refresh)).routes(routes!(logout))
}

/// How long a client that never saw the answer to its refresh may ask again.
const RETRY: TimeDelta = TimeDelta::seconds(10);

/// An access token to send as `Authorization: Bearer …`, and what to get the next one with.
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    #[schema(example = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln")]
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How long the access token is good for, in seconds.
    #[schema(example = 1800)]
    expires_in: i64,
    /// Good for one refresh.
    #[schema(example = "3f9a0c")]
    refresh_token: String,
    /// How long the refresh token is good for, in seconds.
    #[schema(example = 2_592_000)]
    refresh_expires_in: i64,
}

impl Tokens {
    pub fn new(
        app: &App,
        user: &User,
        session: SessionId,
        refresh_token: String,
        stored: &StoredToken,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let (access_token, expires_in) = app.auth.issue(user, session, now)?;
        let refresh_expires_in = (stored.expires_at - now).num_seconds();
        Ok(Self { access_token, token_type: "Bearer", expires_in, refresh_token, refresh_expires_in })
    }
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "refresh_token": "sfrt_7b1c" }))]
struct Refresh {
    #[schema(value_type = String, format = "password")]
    refresh_token: SecretString,
}

/// Gives new tokens for a refresh token, which is used up.
///
/// A token that is used a second time has leaked: the whole session is signed out. A repetition
/// within 10 s, as by a client that never got the answer, gets the same tokens' successor again.
#[utoipa::path(
    post, path = "/auth/refresh", tag = "auth", security(()), request_body = Refresh,
    responses(
        (status = 200, description = "New tokens", body = Tokens),
        (status = 401, description = "`unauthorized`: the token is unknown or no longer good; sign in again; \
            `refresh.reused`: it had been used before, and its session is signed out"),
    )
)]
async fn refresh(State(app): State<App>, Body(given): Body<Refresh>) -> Result<Json<Tokens>, Problem> {
    let old = given.refresh_token.expose_secret();
    let now = app.now();
    let new = app.auth.successor(old);
    let (hash, stored) = (digest(old), app.auth.stored(&new, now));
    let rotate =
        app.database.write(move |c| Box::pin(async move { sessions::rotate(c, hash, stored, now - RETRY, now).await }));
    let refused = || Problem::unauthorized("the refresh token is unknown or no longer good; sign in again");
    let (user, session, token, stored) = match rotate.await? {
        Rotation::Rotated { user, session, successor } => (user, session, new, successor),
        Rotation::Repeated { user, session, successor } => {
            let again = app.auth.successor_with_hash(old, &successor.hash).ok_or_else(refused)?;
            (user, session, again, successor)
        }
        Rotation::Reused { user, session } => {
            tracing::warn!(user.id = %user, session.id = %session, "a refresh token was used twice: its session is over");
            let detail = "the refresh token had been used before; its session is signed out, sign in again";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "refresh.reused", detail));
        }
        Rotation::Refused => return Err(refused()),
    };
    Tokens::new(&app, &user, session, token, &stored, now).map(Json)
}

/// Signs out: the session of the refresh token, used or not, ends.
///
/// Its access tokens run out by themselves. A token that is unknown is answered alike.
#[utoipa::path(
    post, path = "/auth/logout", tag = "auth", security(()), request_body = Refresh,
    responses((status = 204, description = "Signed out, now or before"))
)]
async fn logout(State(app): State<App>, Body(given): Body<Refresh>) -> Result<StatusCode, Problem> {
    let hash = digest(given.refresh_token.expose_secret());
    let now = app.now();
    app.database.write(move |c| Box::pin(async move { sessions::revoke_by_token(c, &hash, now).await })).await?;
    Ok(StatusCode::NO_CONTENT)
}
