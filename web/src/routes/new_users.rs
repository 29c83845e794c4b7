//! Many new users at once, and what every new user has to pass.

use std::collections::HashSet;

use axum::{Json, extract::State};
use http::StatusCode;
use safire_domain::{
    UserId,
    name::{Email, GlobalId, Name, ZoneId},
    user::{Role, User},
};
use safire_store::{
    obstacles::Obstacle,
    users::{self, NewUser},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use super::users::analyst;
use crate::{
    App, Problem,
    auth::Admin,
    idempotency::{Keyed, RequestKey, made},
    problem::FieldError,
};

/// Users in one request at most.
const MOST: usize = 1000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_many))
}

/// New users.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUsers {
    /// 1 to 1,000 users.
    #[schema(min_items = 1, max_items = 1000)]
    users: Vec<Person>,
}

/// One of many new users; without a password, which would take too long for a thousand.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Ben", "global_id": "ldap:8", "role": "viewer" }))]
struct Person {
    name: Name,
    /// The id by which other systems know the user; unless given, the user's own id.
    global_id: Option<GlobalId>,
    email: Option<Email>,
    #[serde(default = "analyst")]
    #[schema(default = "analyst")]
    role: Role,
    zone_id: Option<ZoneId>,
}

/// The users that were made.
#[derive(Serialize, ToSchema)]
struct Made {
    /// In the order of the request.
    users: Vec<User>,
}

/// Makes up to 1,000 users (administrators).
///
/// All of them, or none when one is refused: `errors` says which, by pointer (`/users/17/global_id`).
#[utoipa::path(
    post, path = "/users/bulk", tag = "users", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = NewUsers,
    responses(
        (status = 201, description = "The users, in the order of the request", body = Made),
        (status = 403, description = "the caller is no administrator"),
        (status = 409, description = "`email.taken`: another user has this e-mail address; `global_id.taken`: another user has this global id; \
            `contended`: others kept changing it; try again"),
        (status = 422, description = "`body.invalid`: a field is wrong, unknown or given twice, or there is no such \
            zone; `errors` says where"),
    )
)]
async fn create_many(
    State(app): State<App>,
    _: Admin,
    Keyed { body: new, key }: Keyed<NewUsers>,
) -> Result<(StatusCode, Json<Made>), Problem> {
    check(&new.users)?;
    let now = app.now();
    let rows = new.users.into_iter().map(|person| NewUser { user: person.user(now), password_hash: None });
    let users = store(&app, &key, rows.collect(), pointer).await?;
    Ok((StatusCode::CREATED, Json(Made { users })))
}

fn pointer(index: usize) -> String {
    format!("/users/{index}")
}

impl Person {
    fn user(self, now: safire_domain::Timestamp) -> User {
        let blank = User::new(UserId::new(now), self.name, now);
        User {
            global_id: self.global_id.unwrap_or_else(|| blank.global_id.clone()),
            email: self.email,
            role: self.role,
            zone_id: self.zone_id,
            ..blank
        }
    }
}

/// Checks what the list says by itself: its length, and that nothing unique is given twice.
fn check(users: &[Person]) -> Result<(), Problem> {
    if !(1..=MOST).contains(&users.len()) {
        let message = format!("there are {} users, allowed are 1 to {MOST}", users.len());
        return Err(FieldError::new("/users", "out_of_range", message).into());
    }
    let (mut ids, mut emails) = (HashSet::new(), HashSet::new());
    let mut errors = Vec::new();
    for (index, person) in users.iter().enumerate() {
        if person.global_id.as_ref().is_some_and(|id| !ids.insert(id)) {
            errors.push(repeated(index, "global_id"));
        }
        if person.email.as_ref().is_some_and(|email| !emails.insert(email)) {
            errors.push(repeated(index, "email"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid("body.invalid", errors)) }
}

fn repeated(index: usize, field: &str) -> FieldError {
    let message = format!("user {index} has the {field} of an earlier one");
    FieldError::new(&format!("{}/{field}", pointer(index)), "repeated", message)
}

/// Stores new users, all or none; `pointer` says where in the body a user stands.
pub(super) async fn store(
    app: &App,
    key: &RequestKey,
    users: Vec<NewUser>,
    pointer: fn(usize) -> String,
) -> Result<Vec<User>, Problem> {
    let (key, now) = (key.get(), app.now());
    let stored = app.database.write(move |c| Box::pin(users::create(c, key, users.into(), now))).await?;
    match made(stored)? {
        Ok(users) => {
            app.users_changed().await;
            Ok(users)
        }
        Err(clashes) => {
            let obstacles: Vec<_> = clashes.into_iter().map(|clash| (pointer(clash.index), clash.obstacle)).collect();
            Err(refused(&obstacles))
        }
    }
}

/// What is in the way of users who stand at these places of the body: 422 when the request cannot
/// succeed as it is, 409 when something is taken.
pub(super) fn refused(obstacles: &[(String, Obstacle)]) -> Problem {
    let errors = obstacles.iter().map(|(at, obstacle)| error(at, *obstacle)).collect();
    let taken = obstacles.iter().map(|(_, obstacle)| *obstacle).find(|obstacle| *obstacle != Obstacle::NoSuchZone);
    match taken {
        _ if obstacles.iter().any(|(_, obstacle)| *obstacle == Obstacle::NoSuchZone) => {
            Problem::invalid("body.invalid", errors)
        }
        Some(Obstacle::EmailTaken) => {
            Problem::conflict("email.taken", "there is an account with this e-mail address").naming(errors)
        }
        _ => Problem::conflict("global_id.taken", "there is a user with this global id").naming(errors),
    }
}

fn error(at: &str, obstacle: Obstacle) -> FieldError {
    let (field, code, message) = match obstacle {
        Obstacle::EmailTaken => ("email", "email.taken", "another user has this e-mail address"),
        Obstacle::GlobalIdTaken => ("global_id", "global_id.taken", "another user has this global id"),
        Obstacle::NoSuchZone => ("zone_id", "zone.unknown", "there is no such zone"),
    };
    FieldError::new(&format!("{at}/{field}"), code, message)
}
