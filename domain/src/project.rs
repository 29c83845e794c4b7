//! Projects: a user's folders of scenarios.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ProjectId, Timestamp, UserId,
    name::{Description, Name},
};

/// A folder of scenarios that answer one question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// The project's id.
    pub id: ProjectId,
    /// Whose it is.
    pub owner_id: UserId,
    /// What it is called.
    pub name: Name,
    /// What it is about.
    pub description: Description,
    /// Counts the changes.
    pub version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}
