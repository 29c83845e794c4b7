//! Users and what they may do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Timestamp, UserId,
    lifecycle::names,
    name::{Email, GlobalId, Name, ZoneId},
};

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs the service: users, zones, master data, caches. Sees and changes everything.
    Admin,
    /// Works on own projects, reads those of the zone.
    Analyst,
    /// Reads own projects and those of the zone; changes nothing.
    Viewer,
}

names!(Role { Admin => "admin", Analyst => "analyst", Viewer => "viewer" });

/// A person or program known to the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "01a1f914-e4c8-7d26-be8e-d1e3f79d9011", "global_id": "ldap:7", "name": "Ana", "email": "ana@example.com",
    "role": "analyst", "zone_id": "north", "version": 1,
    "created_at": "2026-11-20T09:30:00Z", "updated_at": "2026-11-20T09:30:00Z",
}))]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The id by which other systems know the user; unique.
    pub global_id: GlobalId,
    /// What the user is called.
    pub name: Name,
    /// The address that the user signs in with; absent for users without credentials.
    pub email: Option<Email>,
    /// What the user may do.
    pub role: Role,
    /// The zone that the user belongs to.
    pub zone_id: Option<ZoneId>,
    /// Counts the changes.
    pub version: i64,
    /// When the user was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When the user last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl User {
    /// A new user, as an analyst without credentials, without a zone and with a global id of its own.
    pub fn new(id: UserId, name: Name, now: Timestamp) -> Self {
        Self {
            id,
            global_id: id.into(),
            name,
            email: None,
            role: Role::Analyst,
            zone_id: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }
}

/// Who asks, and in which role. Which zone the user is in is for the database to say, in the very
/// statement that depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Who asks.
    pub user: UserId,
    /// What they may do.
    pub role: Role,
}

impl Access {
    /// The user's own access.
    pub fn of(user: &User) -> Self {
        Self { user: user.id, role: user.role }
    }

    /// Whether everything is theirs to see and to change.
    pub fn is_admin(self) -> bool {
        self.role == Role::Admin
    }

    /// The user whose resources they may change: themselves, unless they only read.
    pub fn writer(self) -> Option<UserId> {
        match self.role {
            Role::Admin | Role::Analyst => Some(self.user),
            Role::Viewer => None,
        }
    }

    /// Whether they may change what belongs to `owner`.
    pub fn may_write(self, owner: UserId) -> bool {
        self.is_admin() || self.writer() == Some(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_write_unless_they_only_read_and_administrators_write_everything() {
        let [me, other] = [0, 1].map(|_| UserId::new(Timestamp::UNIX_EPOCH));
        #[rustfmt::skip]
        let table = [
            //              own    another's
            (Role::Admin,   true,  true),
            (Role::Analyst, true,  false),
            (Role::Viewer,  false, false),
        ];
        for (role, own, others) in table {
            let access = Access { user: me, role };
            assert_eq!((access.may_write(me), access.may_write(other)), (own, others), "{role:?}");
        }
    }
}
