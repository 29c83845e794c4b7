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
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{auth::check_password, new_users};
use crate::{
    App, Problem,
    auth::{Admin, Caller},
    body::Body,
    conditional::{Has, IfMatch, Tagged},
    extract::{Id, Query},
    idempotency::Keyed,
    page::{Page, Range},
    problem::{FieldError, ProblemBody},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, replace, change, remove))
        .routes(routes!(transfer))
}

/// The users whom the caller may see, oldest first: themselves and the members of their zone;
/// administrators see everybody.
#[utoipa::path(
    get, path = "/users", tag = "users", security(("bearer" = [])), params(Range),
    responses(
        (status = 200, description = "A page of users", body = Page<User>),
        (status = 400, description = "The query string is not understood", body = ProblemBody),
        (status = 401, description = "No valid access token", body = ProblemBody),
        (status = 422, description = "skip or limit is out of range", body = ProblemBody),
        (status = 503, description = "The database is away or busy; try again", body = ProblemBody),
    )
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
#[utoipa::path(
    get, path = "/users/{id}", tag = "users", security(("bearer" = [])), params(("id" = UserId, Path)),
    responses(
        (status = 200, description = "The user", body = User),
        (status = 401, description = "No valid access token", body = ProblemBody),
        (status = 404, description = "No such user, or none of the caller's zone", body = ProblemBody),
        (status = 503, description = "The database is away or busy; try again", body = ProblemBody),
    )
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
#[utoipa::path(
    post, path = "/users", tag = "users", security(("bearer" = [])),
    responses(
        (status = 201, description = "The user; Location says where", body = User),
        (status = 401, description = "No valid access token", body = ProblemBody),
        (status = 403, description = "The caller is no administrator", body = ProblemBody),
        (status = 409, description = "The e-mail address or the global id is taken", body = ProblemBody),
        (status = 422, description = "A field is wrong or unknown, or there is no such zone", body = ProblemBody),
        (status = 503, description = "The database is away or busy; try again", body = ProblemBody),
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

/// Replaces a user's name, ids, role and zone (administrators); the password stays.
#[utoipa::path(
    put, path = "/users/{id}", tag = "users", security(("bearer" = [])), params(("id" = UserId, Path)),
    responses(
        (status = 200, description = "The user as it is now", body = User),
        (status = 401, description = "No valid access token", body = ProblemBody),
        (status = 403, description = "The caller is no administrator", body = ProblemBody),
        (status = 404, description = "No such user", body = ProblemBody),
        (status = 409, description = "The e-mail address or the global id is taken, somebody else changed the user \
            meanwhile, or administrators would take the role from themselves", body = ProblemBody),
        (status = 422, description = "A field is wrong or unknown, or there is no such zone", body = ProblemBody),
        (status = 503, description = "The database is away or busy; try again", body = ProblemBody),
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

/// Changes parts of a user. Administrators change every part; others their own name.
#[utoipa::path(
    patch, path = "/users/{id}", tag = "users", security(("bearer" = [])), params(("id" = UserId, Path)),
    responses(
        (status = 200, description = "The user as it is now", body = User),
        (status = 401, description = "No valid access token", body = ProblemBody),
        (status = 403, description = "Another user, or a field that only administrators change; `errors` names it",
            body = ProblemBody),
        (status = 404, description = "No such user, or none of the caller's zone", body = ProblemBody),
        (status = 409, description = "The e-mail address or the global id is taken, somebody else changed the user \
            meanwhile, or administrators would take the role from themselves", body = ProblemBody),
        (status = 422, description = "A field is wrong or unknown, or there is no such zone", body = ProblemBody),
        (status = 503, description = "The database is away or busy; try again", body = ProblemBody),
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
#[utoipa::path(
    delete, path = "/users/{id}", tag = "users", security(("bearer" = [])), params(("id" = UserId, Path)),
    responses(
        (status = 204, description = "Gone; the user's tokens are good for nothing"),
        (status = 401, description = "No valid access token", body = ProblemBody),
        (status = 403, description = "The caller is no administrator", body = ProblemBody),
        (status = 404, description = "No such user", body = ProblemBody),
        (status = 409, description = "The user owns projects, or is the caller", body = ProblemBody),
        (status = 503, description = "The database is away or busy; try again", body = ProblemBody),
    )
)]
async fn remove(State(app): State<App>, Admin(caller): Admin, Id(id): Id<UserId>) -> Result<StatusCode, Problem> {
    if id == caller.user {
        return Err(Problem::conflict("user.is_self", "you cannot remove yourself; ask another administrator"));
    }
    match app.database.write(move |c| Box::pin(users::remove(c, id))).await? {
        UserRemoval::Removed => {
            app.users_changed().await;
            Ok(StatusCode::NO_CONTENT)
        }
        UserRemoval::OwnsProjects => {
            Err(Problem::conflict("user.owns_projects", "the user owns projects; remove them first"))
        }
        UserRemoval::Unknown => Err(Problem::not_found("user")),
    }
}

/// Where to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Transfer {
    /// The zone; null for none.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    zone_id: Option<ZoneId>,
}

/// Moves a user to a zone, or out of all zones (administrators); counts from the next request on.
#[utoipa::path(
    post, path = "/users/{id}/transfer", tag = "users", security(("bearer" = [])), params(("id" = UserId, Path)),
    responses(
        (status = 200, description = "The user as it is now", body = User),
        (status = 401, description = "No valid access token", body = ProblemBody),
        (status = 403, description = "The caller is no administrator", body = ProblemBody),
        (status = 404, description = "No such user", body = ProblemBody),
        (status = 422, description = "There is no such zone; the user stays where they were", body = ProblemBody),
        (status = 503, description = "The database is away or busy; try again", body = ProblemBody),
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
