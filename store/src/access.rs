//! Who may see and who may change what belongs to a project: the one place that says so in SQL.
//!
//! Every statement that depends on it takes `$1`, the user who asks, and `$2`, whether they are an
//! administrator; which zone they are in is read by the statement itself, so that a transfer counts
//! at once. For a statement that changes something `$1` is NULL when the user only reads.

use safire_domain::user::Access;
use uuid::Uuid;

/// Whether the project `p` is the user's, a zone mate's, or the user sees everything.
macro_rules! readable {
    () => {
        "($2 OR p.owner_id = $1 OR EXISTS (
             SELECT 1
             FROM users me
             JOIN users mate ON mate.zone_id = me.zone_id
             WHERE me.id = $1 AND mate.id = p.owner_id))"
    };
}
pub(crate) use readable;

/// The same for lists of those who are no administrators, as the users whose projects are readable: an
/// index leads from them to the projects.
macro_rules! visible_owners {
    () => {
        "(SELECT $1
          UNION
          SELECT mate.id FROM users me JOIN users mate ON mate.zone_id = me.zone_id WHERE me.id = $1)"
    };
}
pub(crate) use visible_owners;

/// Whether the user `u` is the one who asks, a zone mate, or the one who asks sees everybody.
macro_rules! visible_user {
    () => {
        "($2 OR u.id = $1 OR u.zone_id = (SELECT me.zone_id FROM users me WHERE me.id = $1))"
    };
}
pub(crate) use visible_user;

/// Whether the user may change the project `p`.
macro_rules! writable {
    () => {
        "($2 OR p.owner_id = $1)"
    };
}
pub(crate) use writable;

/// `$1` of a statement that changes something.
pub(crate) fn writer(access: Access) -> Option<Uuid> {
    access.writer().map(|user| user.uuid())
}

/// What a user may do with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// For them it does not exist.
    None,
    /// They may see it.
    Read,
    /// They may change it.
    Write,
}

impl Right {
    /// The right over what belongs to `owner`; without one, the user may not see it.
    pub(crate) fn over(access: Access, owner: Option<Uuid>) -> Self {
        match owner {
            None => Self::None,
            Some(owner) if access.may_write(owner.into()) => Self::Write,
            Some(_) => Self::Read,
        }
    }
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is stored.
    Yes,
    /// The version that was read is no longer there; nothing was written.
    Stale,
    /// The user may see the resource but not change it.
    Forbidden,
    /// For the user there is no such resource.
    Unknown,
}

impl Written {
    /// What a write that changed no row means.
    pub fn refused(right: Right) -> Self {
        match right {
            Right::None => Self::Unknown,
            Right::Read => Self::Forbidden,
            Right::Write => Self::Stale,
        }
    }
}

/// Whether a resource has none of the versions that are expected, where any are.
pub(crate) fn is_stale(expected: Option<&[i64]>, version: i64) -> bool {
    expected.is_some_and(|versions| !versions.contains(&version))
}

/// How a removal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Gone, with everything below it.
    Removed,
    /// It has none of the versions that were expected; nothing was removed.
    Stale,
    /// A calculation is in motion below it; nothing was removed.
    InMotion,
    /// The user may see it but not remove it.
    Forbidden,
    /// For the user there was nothing to remove.
    Unknown,
}

impl Removal {
    /// What a removal that removed no row means.
    pub(crate) fn refused(right: Right) -> Self {
        match right {
            Right::None => Self::Unknown,
            Right::Read => Self::Forbidden,
            Right::Write => Self::InMotion,
        }
    }
}
