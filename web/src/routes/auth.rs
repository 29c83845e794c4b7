//! Registering and signing in.

use axum::{Json, extract::State};
use http::StatusCode;
use safire_actors::database::DatabaseError;
use safire_domain::{
    UserId,
    name::{self, Email, Name},
    user::User,
};
use safire_store::users;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App, Problem,
    body::Body,
    problem::{FieldError, ProblemBody},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(register)).routes(routes!(login))
}

/// A new user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Registration {
    email: Email,
    name: Name,
    /// 12 to 128 characters.
    #[schema(value_type = String, format = "password", min_length = 12, max_length = 128)]
    password: SecretString,
}

/// Makes an analyst's account.
#[utoipa::path(
    post, path = "/auth/register", tag = "auth",
    responses(
        (status = 201, description = "The account", body = User),
        (status = 403, description = "Registration is closed", body = ProblemBody),
        (status = 409, description = "The address is taken", body = ProblemBody),
        (status = 422, description = "A field is wrong", body = ProblemBody),
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
struct Credentials {
    email: Email,
    #[schema(value_type = String, format = "password")]
    password: SecretString,
}

/// A token to send as `Authorization: Bearer …`.
#[derive(Serialize, ToSchema)]
struct Token {
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How long the token is good for, in seconds.
    expires_in: i64,
}

/// Signs in.
#[utoipa::path(
    post, path = "/auth/login", tag = "auth",
    responses(
        (status = 200, description = "An access token", body = Token),
        (status = 401, description = "Address or password is wrong", body = ProblemBody),
    )
)]
async fn login(State(app): State<App>, Body(given): Body<Credentials>) -> Result<Json<Token>, Problem> {
    let email = given.email;
    let found = app.database.read(move |c| Box::pin(async move { users::credentials(c, &email).await })).await?;
    let (user, hash) = found.unzip();
    let right = app.auth.verify(given.password, hash).await?;
    let Some(user) = user.filter(|_| right) else {
        return Err(Problem::unauthorized("the e-mail address or the password is wrong"));
    };
    let (access_token, expires_in) = app.auth.issue(&user, app.now())?;
    Ok(Json(Token { access_token, token_type: "Bearer", expires_in }))
}
