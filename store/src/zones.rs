//! Zones and who belongs to them.

use safire_domain::{
    Timestamp,
    name::{Description, Name, ZoneId},
    user::{Access, User},
    zone::Zone,
};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{Connection, Error, Result, Window, access::is_stale, connection::on};

const TABLE: &str = "zones";

#[derive(FromRow)]
struct Row {
    zone_id: String,
    name: String,
    description: String,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<Row> for Zone {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            zone_id: ZoneId::try_from(row.zone_id).map_err(|e| Error::corrupt(TABLE, e))?,
            name: Name::try_from(row.name).map_err(|e| Error::corrupt(TABLE, e))?,
            description: Description::try_from(row.description).map_err(|e| Error::corrupt(TABLE, e))?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Stores a new zone; its id must be free.
pub async fn insert(connection: &mut Connection, zone: &Zone) -> Result<()> {
    on!(connection, c => {
        sqlx::query(
            "INSERT INTO zones (zone_id, name, description, version, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(zone.zone_id.as_str())
        .bind(zone.name.as_str())
        .bind(zone.description.as_str())
        .bind(zone.version)
        .bind(zone.created_at)
        .bind(zone.updated_at)
        .execute(c)
        .await
        .map(drop)
    })?;
    Ok(())
}

/// The zone with that id.
pub async fn find(connection: &mut Connection, id: &ZoneId) -> Result<Option<Zone>> {
    let row: Option<Row> = on!(connection, c => {
        sqlx::query_as(
            "SELECT zone_id, name, description, version, created_at, updated_at
             FROM zones
             WHERE zone_id = $1",
        )
        .bind(id.as_str())
        .fetch_optional(c)
        .await
    })?;
    row.map(Zone::try_from).transpose()
}

/// All zones, by id.
pub async fn list(connection: &mut Connection, window: Window<ZoneId>) -> Result<Vec<Zone>> {
    let rows: Vec<Row> = on!(connection, c => {
        sqlx::query_as(
            "SELECT zone_id, name, description, version, created_at, updated_at
             FROM zones
             WHERE zone_id > $3
             ORDER BY zone_id
             LIMIT $2 OFFSET $1",
        )
        .bind(window.skip)
        .bind(window.limit)
        .bind(window.after.as_ref().map_or("", ZoneId::as_str))
        .fetch_all(c)
        .await
    })?;
    rows.into_iter().map(Zone::try_from).collect()
}

/// How many zones there are.
pub async fn count(connection: &mut Connection) -> Result<i64> {
    Ok(on!(connection, c => sqlx::query_scalar("SELECT COUNT(*) FROM zones").fetch_one(c).await)?)
}

/// A zone and, for those who may see them, its members.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoneWithMembers {
    /// The zone.
    pub zone: Zone,
    /// Its members, oldest first; `None` for strangers to the zone.
    pub members: Option<Vec<User>>,
}

/// One row of zone and member; the member's columns are empty when there is none to be seen.
#[derive(FromRow)]
struct MemberRow {
    #[sqlx(flatten)]
    zone: Row,
    open: bool,
    user_id: Option<Uuid>,
    global_id: Option<String>,
    user_name: Option<String>,
    email: Option<String>,
    role: Option<String>,
    user_version: Option<i64>,
    user_created_at: Option<Timestamp>,
    user_updated_at: Option<Timestamp>,
}

/// A zone with its members, in one query.
pub async fn find_with_members(
    connection: &mut Connection,
    access: Access,
    id: &ZoneId,
) -> Result<Option<ZoneWithMembers>> {
    let rows: Vec<MemberRow> = on!(connection, c => {
        sqlx::query_as(
            "SELECT z.zone_id, z.name, z.description, z.version, z.created_at, z.updated_at,
                    ($2 OR me.id IS NOT NULL) AS open,
                    u.id AS user_id, u.global_id, u.name AS user_name, u.email, u.role, u.version AS user_version,
                    u.created_at AS user_created_at, u.updated_at AS user_updated_at
             FROM zones z
             LEFT JOIN users me ON me.id = $1 AND me.zone_id = z.zone_id
             LEFT JOIN users u ON u.zone_id = z.zone_id AND ($2 OR me.id IS NOT NULL)
             WHERE z.zone_id = $3
             ORDER BY u.id",
        )
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(id.as_str())
        .fetch_all(c)
        .await
    })?;
    let mut found: Option<ZoneWithMembers> = None;
    for row in rows {
        let (zone, open, user) = row.split();
        let entry = match &mut found {
            Some(entry) => entry,
            None => found.insert(ZoneWithMembers { zone: zone.try_into()?, members: open.then(Vec::new) }),
        };
        if let (Some(members), Some(user)) = (&mut entry.members, user) {
            members.push(user.try_into()?);
        }
    }
    Ok(found)
}

impl MemberRow {
    fn split(self) -> (Row, bool, Option<crate::users::Row>) {
        let Self { zone, open, user_id, global_id, user_name, email, role, .. } = self;
        let times = (self.user_version, self.user_created_at, self.user_updated_at);
        let user = match (user_id, global_id, user_name, role, times) {
            (
                Some(id),
                Some(global_id),
                Some(name),
                Some(role),
                (Some(version), Some(created_at), Some(updated_at)),
            ) => {
                let zone_id = Some(zone.zone_id.clone());
                Some(crate::users::Row { id, global_id, name, email, role, zone_id, version, created_at, updated_at })
            }
            _ => None,
        };
        (zone, open, user)
    }
}

/// Whether the user may see who belongs to a zone; `None` when there is no such zone.
pub async fn shows_members(connection: &mut Connection, access: Access, id: &ZoneId) -> Result<Option<bool>> {
    Ok(on!(connection, c => {
        sqlx::query_scalar(
            "SELECT ($2 OR EXISTS (SELECT 1 FROM users me WHERE me.id = $1 AND me.zone_id = z.zone_id))
             FROM zones z
             WHERE z.zone_id = $3",
        )
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .bind(id.as_str())
        .fetch_optional(c)
        .await
    })?)
}

/// Writes a zone's name and description over version `zone.version`; `false` when that version is no
/// longer there.
pub async fn update(connection: &mut Connection, zone: &Zone, now: Timestamp) -> Result<bool> {
    let changed = on!(connection, c => {
        sqlx::query(
            "UPDATE zones
             SET name = $1, description = $2, updated_at = $3, version = version + 1
             WHERE zone_id = $4 AND version = $5",
        )
        .bind(zone.name.as_str())
        .bind(zone.description.as_str())
        .bind(now)
        .bind(zone.zone_id.as_str())
        .bind(zone.version)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })?;
    Ok(changed == 1)
}

/// How the removal of a zone ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneRemoval {
    /// Gone.
    Removed,
    /// It has none of the versions that were expected; nothing was removed.
    Stale,
    /// Users belong to it; nothing was removed.
    HasMembers,
    /// There was no such zone.
    Unknown,
}

/// Removes a zone without members; the reference from users decides. With `expected`, only one that has one of these
/// versions.
pub async fn remove(connection: &mut Connection, id: ZoneId, expected: Option<Vec<i64>>) -> Result<ZoneRemoval> {
    match connection.transaction(move |c| Box::pin(try_to_remove(c, id, expected))).await {
        Err(Error::Dangling(_)) => Ok(ZoneRemoval::HasMembers),
        settled => settled,
    }
}

async fn try_to_remove(connection: &mut Connection, id: ZoneId, expected: Option<Vec<i64>>) -> Result<ZoneRemoval> {
    let version: Option<i64> = on!(&mut *connection, c => {
        sqlx::query_scalar("UPDATE zones SET version = version WHERE zone_id = $1 RETURNING version")
            .bind(id.as_str())
            .fetch_optional(c)
            .await
    })?;
    let Some(version) = version else { return Ok(ZoneRemoval::Unknown) };
    if is_stale(expected.as_deref(), version) {
        return Ok(ZoneRemoval::Stale);
    }
    on!(connection, c => sqlx::query("DELETE FROM zones WHERE zone_id = $1").bind(id.as_str()).execute(c).await.map(drop))?;
    Ok(ZoneRemoval::Removed)
}

/// A zone in figures.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ZoneFigures {
    /// The zone.
    pub zone_id: String,
    /// What it is called.
    pub name: String,
    /// Users who belong to it.
    pub members: i64,
    /// Projects that they own.
    pub projects: i64,
}

/// Zones in figures, in one query: that of the user who asks, or for administrators all.
pub async fn figures(connection: &mut Connection, access: Access) -> Result<Vec<ZoneFigures>> {
    Ok(on!(connection, c => {
        sqlx::query_as(
            "SELECT z.zone_id, z.name, COUNT(DISTINCT u.id) AS members, COUNT(p.id) AS projects
             FROM zones z
             LEFT JOIN users u ON u.zone_id = z.zone_id
             LEFT JOIN projects p ON p.owner_id = u.id
             WHERE $2 OR z.zone_id = (SELECT me.zone_id FROM users me WHERE me.id = $1)
             GROUP BY z.zone_id, z.name
             ORDER BY z.zone_id",
        )
        .bind(access.user.uuid())
        .bind(access.is_admin())
        .fetch_all(c)
        .await
    })?)
}
