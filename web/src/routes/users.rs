//! Users: administrators keep them; everybody sees themselves and their zone.

use axum::{Json, extract::State, response::Response};
use http::{HeaderName, StatusCode, header::LOCATION};
use safire_domain::{
    UserId,
    name::{Email, GlobalId, Name, ZoneId},
    user::{Role, User},
};
use safire_store::{
    obstacles::Obstacle,
    users::{self, Transferred, Updated, UserRemoval},
};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::{auth::check_password, new_users};
use crate::{
    App, Problem,
    auth::{Admin, Caller},
    body::Body,
    conditional::{Has, IfMatch, Tagged, changed, versions},
    extract::{Id, Query},
    idempotency::Keyed,
    page::{Page, Range},
    problem::FieldError,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, replace, change, remove))
        .routes(routes!(transfer))
}

/// The users whom the caller may see, oldest first.
///
/// Themselves and the members of their zone; administrators see everybody.
#[utoipa::path(
    get, path = "/users", tag = "users", params(Range),
    responses((status = 200, description = "A page of users", body = Page<User>))
)]
async fn list(State(app): State<App>, caller: Caller, Query(range): Query<Range>) -> Result<Json<Page<User>>, Problem> {
    let window = range.window()?;
    let access = caller.access();
    let (items, total) = app
        .database
        .read(move |c| {
            Box::pin(async move {
                let items = users::list(c, access, None, window).await?;
                Ok((items, users::count(c, access, None).await?))
            })
        })
        .await?;
    Ok(Json(Page::of(items, total, &window, |user| user.id.to_string())))
}

/// One user whom the caller may see.
///
/// The caller, a member of their zone, or, for administrators, anybody.
#[utoipa::path(
    get, path = "/users/{id}", tag = "users",
    params(("id" = UserId, Path), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, description = "The user", body = User))
)]
async fn read(State(app): State<App>, caller: Caller, Id(id): Id<UserId>, has: Has) -> Result<Response, Problem> {
    let user = find(&app, caller, id).await?;
    Ok(has.or(Tagged::new(user.version, user)))
}

async fn find(app: &App, caller: Caller, id: UserId) -> Result<User, Problem> {
    let found = app.database.read(move |c| Box::pin(users::find_visible(c, caller.access(), id))).await?;
    found.ok_or_else(|| Problem::not_found("user"))
}

/// A new user. One without e-mail address and password cannot sign in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Ben", "email": "ben@example.com", "password": "correct horse battery" }))]
struct NewUser {
    name: Name,
    /// The id by which other systems know the user; unless given, the user's own id.
    global_id: Option<GlobalId>,
    email: Option<Email>,
    /// 12 to 128 characters; needs an e-mail address.
    #[schema(value_type = Option<String>, format = "password", min_length = 12, max_length = 128)]
    password: Option<SecretString>,
    #[serde(default = "analyst")]
    #[schema(default = "analyst")]
    role: Role,
    zone_id: Option<ZoneId>,
}

pub(super) fn analyst() -> Role {
    Role::Analyst
}

/// Makes a user (administrators).
///
/// One without e-mail address and password cannot sign in, but can be named by other systems.
#[utoipa::path(
    post, path = "/users", tag = "users", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = NewUser,
    responses(
        (status = 201, description = "The user; Location says where", body = User, headers(("Location"))),
        (status = 403, description = "the caller is no administrator"),
        (status = 409, description = "`email.taken`: another user has this e-mail address; `global_id.taken`: another user has this global id; \
            `contended`: others kept changing it; try again"),
        (status = 422, description = "`body.invalid`: a field is wrong or unknown, or there is no such zone"),
    )
)]
async fn create(
    State(app): State<App>,
    _: Admin,
    Keyed { body: new, key }: Keyed<NewUser>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Tagged<User>), Problem> {
    let password_hash = match (new.password, &new.email) {
        (Some(password), Some(_)) => {
            check_password(&password)?;
            Some(app.auth.hash(password).await?)
        }
        (Some(_), None) => {
            return Err(FieldError::new("/email", "required", "a password needs an e-mail address").into());
        }
        (None, _) => None,
    };
    let now = app.now();
    let blank = User::new(UserId::new(now), new.name, now);
    let user = User {
        global_id: new.global_id.unwrap_or_else(|| blank.global_id.clone()),
        email: new.email,
        role: new.role,
        zone_id: new.zone_id,
        ..blank
    };
    let new = vec![users::NewUser { user, password_hash }];
    let made = new_users::store(&app, &key, new, |_| String::new()).await?;
    let user = made.into_iter().next().ok_or_else(Problem::contended)?;
    let location = [(LOCATION, format!("/api/v1/users/{}", user.id))];
    Ok((StatusCode::CREATED, location, Tagged::new(user.version, user)))
}

/// A user, whole. Without e-mail address or zone, the user has none.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Ben", "global_id": "ldap:8", "role": "viewer" }))]
struct UserText {
    name: Name,
    global_id: GlobalId,
    role: Role,
    email: Option<Email>,
    zone_id: Option<ZoneId>,
}

/// Parts of a user; null takes the e-mail address or the zone away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Benjamin" }))]
struct UserChange {
    name: Option<Name>,
    global_id: Option<GlobalId>,
    role: Option<Role>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Email>)]
    email: Option<Option<Email>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<ZoneId>)]
    zone_id: Option<Option<ZoneId>>,
}

/// Tells null, which takes away, from nothing, which leaves as it is.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl UserChange {
    /// The fields that only administrators may give.
    fn reserved(&self) -> Vec<&'static str> {
        let fields = [
            ("global_id", self.global_id.is_some()),
            ("role", self.role.is_some()),
            ("email", self.email.is_some()),
            ("zone_id", self.zone_id.is_some()),
        ];
        fields.into_iter().filter(|(_, given)| *given).map(|(field, _)| field).collect()
    }

    fn apply(self, user: User) -> User {
        User {
            name: self.name.unwrap_or(user.name),
            global_id: self.global_id.unwrap_or(user.global_id),
            role: self.role.unwrap_or(user.role),
            email: self.email.unwrap_or(user.email),
            zone_id: self.zone_id.unwrap_or(user.zone_id),
            ..user
        }
    }
}

/// Replaces a user's name, ids, role and zone (administrators).
///
/// Without e-mail address or zone, the user has none; the password stays.
#[utoipa::path(
    put, path = "/users/{id}", tag = "users", params(("id" = UserId, Path)), request_body = UserText,
    responses(
        (status = 200, description = "The user as it is now", body = User),
        (status = 403, description = "the caller is no administrator"),
        (status = 409, description = "`email.taken`: another user has this e-mail address; `global_id.taken`: another user has this global id; \
            `user.is_self`: administrators do not take the role from themselves"),
        (status = 422, description = "`body.invalid`: a field is wrong or unknown, or there is no such zone"),
    )
)]
async fn replace(
    State(app): State<App>,
    Admin(caller): Admin,
    Id(id): Id<UserId>,
    if_match: IfMatch,
    Body(text): Body<UserText>,
) -> Result<Tagged<User>, Problem> {
    let change = UserChange {
        name: Some(text.name),
        global_id: Some(text.global_id),
        role: Some(text.role),
        email: Some(text.email),
        zone_id: Some(text.zone_id),
    };
    write(&app, caller, id, if_match, change).await
}

/// Changes parts of a user.
///
/// Administrators change every part; others their own name. What is left out stays as it is; null takes the
/// e-mail address or the zone away.
#[utoipa::path(
    patch, path = "/users/{id}", tag = "users", params(("id" = UserId, Path)), request_body = UserChange,
    responses(
        (status = 200, description = "The user as it is now", body = User),
        (status = 403, description = "another user, or a field that only administrators change; `errors` names it"),
        (status = 409, description = "`email.taken`: another user has this e-mail address; `global_id.taken`: another user has this global id; \
            `user.is_self`: administrators do not take the role from themselves"),
        (status = 422, description = "`body.invalid`: a field is wrong or unknown, or there is no such zone"),
    )
)]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<UserId>,
    if_match: IfMatch,
    Body(change): Body<UserChange>,
) -> Result<Tagged<User>, Problem> {
    if caller.must_be_admin().is_err() {
        find(&app, caller, id).await?;
        if id != caller.user {
            return Err(Problem::read_only("user"));
        }
        only_the_name(&change)?;
    }
    write(&app, caller, id, if_match, change).await
}

fn only_the_name(change: &UserChange) -> Result<(), Problem> {
    let error = |field| {
        FieldError::new(&format!("/{field}"), "field.forbidden", format!("only an administrator may change {field}"))
    };
    let errors: Vec<_> = change.reserved().into_iter().map(error).collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(Problem::forbidden("of your own account you may change the name").naming(errors))
}

async fn write(
    app: &App,
    caller: Caller,
    id: UserId,
    if_match: IfMatch,
    change: UserChange,
) -> Result<Tagged<User>, Problem> {
    if id == caller.user && change.role.is_some_and(|role| role != caller.access().role) {
        return Err(Problem::conflict("user.is_self", "you cannot change your own role; ask another administrator"));
    }
    let now = app.now();
    let precondition = if_match.clone();
    let (updated, user) = app
        .database
        .write(move |c| {
            Box::pin(async move {
                let Some(user) = users::find(c, id).await? else { return Ok((Updated::Yes, None)) };
                if !precondition.allows(user.version) {
                    return Ok((Updated::Stale, None));
                }
                let updated = users::update(c, &change.apply(user), now).await?;
                Ok((updated, users::find(c, id).await?))
            })
        })
        .await?;
    match updated {
        Updated::Yes => {}
        Updated::Stale => return Err(if_match.lost()),
        Updated::No(obstacle) => return Err(new_users::refused(&[(String::new(), obstacle)])),
    }
    let user = user.ok_or_else(|| Problem::not_found("user"))?;
    app.users_changed().await;
    Ok(Tagged::new(user.version, user))
}

/// Removes a user who owns no projects (administrators).
///
/// The user's tokens and keys are good for nothing from then on.
#[utoipa::path(
    delete, path = "/users/{id}", tag = "users",
    params(("id" = UserId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Gone"),
        (status = 403, description = "the caller is no administrator"),
        (status = 409, description = "`user.owns_projects`: the user owns projects; remove them first; \
            `user.is_self`: administrators do not remove themselves"),
    )
)]
async fn remove(
    State(app): State<App>,
    Admin(caller): Admin,
    Id(id): Id<UserId>,
    if_match: Option<IfMatch>,
) -> Result<StatusCode, Problem> {
    if id == caller.user {
        return Err(Problem::conflict("user.is_self", "you cannot remove yourself; ask another administrator"));
    }
    let expected = versions(if_match);
    match app.database.write(move |c| Box::pin(users::remove(c, id, expected))).await? {
        UserRemoval::Removed => {
            app.users_changed().await;
            Ok(StatusCode::NO_CONTENT)
        }
        UserRemoval::OwnsProjects => {
            Err(Problem::conflict("user.owns_projects", "the user owns projects; remove them first"))
        }
        UserRemoval::Stale => Err(changed()),
        UserRemoval::Unknown => Err(Problem::not_found("user")),
    }
}

/// Where to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "zone_id": null }))]
struct Transfer {
    /// The zone; null for none.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    zone_id: Option<ZoneId>,
}

/// Moves a user to a zone, or out of all zones (administrators).
///
/// It counts from the next request on.
#[utoipa::path(
    post, path = "/users/{id}/transfer", tag = "users", params(("id" = UserId, Path)), request_body = Transfer,
    responses(
        (status = 200, description = "The user as it is now", body = User, headers(("ETag"))),
        (status = 403, description = "the caller is no administrator"),
        (status = 422, description = "`body.invalid`: a field is wrong, or there is no such zone; the user stays"),
    )
)]
async fn transfer(
    State(app): State<App>,
    _: Admin,
    Id(id): Id<UserId>,
    Body(to): Body<Transfer>,
) -> Result<Tagged<User>, Problem> {
    let now = app.now();
    match app.database.write(move |c| Box::pin(users::transfer(c, id, to.zone_id, now))).await? {
        Transferred::Yes(user) => {
            app.users_changed().await;
            Ok(Tagged::new(user.version, *user))
        }
        Transferred::NoSuchZone => Err(new_users::refused(&[(String::new(), Obstacle::NoSuchZone)])),
        Transferred::Unknown => Err(Problem::not_found("user")),
    }
}
