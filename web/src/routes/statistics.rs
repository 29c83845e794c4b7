//! Users and zones in figures, and users' names by global id: those that the caller may see.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header::CONTENT_TYPE;
use safire_domain::user::Role;
use safire_store::{
    users::{self, Group},
    zones::{self, ZoneFigures},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::{App, Problem, auth::Caller, directory::load_users_dict, extract::Query};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(directory)).routes(routes!(of_users)).routes(routes!(of_zones))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct DirectoryQuery {
    /// Whether the cache may answer an administrator; `false` asks the database, which answers everybody else.
    #[param(default = true)]
    use_cache: bool,
}

impl Default for DirectoryQuery {
    fn default() -> Self {
        Self { use_cache: true }
    }
}

/// Names of the users whom the caller may see, by global id.
///
/// Themselves and the members of their zone; administrators see everybody. What administrators see is kept for an hour,
/// and forgotten when a user changes; `use_cache=false` asks the database.
#[utoipa::path(
    get, path = "/users-dict", tag = "users", params(DirectoryQuery),
    responses(
        (status = 200, description = "Names by global id", body = HashMap<String, String>,
            example = json!({ "ldap:7": "Ana" })),
    )
)]
async fn directory(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<DirectoryQuery>,
) -> Result<Response, Problem> {
    let access = caller.access();
    // Kept is what everybody's names are: it is shown to those only who see everybody.
    let json = match query.use_cache && access.is_admin() {
        true => app.users_dict(access).await?,
        false => load_users_dict(app.database.clone(), access).await?,
    };
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}

/// Users in figures.
#[derive(Serialize, ToSchema)]
struct UserFigures {
    /// The users whom the caller may see.
    total: i64,
    /// Users by role; every role is there.
    #[schema(value_type = HashMap<String, i64>, example = json!({ "admin": 1, "analyst": 12, "viewer": 3 }))]
    by_role: BTreeMap<&'static str, i64>,
    /// Users by zone, those without one last.
    by_zone: Vec<InOneZone>,
    /// Users who can sign in.
    with_credentials: i64,
    /// Users who cannot.
    without_credentials: i64,
}

#[derive(Serialize, ToSchema)]
struct InOneZone {
    /// The zone; null for users without one.
    #[schema(example = "north")]
    zone_id: Option<String>,
    users: i64,
}

impl UserFigures {
    fn of(groups: Vec<Group>) -> Self {
        let total = groups.iter().map(|group| group.users).sum();
        let with_credentials = groups.iter().map(|group| group.with_credentials).sum();
        let roles = [Role::Admin, Role::Analyst, Role::Viewer];
        let mut by_role: BTreeMap<_, _> = roles.into_iter().map(|role| (role.as_str(), 0)).collect();
        let mut by_zone = BTreeMap::new();
        for group in groups {
            *by_role.entry(group.role.as_str()).or_default() += group.users;
            *by_zone.entry((group.zone_id.is_none(), group.zone_id)).or_default() += group.users;
        }
        let by_zone = by_zone.into_iter().map(|((_, zone_id), users)| InOneZone { zone_id, users }).collect();
        Self { total, by_role, by_zone, with_credentials, without_credentials: total - with_credentials }
    }
}

/// How many users the caller may see.
///
/// Themselves and the members of their zone, for administrators everybody: by role, by zone, with and without credentials.
#[utoipa::path(
    get, path = "/stats/users", tag = "statistics",
    responses((status = 200, description = "The figures", body = UserFigures))
)]
async fn of_users(State(app): State<App>, caller: Caller) -> Result<Json<UserFigures>, Problem> {
    let groups = app.database.read(move |c| Box::pin(users::groups(c, caller.access()))).await?;
    Ok(Json(UserFigures::of(groups)))
}

/// Zones in figures.
#[derive(Serialize, ToSchema)]
struct ZonesSeen {
    /// How many there are.
    total: usize,
    /// Each of them, by id.
    zones: Vec<OneZone>,
}

#[derive(Serialize, ToSchema)]
struct OneZone {
    #[schema(example = "north")]
    zone_id: String,
    #[schema(example = "Fuels, north")]
    name: String,
    /// Users who belong to it.
    members: i64,
    /// Projects that they own.
    projects: i64,
}

impl From<ZoneFigures> for OneZone {
    fn from(figures: ZoneFigures) -> Self {
        let ZoneFigures { zone_id, name, members, projects } = figures;
        Self { zone_id, name, members, projects }
    }
}

/// How many members and projects the caller's zone has.
///
/// For administrators each zone, those without either too.
#[utoipa::path(
    get, path = "/stats/zones", tag = "statistics",
    responses((status = 200, description = "The figures", body = ZonesSeen))
)]
async fn of_zones(State(app): State<App>, caller: Caller) -> Result<Json<ZonesSeen>, Problem> {
    let figures = app.database.read(move |c| Box::pin(zones::figures(c, caller.access()))).await?;
    let zones: Vec<_> = figures.into_iter().map(OneZone::from).collect();
    Ok(Json(ZonesSeen { total: zones.len(), zones }))
}
