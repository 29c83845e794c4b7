//! Master data: the seed of a new database, reading it, and changing it.

mod edit;

use safire_domain::{
    engine::{InputDocument, Quantity},
    master_data::{DefaultSet, Entry, Feedstock, MasterData},
    scenario::Pathway,
};
use sqlx::{FromRow, types::Json};

use crate::{Connection, Error, Result, connection::on};

pub(crate) use edit::write_prices;
pub use edit::{Edited, put_default_set, set_price};

#[derive(FromRow)]
struct DefaultRow {
    process: String,
    feedstock: String,
    country: String,
    inputs: Json<InputDocument>,
    notes: String,
}

impl From<DefaultRow> for DefaultSet {
    fn from(row: DefaultRow) -> Self {
        Self {
            pathway: Pathway { process: row.process, feedstock: row.feedstock, country: row.country },
            inputs: row.inputs.0,
            notes: lines(&row.notes),
        }
    }
}

macro_rules! lists {
    ($($field:ident),+) => {
        /// All master data, as one edition.
        pub async fn load(connection: &mut Connection) -> Result<MasterData> {
            connection.transaction(|c| Box::pin(async move {
                as_of_one_moment(c).await?;
                Ok(MasterData {
                    edition: edition(c).await?,
                    $($field: entries(c, concat!(
                        "SELECT code, name FROM ", stringify!($field), " ORDER BY position")).await?,)+
                    feedstocks: feedstocks(c).await?,
                    defaults: defaults(c).await?,
                })
            })).await
        }

        async fn insert_lists(connection: &mut Connection, seed: &MasterData) -> Result<()> {
            $(insert_entries(connection, concat!(
                "INSERT INTO ", stringify!($field), " (code, position, name) VALUES ($1, $2, $3)"), &seed.$field).await?;)+
            Ok(())
        }
    };
}

lists!(process_technologies, countries, utilities, products);

/// Lets the statements of a transaction see what one moment had, whatever is committed meanwhile.
async fn as_of_one_moment(connection: &mut Connection) -> Result<()> {
    match connection {
        Connection::Postgres(c) => {
            sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(c).await.map(drop)?;
        }
        // Nobody else writes meanwhile.
        Connection::Sqlite(_) => {}
    }
    Ok(())
}

/// The edition that the database holds.
async fn edition(connection: &mut Connection) -> Result<i64> {
    let edition: Option<i64> = on!(connection, c => {
        sqlx::query_scalar("SELECT edition FROM master_data").fetch_optional(c).await
    })?;
    edition.ok_or_else(never_seeded)
}

/// The default set of one pathway, if there is one, and the edition that it is of.
pub async fn defaults_of(connection: &mut Connection, pathway: &Pathway) -> Result<(i64, Option<DefaultSet>)> {
    let (edition, inputs, notes): (i64, Option<Json<InputDocument>>, Option<String>) = on!(connection, c => {
        sqlx::query_as(
            "SELECT m.edition, d.inputs, d.notes
             FROM master_data m
             LEFT JOIN default_sets d ON d.process = $1 AND d.feedstock = $2 AND d.country = $3",
        )
        .bind(&pathway.process)
        .bind(&pathway.feedstock)
        .bind(&pathway.country)
        .fetch_optional(c)
        .await
    })?
    .ok_or_else(never_seeded)?;
    let set = inputs.map(|inputs| DefaultSet {
        pathway: pathway.clone(),
        inputs: inputs.0,
        notes: lines(&notes.unwrap_or_default()),
    });
    Ok((edition, set))
}

fn lines(notes: &str) -> Vec<String> {
    notes.lines().map(str::to_owned).collect()
}

fn never_seeded() -> Error {
    Error::corrupt("master_data", "the database was never seeded")
}

/// Fills an empty database; one that holds master data is left as it is.
pub async fn seed(connection: &mut Connection, seed: &'static MasterData) -> Result<()> {
    connection
        .transaction(|c| {
            Box::pin(async move {
                if !claim_seeding(c, seed.edition).await? {
                    return Ok(());
                }
                insert_lists(c, seed).await?;
                insert_feedstocks(c, &seed.feedstocks).await?;
                insert_defaults(c, &seed.defaults).await
            })
        })
        .await
}

/// Writes the edition's row; of several processes that start together one gets `true`.
async fn claim_seeding(connection: &mut Connection, edition: i64) -> Result<bool> {
    let inserted = on!(connection, c => {
        sqlx::query("INSERT INTO master_data (id, edition) VALUES (1, $1) ON CONFLICT DO NOTHING")
            .bind(edition)
            .execute(c)
            .await
            .map(|done| done.rows_affected())
    })?;
    Ok(inserted == 1)
}

async fn entries(connection: &mut Connection, sql: &'static str) -> Result<Vec<Entry>> {
    let rows: Vec<(String, String)> = on!(connection, c => sqlx::query_as(sql).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(code, name)| Entry { code, name }).collect())
}

async fn insert_entries(connection: &mut Connection, sql: &'static str, entries: &[Entry]) -> Result<()> {
    for (position, entry) in (0i64..).zip(entries) {
        on!(&mut *connection, c => {
            sqlx::query(sql).bind(&entry.code).bind(position).bind(&entry.name).execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

#[derive(FromRow)]
struct FeedstockRow {
    code: String,
    name: String,
    carbon_content: Option<Json<Quantity>>,
    r#yield: Option<Json<Quantity>>,
}

impl From<FeedstockRow> for Feedstock {
    fn from(row: FeedstockRow) -> Self {
        Self {
            entry: Entry { code: row.code, name: row.name },
            carbon_content: row.carbon_content.map(|json| json.0),
            r#yield: row.r#yield.map(|json| json.0),
        }
    }
}

async fn feedstocks(connection: &mut Connection) -> Result<Vec<Feedstock>> {
    let rows: Vec<FeedstockRow> = on!(connection, c => {
        sqlx::query_as("SELECT code, name, carbon_content, yield FROM feedstocks ORDER BY position")
            .fetch_all(c)
            .await
    })?;
    Ok(rows.into_iter().map(Feedstock::from).collect())
}

async fn insert_feedstocks(connection: &mut Connection, feedstocks: &[Feedstock]) -> Result<()> {
    for (position, feedstock) in (0i64..).zip(feedstocks) {
        on!(&mut *connection, c => {
            sqlx::query(
                "INSERT INTO feedstocks (code, position, name, carbon_content, yield) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(&feedstock.entry.code)
            .bind(position)
            .bind(&feedstock.entry.name)
            .bind(feedstock.carbon_content.as_ref().map(Json))
            .bind(feedstock.r#yield.as_ref().map(Json))
            .execute(c)
            .await
            .map(drop)
        })?;
    }
    Ok(())
}

async fn defaults(connection: &mut Connection) -> Result<Vec<DefaultSet>> {
    let rows: Vec<DefaultRow> = on!(connection, c => {
        sqlx::query_as(
            "SELECT d.process, d.feedstock, d.country, d.inputs, d.notes
             FROM default_sets d
             JOIN process_technologies p ON p.code = d.process
             JOIN countries c ON c.code = d.country
             ORDER BY p.position, c.position, d.feedstock",
        )
        .fetch_all(c)
        .await
    })?;
    Ok(rows.into_iter().map(DefaultSet::from).collect())
}

async fn insert_defaults(connection: &mut Connection, sets: &[DefaultSet]) -> Result<()> {
    for set in sets {
        write_default_set(connection, set).await?;
    }
    Ok(())
}

/// Stores a set, in place of the one that its pathway has.
async fn write_default_set(connection: &mut Connection, set: &DefaultSet) -> Result<()> {
    on!(connection, c => {
        sqlx::query(
            "INSERT INTO default_sets (process, feedstock, country, inputs, notes)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (process, feedstock, country) DO UPDATE
             SET inputs = excluded.inputs, notes = excluded.notes",
        )
        .bind(&set.pathway.process)
        .bind(&set.pathway.feedstock)
        .bind(&set.pathway.country)
        .bind(Json(&set.inputs))
        .bind(set.notes.join("\n"))
        .execute(c)
        .await
        .map(drop)
    })?;
    Ok(())
}
