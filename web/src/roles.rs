//! Which role a user has now. The row decides, not the token: who is demoted or removed while a token
//! is good loses their rights all the same.
//!
//! A row that was read is believed for [`BELIEVED`]. A change made through this process counts at
//! once; one made through another, after that time at the latest.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::sync::Cache;
use safire_actors::{Database, database::DatabaseError};
use safire_domain::{UserId, user::Role};
use safire_store::users;

/// How long another process's change may go unnoticed.
const BELIEVED: Duration = Duration::from_secs(2);

/// Users remembered at most.
const REMEMBERED: u64 = 10_000;

/// The roles of users who asked a moment ago.
#[derive(Clone)]
pub(crate) struct Roles {
    /// By generation and user: a load that a change overtook lands in a generation that nobody reads.
    known: Cache<(u64, UserId), Role>,
    generation: Arc<AtomicU64>,
}

impl Default for Roles {
    fn default() -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).time_to_live(BELIEVED).build();
        Self { known, generation: Arc::default() }
    }
}

impl Roles {
    /// The user's role; `None` when there is no such user.
    pub async fn of(&self, user: UserId, database: &Database) -> Result<Option<Role>, DatabaseError> {
        let key = (self.generation.load(Ordering::SeqCst), user);
        if let Some(role) = self.known.get(&key) {
            return Ok(Some(role));
        }
        let role = database.read(move |c| Box::pin(users::find_role(c, user))).await?;
        if let Some(role) = role {
            self.known.insert(key, role);
        }
        Ok(role)
    }

    /// Users have changed.
    pub fn forget(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}
