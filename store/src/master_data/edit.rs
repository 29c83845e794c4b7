//! Changes of the master data: each is one transaction and one edition, one after the other.

use futures::future::BoxFuture;
use safire_domain::{master_data::DefaultSet, price::NewPrice, scenario::Pathway};

use super::{defaults, defaults_of, never_seeded, write_default_set};
use crate::{Connection, Result, connection::on};

/// How a change of the master data ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited<T> {
    /// The master data is as it was asked for.
    Done {
        /// The edition that has it: a new one when there was something to write.
        edition: i64,
        /// What the change came upon.
        found: T,
    },
    /// The edition that was expected is no longer there; nothing was written.
    Stale {
        /// The edition that is there.
        edition: i64,
    },
}

/// Stores a default set, if `allows` says so of the edition of the one that there is; `true` when its pathway had none
/// before.
pub async fn put_default_set(
    connection: &mut Connection,
    set: DefaultSet,
    allows: impl FnOnce(Option<i64>) -> bool + Send + 'static,
) -> Result<Edited<bool>> {
    let edited = edit(connection, None, |c| {
        Box::pin(async move {
            let (edition, before) = defaults_of(c, &set.pathway).await?;
            if !allows(before.as_ref().map(|_| edition)) {
                return Ok((false, None));
            }
            if before.as_ref() == Some(&set) {
                return Ok((false, Some(false)));
            }
            write_default_set(c, &set).await?;
            Ok((true, Some(before.is_none())))
        })
    });
    Ok(match edited.await? {
        Edited::Done { edition, found: Some(is_new) } => Edited::Done { edition, found: is_new },
        Edited::Done { edition, found: None } | Edited::Stale { edition } => Edited::Stale { edition },
    })
}

/// Writes a price into every default set that it is meant for, if the edition is the expected one, and
/// says which sets these are.
pub async fn set_price(
    connection: &mut Connection,
    price: NewPrice,
    expected: Option<Vec<i64>>,
) -> Result<Edited<Vec<Pathway>>> {
    edit(connection, expected, |c| {
        Box::pin(async move {
            let (mut has_changed, mut found) = (false, Vec::new());
            for before in defaults(c).await? {
                let mut set = before.clone();
                if !price.write(&mut set) {
                    continue;
                }
                if set != before {
                    write_default_set(c, &set).await?;
                    has_changed = true;
                }
                found.push(set.pathway);
            }
            Ok((has_changed, found))
        })
    })
    .await
}

/// Writes prices into every default set that they are meant for, in the caller's transaction, as one edition; of two
/// prices for the same figure the later counts. Returns the pathways whose set has changed.
pub(crate) async fn write_prices(connection: &mut Connection, prices: &[NewPrice]) -> Result<Vec<Pathway>> {
    lock(connection).await?;
    let mut changed = Vec::new();
    for before in defaults(connection).await? {
        let mut set = before.clone();
        for price in prices {
            price.write(&mut set);
        }
        if set != before {
            write_default_set(connection, &set).await?;
            changed.push(set.pathway);
        }
    }
    if !changed.is_empty() {
        next(connection).await?;
    }
    Ok(changed)
}

/// Runs `work`, which says whether it changed anything, while nobody else changes the master data.
async fn edit<T, W>(connection: &mut Connection, expected: Option<Vec<i64>>, work: W) -> Result<Edited<T>>
where
    T: Send + 'static,
    W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<(bool, T)>> + Send + 'static,
{
    connection
        .transaction(|c| {
            Box::pin(async move {
                let edition = lock(c).await?;
                if expected.is_some_and(|any| !any.contains(&edition)) {
                    return Ok(Edited::Stale { edition });
                }
                let (has_changed, found) = work(c).await?;
                let edition = if has_changed { next(c).await? } else { edition };
                Ok(Edited::Done { edition, found })
            })
        })
        .await
}

/// The edition, which nobody else changes until the transaction ends. An update that changes nothing
/// locks the row on both engines.
async fn lock(connection: &mut Connection) -> Result<i64> {
    let edition: Option<i64> = on!(connection, c => {
        sqlx::query_scalar("UPDATE master_data SET edition = edition WHERE id = 1 RETURNING edition")
            .fetch_optional(c)
            .await
    })?;
    edition.ok_or_else(never_seeded)
}

async fn next(connection: &mut Connection) -> Result<i64> {
    Ok(on!(connection, c => {
        sqlx::query_scalar("UPDATE master_data SET edition = edition + 1 WHERE id = 1 RETURNING edition")
            .fetch_one(c)
            .await
    })?)
}
