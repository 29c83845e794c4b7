//! Users and what they may do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Timestamp, UserId,
    lifecycle::names,
    name::{Email, Name},
};

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs the service: users, master data, caches.
    Admin,
    /// Works on scenarios.
    Analyst,
    /// Reads.
    Viewer,
}

names!(Role { Admin => "admin", Analyst => "analyst", Viewer => "viewer" });

/// A person or program known to the service.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The id by which other systems know the user; unique.
    pub global_id: String,
    /// What the user is called.
    pub name: Name,
    /// The address that the user signs in with; absent for users without credentials.
    pub email: Option<Email>,
    /// What the user may do.
    pub role: Role,
    /// When the user was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}
