//! The directory of users: everybody's name by global id, as JSON, kept in the cache.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use safire_actors::{Database, database::DatabaseError};
use safire_store::users;

use crate::{App, Problem};

/// The cache's key of the directory.
pub(crate) const USERS_DICT: &str = "users-dict";

/// How long it is kept when nobody changes a user.
const TTL: Duration = Duration::from_secs(3600);

impl App {
    /// The directory, from the cache or, where that does not answer, from the database.
    pub(crate) async fn users_dict(&self) -> Result<Bytes, Problem> {
        match self.cache.get_or_load_dict(USERS_DICT, TTL, || Box::pin(names(self.database.clone()))).await {
            Ok(Ok(json)) => Ok(json),
            Ok(Err(error)) => Err(Problem::from(&*error)),
            Err(unavailable) => {
                tracing::warn!(%unavailable, "the cache is passed by");
                Ok(load_users_dict(self.database.clone()).await?)
            }
        }
    }

    /// Users were written: what is remembered of them is out of date. Called once per write, however
    /// many users it made.
    pub(crate) async fn users_changed(&self) {
        self.roles.forget();
        if let Err(unavailable) = self.cache.invalidate(USERS_DICT).await {
            tracing::warn!(%unavailable, "the directory of users may be out of date until it expires");
        }
    }
}

/// The directory as the database has it.
pub(crate) async fn load_users_dict(database: Database) -> Result<Bytes, DatabaseError> {
    let json = serde_json::to_vec(&names(database).await?)
        .map_err(|error| safire_store::Error::Corrupt { table: "users", reason: error.to_string() })?;
    Ok(Bytes::from(json))
}

async fn names(database: Database) -> Result<BTreeMap<String, String>, DatabaseError> {
    let names = database.read(|c| Box::pin(users::names(c))).await?;
    Ok(names.into_iter().collect())
}
