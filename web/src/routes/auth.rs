//! Registering and signing in.

use axum::{Json, extract::State};
use http::StatusCode;
use safire_actors::database::DatabaseError;
use safire_domain::{
    SessionId, Timestamp, UserId,
    name::{self, Email, Name},
    user::User,
};
use safire_store::{
    logins::{self, Attempt},
    sessions, users,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::sessions::Tokens;
use crate::{
    App, Problem,
    auth::{Caller, new_refresh_token},
    body::Body,
    problem::FieldError,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(register)).routes(routes!(login)).routes(routes!(me))
}

/// A new user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "ana@example.com", "name": "Ana", "password": "correct horse battery" }))]
struct Registration {
    email: Email,
    name: Name,
    /// 12 to 128 characters.
    #[schema(value_type = String, format = "password", min_length = 12, max_length = 128)]
    password: SecretString,
}

/// Makes an analyst's account.
///
/// Whether anybody may is configured; where not, administrators make the accounts.
#[utoipa::path(
    post, path = "/auth/register", tag = "auth", security(()), request_body = Registration,
    responses(
        (status = 201, description = "The account", body = User),
        (status = 403, description = "registration is closed; ask an administrator"),
        (status = 409, description = "`email.taken`: there is an account with this e-mail address"),
    )
)]
async fn register(State(app): State<App>, Body(new): Body<Registration>) -> Result<(StatusCode, Json<User>), Problem> {
    if !app.settings.open_registration {
        return Err(Problem::forbidden("registration is closed; ask an administrator"));
    }
    check_password(&new.password)?;
    let hash = app.auth.hash(new.password).await?;
    let now = app.now();
    let user = User { email: Some(new.email), ..User::new(UserId::new(now), new.name, now) };
    let stored = user.clone();
    let insert = app.database.write(move |c| Box::pin(async move { users::insert(c, &stored, Some(&hash)).await }));
    match insert.await {
        Ok(()) => {
            app.users_changed().await;
            Ok((StatusCode::CREATED, Json(user)))
        }
        Err(DatabaseError::Store(safire_store::Error::Duplicate(_))) => {
            Err(Problem::conflict("email.taken", "there is an account with this e-mail address"))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn check_password(password: &SecretString) -> Result<(), Problem> {
    name::check_password(password.expose_secret()).map_err(|bad| {
        let message = format!("the password {bad}");
        let error = FieldError { pointer: "/password".into(), code: "length".into(), message, allowed: None };
        Problem::invalid("body.invalid", vec![error])
    })
}

/// An account's credentials.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "ana@example.com", "password": "correct horse battery" }))]
struct Credentials {
    email: Email,
    #[schema(value_type = String, format = "password")]
    password: SecretString,
}

/// Signs in.
///
/// Five wrong passwords in a row, for an address with or without an account, make it wait: 1 s, then
/// twice as long each time, up to a quarter of an hour.
#[utoipa::path(
    post, path = "/auth/login", tag = "auth", security(()), request_body = Credentials,
    responses(
        (status = 200, description = "An access token, and a token to get the next one with", body = Tokens),
        (status = 401, description = "the e-mail address or the password is wrong"),
        (status = 429, description = "`login.blocked`: too many failed attempts for this address; wait for Retry-After"),
    )
)]
async fn login(State(app): State<App>, Body(given): Body<Credentials>) -> Result<Json<Tokens>, Problem> {
    let now = app.now();
    count_attempt(&app, &given.email, now).await?;
    let email = given.email.clone();
    let found = app.database.read(move |c| Box::pin(async move { users::credentials(c, &email).await })).await?;
    let (user, hash) = found.unzip();
    let checked = app.auth.check(given.password, hash.clone()).await?;
    let (Some(user), Some(hash), true) = (user, hash, checked.right) else { return Err(wrong()) };
    begin_session(&app, user, given.email, checked.rehashed.map(|new| (hash, new)), now).await.map(Json)
}

fn wrong() -> Problem {
    Problem::unauthorized("the e-mail address or the password is wrong")
}

/// Refuses when the address is blocked, before the password costs anything.
async fn count_attempt(app: &App, email: &Email, now: Timestamp) -> Result<(), Problem> {
    let email = email.clone();
    match app.database.write(move |c| Box::pin(async move { logins::attempt(c, &email, now).await })).await? {
        Attempt::Allowed => Ok(()),
        Attempt::Blocked(until) => {
            let wait = (until - now).to_std().unwrap_or_default();
            Err(Problem::too_many("login.blocked", "too many failed attempts for this address; wait", wait))
        }
    }
}

async fn begin_session(
    app: &App,
    user: User,
    email: Email,
    rehashed: Option<(String, String)>,
    now: Timestamp,
) -> Result<Tokens, Problem> {
    let (id, session, token) = (user.id, SessionId::new(now), new_refresh_token());
    let stored = app.auth.stored(&token, now);
    let first = stored.clone();
    let begin = app.database.write(move |c| {
        Box::pin(async move {
            sessions::begin(c, id, session, first, now).await?;
            if let Some((old, new)) = rehashed {
                logins::rehash(c, id, &old, &new).await?;
            }
            logins::forgive(c, &email, now).await
        })
    });
    match begin.await {
        Ok(()) => Tokens::new(app, &user, session, token, &stored, now),
        // The account was removed a moment ago.
        Err(DatabaseError::Store(safire_store::Error::Dangling(_))) => Err(wrong()),
        Err(error) => Err(error.into()),
    }
}

/// Who the caller is.
///
/// The user of the access token or of the API key, with role and zone as they are now.
#[utoipa::path(
    get, path = "/auth/me", tag = "auth",
    responses((status = 200, description = "The caller", body = User))
)]
async fn me(State(app): State<App>, caller: Caller) -> Result<Json<User>, Problem> {
    let user = app.database.read(move |c| Box::pin(users::find(c, caller.user))).await?;
    user.map(Json).ok_or_else(|| Problem::unauthorized("the account is gone"))
}
