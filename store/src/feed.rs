//! The feed: messages of other systems taken in, each once, and who publishes what happened here.

use std::{collections::HashMap, time::Duration};

use safire_domain::{
    NodeId, Timestamp,
    event::{Kind, NewEvent},
    price::NewPrice,
};
use serde_json::{Map, Value};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

use crate::{Connection, Error, Result, connection::on, events, master_data};

/// Alerts that are kept.
pub const ALERTS: i64 = 100;

/// A message of another system, and where it stands in its topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// The topic.
    pub topic: String,
    /// The partition of the topic.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// What it says.
    pub content: Content,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Something has a new price.
    Price(NewPrice),
    /// Operators are to be alerted.
    Alert {
        /// The alert's own id.
        id: Uuid,
        /// The whole of it.
        body: Map<String, Value>,
    },
    /// Nothing that is understood.
    Nothing,
}

/// What came of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenIn {
    /// Messages that were new.
    pub new: usize,
    /// Messages that had been taken in before.
    pub repeated: usize,
    /// Default sets that have changed.
    pub changed_sets: usize,
}

/// Does what new messages say, in one transaction that also notes how far they were taken in.
pub async fn take_in(connection: &mut Connection, messages: Vec<Incoming>, now: Timestamp) -> Result<TakenIn> {
    connection.transaction(move |c| Box::pin(take_in_within(c, messages, now))).await
}

async fn take_in_within(connection: &mut Connection, messages: Vec<Incoming>, now: Timestamp) -> Result<TakenIn> {
    let mut next: HashMap<(String, i32), i64> = HashMap::new();
    let (mut taken, mut prices) = (TakenIn::default(), Vec::new());
    let mut alerts = 0;
    for message in messages {
        let place = (message.topic, message.partition);
        let known = match next.get(&place) {
            Some(known) => *known,
            None => lock_offset(connection, &place).await?,
        };
        if message.offset < known {
            taken.repeated += 1;
            next.insert(place, known);
            continue;
        }
        next.insert(place, message.offset + 1);
        taken.new += 1;
        match message.content {
            Content::Price(price) => prices.push(price),
            Content::Alert { id, body } => {
                insert_alert(connection, id, body, now).await?;
                alerts += 1;
            }
            Content::Nothing => {}
        }
    }
    if !prices.is_empty() {
        let changed = master_data::write_prices(connection, &prices).await?;
        for pathway in &changed {
            events::append_stale(connection, pathway, now).await?;
        }
        taken.changed_sets = changed.len();
    }
    if alerts > 0 {
        forget_old_alerts(connection).await?;
    }
    for ((topic, partition), next) in next {
        write_offset(connection, &topic, partition, next).await?;
    }
    Ok(taken)
}

/// The first offset that was not taken in; whoever else asks waits until the transaction ends.
async fn lock_offset(connection: &mut Connection, (topic, partition): &(String, i32)) -> Result<i64> {
    Ok(on!(connection, c => {
        sqlx::query_scalar(
            "INSERT INTO feed_offsets (topic, part, next)
             VALUES ($1, $2, 0)
             ON CONFLICT (topic, part) DO UPDATE
             SET next = feed_offsets.next
             RETURNING next",
        )
        .bind(topic)
        .bind(i64::from(*partition))
        .fetch_one(c)
        .await
    })?)
}

async fn write_offset(connection: &mut Connection, topic: &str, partition: i32, next: i64) -> Result<()> {
    on!(connection, c => {
        sqlx::query("UPDATE feed_offsets SET next = $3 WHERE topic = $1 AND part = $2")
            .bind(topic)
            .bind(i64::from(partition))
            .bind(next)
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

async fn insert_alert(connection: &mut Connection, id: Uuid, body: Map<String, Value>, now: Timestamp) -> Result<()> {
    on!(&mut *connection, c => {
        sqlx::query("INSERT INTO alerts (id, at, body) VALUES ($1, $2, $3)")
            .bind(id)
            .bind(now)
            .bind(Json(&body))
            .execute(c)
            .await
            .map(drop)
    })?;
    events::append(connection, &NewEvent { body, ..NewEvent::new(Kind::Alerted, now) }).await
}

async fn forget_old_alerts(connection: &mut Connection) -> Result<()> {
    on!(connection, c => {
        sqlx::query("DELETE FROM alerts WHERE id NOT IN (SELECT id FROM alerts ORDER BY id DESC LIMIT $1)")
            .bind(ALERTS)
            .execute(c)
            .await
            .map(drop)
    })?;
    Ok(())
}

#[derive(FromRow)]
struct AlertRow {
    id: Uuid,
    at: Timestamp,
    body: Json<Map<String, Value>>,
}

/// An alert that was taken in.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its id.
    pub id: Uuid,
    /// When it was taken in.
    pub at: Timestamp,
    /// The whole of it.
    pub body: Map<String, Value>,
}

/// The newest alerts, newest first.
pub async fn alerts(connection: &mut Connection) -> Result<Vec<Alert>> {
    let rows: Vec<AlertRow> = on!(connection, c => {
        sqlx::query_as("SELECT id, at, body FROM alerts ORDER BY id DESC LIMIT $1").bind(ALERTS).fetch_all(c).await
    })?;
    Ok(rows.into_iter().map(|AlertRow { id, at, body }| Alert { id, at, body: body.0 }).collect())
}

/// Whether this process publishes for the next while; the one that does goes on. On SQLite there is no other.
pub async fn may_publish(connection: &mut Connection, node: NodeId, length: Duration) -> Result<bool> {
    let Connection::Postgres(c) = connection else { return Ok(true) };
    let taken = sqlx::query(
        "UPDATE feed_publisher
         SET owner = $1, until = clock_timestamp() + $2 * INTERVAL '1 second'
         WHERE owner IS NULL OR owner = $1 OR until < clock_timestamp()",
    )
    .bind(node.uuid())
    .bind(length.as_secs_f64())
    .execute(c)
    .await
    .map_err(Error::from)?;
    Ok(taken.rows_affected() == 1)
}
