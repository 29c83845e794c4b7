//! Personal API keys, as their owner sees them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{KeyId, Timestamp, name::Name};

/// A key for a program that acts for its user. The key itself is shown once, when it is made.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ApiKey {
    /// The key's id.
    pub id: KeyId,
    /// What the key is for.
    #[schema(example = "notebook")]
    pub name: Name,
    /// How the key begins, to tell it from others.
    #[schema(example = "sfr_3fa85f64")]
    pub prefix: String,
    /// When the key was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When the key was last used, to the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
}
