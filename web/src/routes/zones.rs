//! Zones: administrators keep them, everybody sees which there are, members see each other.

use std::convert::Infallible;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderName, StatusCode, header::LOCATION};
use safire_actors::database::DatabaseError;
use safire_domain::{
    name::{Description, Name, ZoneId},
    user::User,
    zone::Zone,
};
use safire_store::{
    access::Written,
    idempotency, users,
    zones::{self, ZoneRemoval},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::projects::{nothing, stored};
use crate::{
    App, Problem,
    auth::{Admin, Caller},
    body::Body,
    conditional::{Has, IfMatch, Tagged, changed, versions},
    extract::{InZone, Query},
    idempotency::{Keyed, made},
    page::{Page, Range},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, replace, remove)).routes(routes!(members))
}

/// All zones, by id.
///
/// Everybody sees which there are.
#[utoipa::path(
    get, path = "/zones", tag = "zones", params(Range),
    responses((status = 200, description = "A page of zones", body = Page<Zone>))
)]
async fn list(State(app): State<App>, _: Caller, Query(range): Query<Range>) -> Result<Json<Page<Zone>>, Problem> {
    let window = range.window()?;
    let part = window.clone();
    let (items, total) = app
        .database
        .read(move |c| Box::pin(async move { Ok((zones::list(c, part).await?, zones::count(c).await?)) }))
        .await?;
    Ok(Json(Page::of(items, total, &window, |zone| zone.zone_id.to_string())))
}

/// A new zone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "zone_id": "north-2", "name": "Fuels, north" }))]
struct NewZone {
    zone_id: ZoneId,
    name: Name,
    #[serde(default = "nothing")]
    description: Description,
}

/// Makes a zone (administrators).
///
/// Under an id that is chosen here and stays.
#[utoipa::path(
    post, path = "/zones", tag = "zones", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = NewZone,
    responses(
        (status = 201, description = "The zone; Location says where", body = Zone, headers(("Location"))),
        (status = 403, description = "the caller is no administrator"),
        (status = 409, description = "`zone.taken`: there is a zone with this id"),
    )
)]
async fn create(
    State(app): State<App>,
    _: Admin,
    Keyed { body: new, key }: Keyed<NewZone>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Tagged<Zone>), Problem> {
    let now = app.now();
    let NewZone { zone_id, name, description } = new;
    let zone = Zone { zone_id, name, description, version: 1, created_at: now, updated_at: now };
    let store_key = key.get();
    let insert = app.database.write(move |c| {
        Box::pin(idempotency::once(c, store_key, now, move |c| {
            Box::pin(async move { zones::insert(c, &zone).await.map(|()| Ok::<_, Infallible>(zone)) })
        }))
    });
    let zone = match insert.await {
        Err(DatabaseError::Store(safire_store::Error::Duplicate(_))) => {
            return Err(Problem::conflict("zone.taken", "there is a zone with this id"));
        }
        stored => made(stored?)?.unwrap_or_else(|never| match never {}),
    };
    let location = [(LOCATION, format!("/api/v1/zones/{}", zone.zone_id))];
    Ok((StatusCode::CREATED, location, Tagged::new(zone.version, zone)))
}

/// What to add to the answer.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Part {
    /// The zone's members.
    Users,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Parts {
    /// `users` adds the members, for members and administrators.
    #[param(inline)]
    include: Option<Part>,
}

/// A zone, with its members when asked for.
#[derive(Serialize, ToSchema)]
struct ZoneView {
    #[serde(flatten)]
    zone: Zone,
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<Vec<User>>,
}

/// One zone.
///
/// With its members when they are asked for, by one of them or by an administrator.
#[utoipa::path(
    get, path = "/zones/{zone_id}", tag = "zones",
    params(("zone_id" = ZoneId, Path), ("If-None-Match" = Option<String>, Header), Parts),
    responses(
        (status = 200, description = "The zone", body = ZoneView),
        (status = 403, description = "its members were asked for by a stranger to the zone"),
    )
)]
async fn read(
    State(app): State<App>,
    caller: Caller,
    InZone(id): InZone,
    Query(parts): Query<Parts>,
    has: Has,
) -> Result<Response, Problem> {
    let access = caller.access();
    match parts.include {
        None => {
            let zone = app.database.read(move |c| Box::pin(async move { zones::find(c, &id).await })).await?;
            let zone = zone.ok_or_else(|| Problem::not_found("zone"))?;
            Ok(has.or(Tagged::new(zone.version, ZoneView { zone, users: None })))
        }
        Some(Part::Users) => {
            let found = app
                .database
                .read(move |c| Box::pin(async move { zones::find_with_members(c, access, &id).await }))
                .await?;
            let found = found.ok_or_else(|| Problem::not_found("zone"))?;
            let users = found.members.ok_or_else(strangers)?;
            // Members come and go without a new version of the zone: this view has no tag.
            Ok(Json(ZoneView { zone: found.zone, users: Some(users) }).into_response())
        }
    }
}

fn strangers() -> Problem {
    Problem::forbidden("only members of the zone and administrators see who belongs to it")
}

/// A zone's members, oldest first.
///
/// For members and administrators.
#[utoipa::path(
    get, path = "/zones/{zone_id}/users", tag = "zones", params(("zone_id" = ZoneId, Path), Range),
    responses(
        (status = 200, description = "A page of users", body = Page<User>),
        (status = 403, description = "the caller is a stranger to the zone"),
    )
)]
async fn members(
    State(app): State<App>,
    caller: Caller,
    InZone(id): InZone,
    Query(range): Query<Range>,
) -> Result<Json<Page<User>>, Problem> {
    let window = range.window()?;
    let access = caller.access();
    let (shown, items, total) = app
        .database
        .read(move |c| {
            Box::pin(async move {
                let shown = zones::shows_members(c, access, &id).await?;
                if shown != Some(true) {
                    return Ok((shown, Vec::new(), 0));
                }
                let items = users::list(c, access, Some(&id), window).await?;
                Ok((shown, items, users::count(c, access, Some(&id)).await?))
            })
        })
        .await?;
    match shown {
        Some(true) => Ok(Json(Page::of(items, total, &window, |user| user.id.to_string()))),
        Some(false) => Err(strangers()),
        None => Err(Problem::not_found("zone")),
    }
}

/// A zone's text.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Fuels, north", "description": "Everybody in the northern office" }))]
struct ZoneText {
    name: Name,
    description: Description,
}

/// Replaces a zone's name and description (administrators).
///
/// Its id stays.
#[utoipa::path(
    put, path = "/zones/{zone_id}", tag = "zones", params(("zone_id" = ZoneId, Path)), request_body = ZoneText,
    responses(
        (status = 200, description = "The zone as it is now", body = Zone),
        (status = 403, description = "the caller is no administrator"),
    )
)]
async fn replace(
    State(app): State<App>,
    _: Admin,
    InZone(id): InZone,
    if_match: IfMatch,
    Body(text): Body<ZoneText>,
) -> Result<Tagged<Zone>, Problem> {
    let now = app.now();
    let precondition = if_match.clone();
    let written = app
        .database
        .write(move |c| {
            Box::pin(async move {
                let Some(zone) = zones::find(c, &id).await? else { return Ok((Written::Unknown, None)) };
                let zone = Zone { name: text.name, description: text.description, ..zone };
                if !precondition.allows(zone.version) || !zones::update(c, &zone, now).await? {
                    return Ok((Written::Stale, None));
                }
                Ok((Written::Yes, zones::find(c, &id).await?))
            })
        })
        .await?;
    stored(written.0, &if_match, "zone")?;
    let zone = written.1.ok_or_else(|| Problem::not_found("zone"))?;
    Ok(Tagged::new(zone.version, zone))
}

/// Removes a zone without members (administrators).
///
/// Members are transferred first.
#[utoipa::path(
    delete, path = "/zones/{zone_id}", tag = "zones",
    params(("zone_id" = ZoneId, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "Gone"),
        (status = 403, description = "the caller is no administrator"),
        (status = 409, description = "`zone.has_members`: users belong to the zone; transfer them first"),
    )
)]
async fn remove(
    State(app): State<App>,
    _: Admin,
    InZone(id): InZone,
    if_match: Option<IfMatch>,
) -> Result<StatusCode, Problem> {
    let expected = versions(if_match);
    match app.database.write(move |c| Box::pin(zones::remove(c, id, expected))).await? {
        ZoneRemoval::Removed => Ok(StatusCode::NO_CONTENT),
        ZoneRemoval::HasMembers => {
            Err(Problem::conflict("zone.has_members", "users belong to the zone; transfer them first"))
        }
        ZoneRemoval::Stale => Err(changed()),
        ZoneRemoval::Unknown => Err(Problem::not_found("zone")),
    }
}
