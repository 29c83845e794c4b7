//! The same read, at 200 callers: through the database actor, and on a shared sqlx pool of as many
//! connections used directly. Prints ratios of one run; PostgreSQL is the one of `DATABASE_URL`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use safire_actors::{
    Context, Settings, System, cache,
    calculations::{self, base_analysis},
    database, scenarios,
    supervisor::Policy,
};
use safire_domain::{ProjectId, clock::SystemClock, user::Access};
use safire_store::{projects, users};
use safire_test_support::{TestDatabase, analyst, project};
use sqlx::{PgPool, SqlitePool, postgres::PgPoolOptions, sqlite::SqlitePoolOptions};
use uuid::Uuid;

const CALLERS: usize = 200;
const READS: usize = 100;
const ROUNDS: usize = 9;

/// The columns of a project, as the store reads them.
type Row = (Uuid, Uuid, String, String, i64, DateTime<Utc>, DateTime<Utc>);

/// The store's own text.
const SQL: &str = "SELECT p.id, p.owner_id, p.name, p.description, p.version, p.created_at, p.updated_at
             FROM projects p
             WHERE p.id = $3 AND ($2 OR p.owner_id = $1 OR EXISTS (
                 SELECT 1
                 FROM users me
                 JOIN users mate ON mate.zone_id = me.zone_id
                 WHERE me.id = $1 AND mate.id = p.owner_id))";

#[tokio::main]
async fn main() {
    compare("SQLite, 4 readers", &TestDatabase::sqlite(), 4).await;
    compare("PostgreSQL, 20 connections", &TestDatabase::postgres().await, 20).await;
}

/// A way to read a project.
#[derive(Clone)]
enum Reader {
    Actor(Arc<System>),
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl Reader {
    async fn pool(url: &str, connections: usize, ping: bool) -> Self {
        let most = u32::try_from(connections).expect("a small number");
        if url.starts_with("postgres") {
            let options = PgPoolOptions::new().max_connections(most).test_before_acquire(ping);
            Self::Postgres(options.connect(url).await.expect("connects"))
        } else {
            let options = SqlitePoolOptions::new().max_connections(most).test_before_acquire(ping);
            Self::Sqlite(options.connect(url).await.expect("connects"))
        }
    }

    async fn read(&self, id: ProjectId, access: Access) {
        let (user, admin) = (access.user.uuid(), access.is_admin());
        let row: Option<Row> = match self {
            Self::Actor(system) => {
                let found = system.database.read(move |c| Box::pin(projects::find(c, access, id))).await;
                found.expect("reads").expect("is there");
                return;
            }
            Self::Postgres(pool) => {
                sqlx::query_as(SQL).bind(user).bind(admin).bind(id.uuid()).fetch_optional(pool).await
            }
            Self::Sqlite(pool) => sqlx::query_as(SQL).bind(user).bind(admin).bind(id.uuid()).fetch_optional(pool).await,
        }
        .expect("reads");
        row.expect("is there");
    }

    /// Reads per second of all callers together.
    async fn rate(&self, ids: &Arc<[ProjectId]>, access: Access) -> f64 {
        let begun = Instant::now();
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (reader, ids) = (self.clone(), Arc::clone(ids));
                tokio::spawn(async move {
                    for n in 0..READS {
                        reader.read(ids[(caller * 31 + n) % ids.len()], access).await;
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.expect("no caller fails");
        }
        (CALLERS * READS) as f64 / begun.elapsed().as_secs_f64()
    }
}

async fn compare(name: &str, database: &TestDatabase, connections: usize) {
    let (user, ids) = fill(database).await;
    let system = Arc::new(start(database, connections).await);
    let actor = Reader::Actor(Arc::clone(&system));
    let pool = Reader::pool(database.url(), connections, true).await;
    let bare = Reader::pool(database.url(), connections, false).await;

    let (mut to_pool, mut to_bare, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let rate = actor.rate(&ids, user).await;
        to_pool.push(rate / pool.rate(&ids, user).await);
        to_bare.push(rate / bare.rate(&ids, user).await);
        rates.push(rate);
    }
    println!("{name}, {CALLERS} callers, median of {ROUNDS} rounds:");
    println!("  database actor / sqlx pool, its defaults       {:.2} x", median(to_pool));
    println!("  database actor / sqlx pool without its ping    {:.2} x", median(to_bare));
    println!("  database actor                                 {:.0} reads/s", median(rates));
    system.stop().await.expect("stops");
}

async fn fill(database: &TestDatabase) -> (Access, Arc<[ProjectId]>) {
    let mut c = database.prepared().await;
    let user = analyst();
    users::insert(&mut c, &user, None).await.expect("inserts");
    let mut ids = Vec::new();
    for _ in 0..1000 {
        let project = project(&user);
        projects::insert(&mut c, &project).await.expect("inserts");
        ids.push(project.id);
    }
    (Access::of(&user), ids.into())
}

async fn start(database: &TestDatabase, connections: usize) -> System {
    let deadline = Duration::from_secs(10);
    let settings = Settings {
        database: database::Settings {
            target: database.target(),
            connections,
            keep: database::Keep { overflow: 0, ..database::Keep::default() },
            queue: 1000,
            acquire_timeout: deadline,
            statement_timeout: deadline,
        },
        cache: cache::Settings { entries: 1, queue: 1, deadline, redis: None },
        calculations: calculations::Settings { threads: 1, queue: 1, deadline, compute: base_analysis() },
        scenarios: scenarios::Settings { queue: 1, deadline },
        imports: safire_actors::imports::Settings::default(),
        policy: Policy::default(),
    };
    System::start(settings, &Context::new(Arc::new(SystemClock))).await.expect("starts")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
