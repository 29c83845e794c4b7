//! Which part of a list.

use uuid::Uuid;

/// Up to `limit` entries, after `skip` of those that follow `after` in the order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window<K> {
    /// The entry to begin after; none begins at the beginning.
    pub after: Option<K>,
    /// Entries to pass over.
    pub skip: i64,
    /// Entries to return.
    pub limit: i64,
}

impl<K> Window<K> {
    /// The first `limit` entries.
    pub fn first(limit: i64) -> Self {
        Self { after: None, skip: 0, limit }
    }
}

impl<K: Into<Uuid>> Window<K> {
    /// What the ids are greater than, oldest first: an id that is bound leads PostgreSQL to the index,
    /// where "is it NULL?" would not.
    pub(crate) fn above(self) -> Uuid {
        self.after.map_or(Uuid::nil(), K::into)
    }

    /// What the ids are less than, newest first.
    pub(crate) fn below(self) -> Uuid {
        self.after.map_or(Uuid::max(), K::into)
    }
}
