//! The lease is renewed whatever the load.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use safire_actors::{
    Context, Settings, System, cache,
    calculations::{self, base_analysis},
    database::{self, Keep},
    scenarios,
    supervisor::Policy,
};
use safire_domain::{RunId, clock::SystemClock, run::base, user::Access};
use safire_store::{
    Connection, projects,
    runs::{self, Accepted, Ask, Lease, Request},
    scenarios as store, users,
};
use safire_test_support::{TestDatabase, analyst, now, project, scenario};
use tokio::runtime;

const LEASE: Duration = Duration::from_secs(6);
const BUSY: Duration = Duration::from_secs(12);
const CONNECTIONS: usize = 2;

fn settings(database: &TestDatabase) -> Settings {
    let deadline = BUSY * 2;
    Settings {
        database: database::Settings {
            target: database.target(),
            connections: CONNECTIONS,
            keep: Keep { overflow: 0, ..Keep::default() },
            queue: 100,
            acquire_timeout: deadline,
            statement_timeout: deadline,
        },
        cache: cache::Settings { entries: 1, queue: 1, deadline, redis: None },
        calculations: calculations::Settings { threads: 1, queue: 1, deadline, compute: base_analysis() },
        scenarios: scenarios::Settings { queue: 10, deadline },
        events: safire_actors::events::Settings::default(),
        feed: None,
        imports: safire_actors::imports::Settings::default(),
        policy: Policy::default(),
    }
}

/// Seconds until the lease of the only run ends, and until when it lasts, by the database's clock.
async fn left(rows: &mut Connection) -> (f64, f64) {
    let Connection::Postgres(c) = rows else { panic!("on PostgreSQL") };
    sqlx::query_as(
        "SELECT CAST(EXTRACT(EPOCH FROM lease_until - clock_timestamp()) AS DOUBLE PRECISION),
                CAST(EXTRACT(EPOCH FROM lease_until) AS DOUBLE PRECISION)
         FROM runs",
    )
    .fetch_one(c)
    .await
    .unwrap()
}

#[test]
#[ignore = "needs PostgreSQL: run ./test"]
fn a_lease_is_renewed_when_every_connection_and_every_worker_is_busy() {
    let service = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let witness = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (database, mut rows) = witness.block_on(async {
        let database = TestDatabase::postgres().await;
        let rows = database.prepared().await;
        (database, rows)
    });
    let context = Context { lease: LEASE, ..Context::new(Arc::new(SystemClock)) };
    let system = service.block_on(System::start(settings(&database), &context)).unwrap();
    witness.block_on(async {
        let user = analyst();
        users::insert(&mut rows, &user, None).await.unwrap();
        let project = project(&user);
        let scenario = scenario(&project);
        projects::insert(&mut rows, &project).await.unwrap();
        store::insert(&mut rows, Access::of(&user), &scenario).await.unwrap();
        let lease = Lease { owner: context.node, length: LEASE };
        let (access, run, now) = (Access::of(&user), RunId::new(now()), now());
        let request = Request {
            access,
            key: None,
            scenario: scenario.id,
            ask: Ask::Analysis(Box::new(base())),
            inputs: None,
            versions: None,
            run,
            lease,
            now,
        };

        for _ in 0..CONNECTIONS {
            let database = system.database.clone();
            service.spawn(async move {
                let busy = database.write(|c| {
                    Box::pin(async move {
                        let Connection::Postgres(c) = c else { panic!("on PostgreSQL") };
                        let sleep = sqlx::query("SELECT pg_sleep($1)").bind(BUSY.as_secs_f64());
                        Ok(sleep.execute(c).await.map(drop)?)
                    })
                });
                busy.await
            });
        }
        while system.database.stats().checked_out < CONNECTIONS {
            tokio::task::yield_now().await;
        }
        // More than there are workers, so that none is left for anybody else.
        for _ in 0..8 {
            service.spawn(async { std::thread::sleep(BUSY) });
        }
        let accepted = runs::accept(&mut rows, request).await.unwrap();
        assert!(matches!(accepted, Accepted::New(..)), "{accepted:?}");

        let ((_, first), begun) = (left(&mut rows).await, Instant::now());
        loop {
            let (left, until) = left(&mut rows).await;
            assert!(left > 0.0, "the lease ended {left} s ago");
            // It has outlived its first length.
            if until > first + LEASE.as_secs_f64() {
                break;
            }
            assert!(begun.elapsed() < BUSY, "the lease is not renewed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    service.shutdown_background();
}
