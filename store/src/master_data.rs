//! Master data and the seed of a new database.

use safire_domain::{
    engine::InputDocument,
    master_data::{DefaultSet, Entry, MasterData},
    scenario::Pathway,
};
use sqlx::{FromRow, types::Json};

use crate::{Connection, Error, Result, connection::on};

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
            notes: row.notes.lines().map(str::to_owned).collect(),
        }
    }
}

macro_rules! lists {
    ($($field:ident),+) => {
        /// All master data, as one edition.
        pub async fn load(connection: &mut Connection) -> Result<MasterData> {
            connection.transaction(|c| Box::pin(async move {
                Ok(MasterData {
                    edition: edition(c).await?,
                    $($field: entries(c, concat!(
                        "SELECT code, name FROM ", stringify!($field), " ORDER BY position")).await?,)+
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

lists!(process_technologies, feedstocks, countries, utilities, products);

/// The edition that the database holds.
pub async fn edition(connection: &mut Connection) -> Result<i64> {
    let edition: Option<i64> = on!(connection, c => {
        sqlx::query_scalar("SELECT edition FROM master_data").fetch_optional(c).await
    })?;
    edition.ok_or_else(|| Error::corrupt("master_data", "the database was never seeded"))
}

/// The default set of one pathway, if there is one.
pub async fn default_set(connection: &mut Connection, pathway: &Pathway) -> Result<Option<InputDocument>> {
    let inputs: Option<Json<InputDocument>> = on!(connection, c => {
        sqlx::query_scalar("SELECT inputs FROM default_sets WHERE process = $1 AND feedstock = $2 AND country = $3")
            .bind(&pathway.process)
            .bind(&pathway.feedstock)
            .bind(&pathway.country)
            .fetch_optional(c)
            .await
    })?;
    Ok(inputs.map(|json| json.0))
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
        on!(&mut *connection, c => {
            sqlx::query(
                "INSERT INTO default_sets (process, feedstock, country, inputs, notes)
                 VALUES ($1, $2, $3, $4, $5)",
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
    }
    Ok(())
}
