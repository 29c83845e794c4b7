//! Attempts to sign in, counted by address whether or not it has an account.

use chrono::TimeDelta;
use safire_domain::{Timestamp, UserId, name::Email};

use crate::{Connection, Result, connection::on};

/// Attempts that may fail before an address is blocked.
const FREE: u32 = 5;

/// The longest that an address is blocked.
const LONGEST: TimeDelta = TimeDelta::minutes(15);

/// How long failures are remembered.
const MEMORY: TimeDelta = TimeDelta::hours(24);

/// Whether an attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Yes; it counts as failed until it is forgiven.
    Allowed,
    /// No, not before then.
    Blocked(Timestamp),
}

/// Counts an attempt to sign in before it is made, so that attempts made at once all count.
pub async fn attempt(connection: &mut Connection, email: &Email, now: Timestamp) -> Result<Attempt> {
    let email = email.clone();
    connection.transaction(move |c| Box::pin(async move { count(c, &email, now).await })).await
}

async fn count(connection: &mut Connection, email: &Email, now: Timestamp) -> Result<Attempt> {
    let (mut failures, failed_at, blocked_until) = lock(connection, email, now).await?;
    if let Some(until) = blocked_until.filter(|until| *until > now) {
        return Ok(Attempt::Blocked(until));
    }
    if failed_at < now - MEMORY {
        failures = 0;
    }
    failures += 1;
    on!(connection, c => {
        sqlx::query("UPDATE login_failures SET failures = $2, failed_at = $3, blocked_until = $4 WHERE email = $1")
            .bind(email.as_str())
            .bind(failures)
            .bind(now)
            .bind(delay(failures).map(|delay| now + delay))
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(Attempt::Allowed)
}

type Failures = (i64, Timestamp, Option<Timestamp>);

/// The address's failures, which nobody else counts until the transaction ends.
async fn lock(connection: &mut Connection, email: &Email, now: Timestamp) -> Result<Failures> {
    Ok(on!(connection, c => {
        sqlx::query_as(
            "INSERT INTO login_failures (email, failures, failed_at)
             VALUES ($1, 0, $2)
             ON CONFLICT (email) DO UPDATE SET failures = login_failures.failures
             RETURNING failures, failed_at, blocked_until",
        )
        .bind(email.as_str())
        .bind(now)
        .fetch_one(c)
        .await
    })?)
}

/// How long an address is blocked after its n-th failure: 1 s after the fifth, then twice as long
/// each time.
fn delay(failures: i64) -> Option<TimeDelta> {
    let beyond = u32::try_from(failures).unwrap_or(u32::MAX).checked_sub(FREE)?;
    let seconds = 1_i64.checked_shl(beyond.min(32)).unwrap_or(i64::MAX);
    Some(TimeDelta::seconds(seconds).min(LONGEST))
}

/// Forgets an address's failures, for it has signed in, and all that are too old to count.
pub async fn forgive(connection: &mut Connection, email: &Email, now: Timestamp) -> Result<()> {
    on!(connection, c => {
        sqlx::query("DELETE FROM login_failures WHERE email = $1 OR failed_at < $2")
            .bind(email.as_str())
            .bind(now - MEMORY)
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

/// Replaces a password's hash by another of the same password, unless the password has changed.
pub async fn rehash(connection: &mut Connection, user: UserId, old: &str, new: &str) -> Result<()> {
    on!(connection, c => {
        sqlx::query("UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2")
            .bind(user.uuid())
            .bind(old)
            .bind(new)
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_from_the_fifth_failure_up_to_a_quarter_of_an_hour() {
        let seconds = |failures| delay(failures).map(|delay| delay.num_seconds());
        assert_eq!((1..=4).filter_map(seconds).count(), 0);
        assert_eq!([5, 6, 7, 14, 15, 16, i64::MAX].map(seconds), [1, 2, 4, 512, 900, 900, 900].map(Some));
    }
}
