//! What stands in the way of a user who is to be stored: looked up before the write, because SQLite
//! does not say which constraint refused it and a client wants to hear of all of them.

use std::collections::{HashMap, HashSet};

use safire_domain::{
    name::{Email, ZoneId},
    user::User,
};
use uuid::Uuid;

use crate::{Connection, Result, connection::on};

/// What stands in the way of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Another user has the e-mail address.
    EmailTaken,
    /// Another user has the global id.
    GlobalIdTaken,
    /// There is no such zone.
    NoSuchZone,
}

/// An obstacle, and which of the users it stands before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clash {
    /// The user's place in the list.
    pub index: usize,
    /// What is in the way.
    pub obstacle: Obstacle,
}

/// Everything that stands in the way of these users, in their order.
pub(crate) async fn clashes(connection: &mut Connection, users: &[&User]) -> Result<Vec<Clash>> {
    let emails = users.iter().filter_map(|user| user.email.as_ref().map(Email::as_str)).collect();
    let emails = holders(connection, "SELECT email, id FROM users WHERE email IN (", emails).await?;
    let ids = users.iter().map(|user| user.global_id.as_str()).collect();
    let ids = holders(connection, "SELECT global_id, id FROM users WHERE global_id IN (", ids).await?;
    let zones = users.iter().filter_map(|user| user.zone_id.as_ref().map(ZoneId::as_str)).collect();
    let zones = existing(connection, "SELECT zone_id FROM zones WHERE zone_id IN (", zones).await?;

    let mut found = Vec::new();
    for (index, user) in users.iter().enumerate() {
        let mut clash = |obstacle| found.push(Clash { index, obstacle });
        let taken = |by: Option<&Uuid>| by.is_some_and(|holder| *holder != user.id.uuid());
        if taken(ids.get(user.global_id.as_str())) {
            clash(Obstacle::GlobalIdTaken);
        }
        if taken(user.email.as_ref().and_then(|email| emails.get(email.as_str()))) {
            clash(Obstacle::EmailTaken);
        }
        if user.zone_id.as_ref().is_some_and(|zone| !zones.contains(zone.as_str())) {
            clash(Obstacle::NoSuchZone);
        }
    }
    Ok(found)
}

/// Those of the values that are in use, and by whom.
async fn holders(connection: &mut Connection, sql: &'static str, values: Vec<&str>) -> Result<HashMap<String, Uuid>> {
    if values.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, Uuid)> = on!(connection, c => {
        let mut query = sqlx::QueryBuilder::new(sql);
        let mut list = query.separated(", ");
        for value in values {
            list.push_bind(value);
        }
        query.push(")");
        query.build_query_as().fetch_all(c).await
    })?;
    Ok(rows.into_iter().collect())
}

/// Those of the values that exist.
async fn existing(connection: &mut Connection, sql: &'static str, values: Vec<&str>) -> Result<HashSet<String>> {
    if values.is_empty() {
        return Ok(HashSet::new());
    }
    let rows: Vec<String> = on!(connection, c => {
        let mut query = sqlx::QueryBuilder::new(sql);
        let mut list = query.separated(", ");
        for value in values {
            list.push_bind(value);
        }
        query.push(")");
        query.build_query_scalar().fetch_all(c).await
    })?;
    Ok(rows.into_iter().collect())
}
