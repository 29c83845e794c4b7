//! Personal API keys, for notebooks and other programs that act for a user.

use axum::{Json, extract::State};
use http::StatusCode;
use safire_domain::{KeyId, key::ApiKey, name::Name};
use safire_store::keys;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    App, Problem,
    auth::{Caller, digest, new_api_key},
    body::Body,
    extract::Id,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_key, list_keys)).routes(routes!(revoke_key))
}

/// Keys that a user may have at once.
const MOST: i64 = 50;

/// What a new key is for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "notebook" }))]
struct NewKey {
    name: Name,
}

/// A new key, with the key itself.
#[derive(Serialize, ToSchema)]
struct MadeKey {
    #[serde(flatten)]
    key: ApiKey,
    /// The key: shown now and never again.
    #[schema(example = "sfr_…")]
    secret: String,
}

/// Makes a personal API key.
///
/// The key acts for its owner and is shown in this answer and never again. It is made, listed and revoked
/// with an access token only: a key that leaked makes no further keys. A user has up to 50.
#[utoipa::path(
    post, path = "/auth/keys", tag = "auth", security(("access_token" = [])), request_body = NewKey,
    responses(
        (status = 201, description = "The key", body = MadeKey),
        (status = 403, description = "asked with an API key"),
        (status = 409, description = "`keys.too_many`: the caller has as many keys as one may; revoke one first"),
    )
)]
async fn create_key(
    State(app): State<App>,
    caller: Caller,
    Body(new): Body<NewKey>,
) -> Result<(StatusCode, Json<MadeKey>), Problem> {
    caller.must_have_signed_in()?;
    let now = app.now();
    let (secret, prefix) = new_api_key();
    let key = ApiKey { id: KeyId::new(now), name: new.name, prefix, created_at: now, last_used_at: None };
    let (stored, hash) = (key.clone(), digest(&secret));
    let insert =
        app.database.write(move |c| Box::pin(async move { keys::insert(c, caller.user, &stored, &hash, MOST).await }));
    if !insert.await? {
        return Err(Problem::conflict("keys.too_many", "you have as many keys as you may; revoke one first"));
    }
    Ok((StatusCode::CREATED, Json(MadeKey { key, secret })))
}

/// The caller's API keys, newest first.
///
/// Without the keys themselves, which nobody can read again: each shows how it begins.
#[utoipa::path(
    get, path = "/auth/keys", tag = "auth", security(("access_token" = [])),
    responses(
        (status = 200, description = "The keys, without the keys themselves", body = [ApiKey]),
        (status = 403, description = "asked with an API key"),
    )
)]
async fn list_keys(State(app): State<App>, caller: Caller) -> Result<Json<Vec<ApiKey>>, Problem> {
    caller.must_have_signed_in()?;
    Ok(Json(app.database.read(move |c| Box::pin(keys::list(c, caller.user))).await?))
}

/// Revokes an API key.
///
/// It is refused from the next request on.
#[utoipa::path(
    delete, path = "/auth/keys/{id}", tag = "auth", security(("access_token" = [])), params(("id" = KeyId, Path)),
    responses(
        (status = 204, description = "Revoked"),
        (status = 403, description = "asked with an API key"),
    )
)]
async fn revoke_key(State(app): State<App>, caller: Caller, Id(key): Id<KeyId>) -> Result<StatusCode, Problem> {
    caller.must_have_signed_in()?;
    let now = app.now();
    let revoked = app.database.write(move |c| Box::pin(keys::revoke(c, caller.user, key, now))).await?;
    if revoked { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("key")) }
}
