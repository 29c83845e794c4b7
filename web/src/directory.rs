//! The directory of users: names by global id, as JSON. Everybody's, which administrators see, is kept in the cache.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use safire_actors::{Database, database::DatabaseError};
use safire_domain::user::Access;
use safire_store::users;

use crate::{App, Problem, app::USERS_DICT};

/// How long it is kept when nobody changes a user.
const TTL: Duration = Duration::from_secs(3600);

impl App {
    /// The directory of an administrator, from the cache or, where that does not answer, from the database.
    pub(crate) async fn users_dict(&self, admin: Access) -> Result<Bytes, Problem> {
        match self.cache.get_or_load_dict(USERS_DICT, TTL, || Box::pin(names(self.database.clone(), admin))).await {
            Ok(Ok(json)) => Ok(json),
            Ok(Err(error)) => Err(Problem::from(&*error)),
            Err(unavailable) => {
                tracing::warn!(%unavailable, "the cache is passed by");
                Ok(load_users_dict(self.database.clone(), admin).await?)
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

/// The directory of somebody, as the database has it.
pub(crate) async fn load_users_dict(database: Database, access: Access) -> Result<Bytes, DatabaseError> {
    let json = serde_json::to_vec(&names(database, access).await?)
        .map_err(|error| safire_store::Error::Corrupt { table: "users", reason: error.to_string() })?;
    Ok(Bytes::from(json))
}

async fn names(database: Database, access: Access) -> Result<BTreeMap<String, String>, DatabaseError> {
    let names = database.read(move |c| Box::pin(users::names(c, access))).await?;
    Ok(names.into_iter().collect())
}
