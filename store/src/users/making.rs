//! How users are stored when they are made.

use std::sync::Arc;

use safire_domain::{
    Timestamp,
    name::{Email, ZoneId},
    user::User,
};

use super::TRIES;
use crate::{
    Connection, Error, Result,
    connection::on,
    idempotency::{self, Key, Once},
    obstacles::{Clash, clashes},
};

/// A user to be stored, with the hash of their password.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The user.
    pub user: User,
    /// The hash; without one the user cannot sign in.
    pub password_hash: Option<String>,
}

/// Stores a new user; the e-mail address and the global id must be free.
pub async fn insert(connection: &mut Connection, user: &User, password_hash: Option<&str>) -> Result<()> {
    let new = NewUser { user: user.clone(), password_hash: password_hash.map(str::to_owned) };
    insert_all(connection, &[new]).await
}

async fn insert_all(connection: &mut Connection, users: &[NewUser]) -> Result<()> {
    on!(connection, c => {
        let mut query = sqlx::QueryBuilder::new(
            "INSERT INTO users (id, global_id, name, email, password_hash, role, zone_id, version, created_at,
                                updated_at) ",
        );
        query.push_values(users, |mut row, NewUser { user, password_hash }| {
            row.push_bind(user.id.uuid())
                .push_bind(user.global_id.as_str())
                .push_bind(user.name.as_str())
                .push_bind(user.email.as_ref().map(Email::as_str))
                .push_bind(password_hash.as_deref())
                .push_bind(user.role.as_str())
                .push_bind(user.zone_id.as_ref().map(ZoneId::as_str))
                .push_bind(user.version)
                .push_bind(user.created_at)
                .push_bind(user.updated_at);
        });
        query.build().execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Stores new users, all of them or, when something stands in the way of one, none: then it says what
/// does.
pub async fn create(
    connection: &mut Connection,
    key: Option<Key>,
    users: Arc<[NewUser]>,
    now: Timestamp,
) -> Result<Once<Vec<User>, Vec<Clash>>> {
    for _ in 0..TRIES {
        let (key, new) = (key.clone(), Arc::clone(&users));
        let created = idempotency::once(connection, key, now, |c| Box::pin(try_create(c, new))).await;
        match created {
            // Taken since it was looked up: looked up again, it will have a name.
            Err(Error::Duplicate(_) | Error::Dangling(_)) => {}
            settled => return settled,
        }
    }
    Err(Error::Contended)
}

async fn try_create(
    connection: &mut Connection,
    users: Arc<[NewUser]>,
) -> Result<std::result::Result<Vec<User>, Vec<Clash>>> {
    let clashes = clashes(connection, &users.iter().map(|new| &new.user).collect::<Vec<_>>()).await?;
    if !clashes.is_empty() {
        return Ok(Err(clashes));
    }
    if !users.is_empty() {
        insert_all(connection, &users).await?;
    }
    Ok(Ok(users.iter().map(|new| new.user.clone()).collect()))
}
