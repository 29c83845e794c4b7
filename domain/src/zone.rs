//! Zones: working groups whose members see each other's projects.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Timestamp,
    name::{Description, Name, ZoneId},
};

/// A working group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Zone {
    /// The zone's id, chosen by whoever made it.
    pub zone_id: ZoneId,
    /// What it is called.
    #[schema(example = "Fuels, north")]
    pub name: Name,
    /// What it is about.
    #[schema(example = "Everybody in the northern office")]
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
