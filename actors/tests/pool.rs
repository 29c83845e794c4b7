//! The connections to PostgreSQL: how many there are, how long they live, what breaks them, and who is served first.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use safire_actors::{
    Context, Database, Origin, Settings, System, cache,
    calculations::{self, base_analysis},
    database::{self, DatabaseError, Keep, Stats},
    limits::Subject,
    scenarios,
    slot::Why,
    supervisor::Policy,
};
use safire_domain::{UserId, clock::SystemClock};
use safire_store::{Connection, Target};
use safire_test_support::{BUSY, PATIENCE, TestDatabase};
use tokio::sync::watch;

const HOUR: Duration = Duration::from_secs(3600);

/// The longest that a statement may take.
const STATEMENT: Duration = Duration::from_secs(2);

/// The actors on a database of their own. The registry of scenarios may use a connection now and then.
struct Bench {
    database: Database,
    admin: tokio::sync::Mutex<Connection>,
    _system: System,
    _server: TestDatabase,
}

impl Bench {
    async fn start(connections: usize, keep: Keep) -> Self {
        Self::with(connections, keep, |_| {}).await
    }

    async fn with(connections: usize, keep: Keep, adapt: impl FnOnce(&mut database::Settings)) -> Self {
        let server = TestDatabase::postgres().await;
        let admin = server.prepared().await;
        let deadline = PATIENCE;
        let mut database = database::Settings {
            target: Target::parse(server.url(), STATEMENT).expect("a URL"),
            connections,
            keep,
            queue: 100,
            acquire_timeout: PATIENCE,
            statement_timeout: deadline,
        };
        adapt(&mut database);
        let settings = Settings {
            database,
            cache: cache::Settings { entries: 1, queue: 1, deadline, redis: None },
            calculations: calculations::Settings { threads: 1, queue: 1, deadline, compute: base_analysis() },
            scenarios: scenarios::Settings { queue: 10, deadline },
            events: safire_actors::events::Settings::default(),
            feed: None,
            imports: safire_actors::imports::Settings::default(),
            policy: Policy { budget: 100, first_delay: Duration::from_millis(1), ..Policy::default() },
        };
        let system = System::start(settings, &Context::new(Arc::new(SystemClock))).await.expect("starts");
        let bench = Self { database: system.database.clone(), admin: admin.into(), _system: system, _server: server };
        // The registry looks for abandoned runs when it starts, and then only now and then.
        bench.pid().await.expect("connects");
        bench.eventually("at rest", |stats| stats.checked_out == 0 && stats.waiters == 0).await;
        bench
    }

    /// The server's name of the connection that does this job.
    async fn pid(&self) -> Result<i32, DatabaseError> {
        pid(&self.database).await
    }

    /// Ends these connections at the server, all at once.
    async fn terminate(&self, pids: &[i32]) {
        let mut admin = self.admin.lock().await;
        let end = sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY($1)").bind(pids);
        end.execute(postgres(&mut admin)).await.expect("the administrator may");
        let left = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1)";
        while sqlx::query_scalar::<_, i64>(left).bind(pids).fetch_one(postgres(&mut admin)).await.unwrap() > 0 {}
    }

    /// Starts so many jobs that end when told.
    fn hold(&self, jobs: usize) -> Held {
        let (release, released) = watch::channel(false);
        let jobs = (0..jobs).map(|_| {
            let (database, mut released) = (self.database.clone(), released.clone());
            tokio::spawn(async move {
                let work = database.write(move |c| {
                    Box::pin(async move {
                        let _ = released.wait_for(|&released| released).await;
                        backend_pid(c).await
                    })
                });
                work.await
            })
        });
        Held { release, jobs: jobs.collect() }
    }

    async fn eventually(&self, what: &str, holds: impl Fn(Stats) -> bool) {
        let begun = Instant::now();
        while !holds(self.database.stats()) {
            assert!(begun.elapsed() < PATIENCE, "never {what}: {:?}", self.database.stats());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

struct Held {
    release: watch::Sender<bool>,
    jobs: Vec<tokio::task::JoinHandle<Result<i32, DatabaseError>>>,
}

impl Held {
    async fn finish(self) -> Vec<Result<i32, DatabaseError>> {
        self.release.send(true).expect("they wait");
        join_all(self.jobs).await.into_iter().map(|job| job.expect("no panic")).collect()
    }
}

fn postgres(connection: &mut Connection) -> &mut sqlx::PgConnection {
    match connection {
        Connection::Postgres(connection) => connection,
        Connection::Sqlite(_) => unreachable!("these tests have a server"),
    }
}

async fn backend_pid(connection: &mut Connection) -> safire_store::Result<i32> {
    Ok(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(postgres(connection)).await?)
}

async fn pid(database: &Database) -> Result<i32, DatabaseError> {
    database.write(|c| Box::pin(backend_pid(c))).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn overflow_connections_open_when_all_are_busy_and_close_when_idle() {
    let keep = Keep { overflow: 2, overflow_idle: Duration::from_millis(50), ..Keep::default() };
    let bench = Bench::start(2, keep).await;
    let held = bench.hold(5);
    let full = Stats { size: 4, checked_out: 4, idle: 0, overflow: 2, waiters: 1 };
    // Who looks for work may wait, too.
    let is_full = |stats: Stats| stats.waiters >= 1 && Stats { waiters: 1, ..stats } == full;
    bench.eventually("full with one waiting", is_full).await;
    for pid in held.finish().await {
        pid.expect("every job is done");
    }
    let rest = Stats { size: 2, checked_out: 0, idle: 2, overflow: 0, waiters: 0 };
    bench.eventually("at rest", |stats| stats == rest).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn under_little_load_few_connections_are_open() {
    let bench = Bench::start(20, Keep::default()).await;
    for _ in 0..100 {
        bench.pid().await.unwrap();
    }
    // More than one, because a worker answers its caller a little before it is free.
    assert!(bench.database.stats().size < 10, "{:?}", bench.database.stats());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn a_connection_of_age_is_replaced() {
    let bench = Bench::start(1, Keep { overflow: 0, recycle: Duration::from_millis(50), ..Keep::default() }).await;
    let first = bench.pid().await.unwrap();
    let begun = Instant::now();
    while bench.pid().await.expect("nobody notices") == first {
        assert!(begun.elapsed() < PATIENCE, "it lives for ever");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bench.eventually("one connection", |stats| stats.size == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn a_connection_that_died_while_idle_is_replaced_and_nobody_notices() {
    let bench = Bench::start(1, Keep { overflow: 0, test_after: Duration::ZERO, ..Keep::default() }).await;
    for _ in 0..5 {
        let pid = bench.pid().await.expect("connects");
        bench.terminate(&[pid]).await;
        assert_ne!(bench.pid().await.expect("nobody notices"), pid);
    }
    assert_eq!(bench.database.stats().size, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn when_one_connection_breaks_under_a_job_the_others_are_tested_first() {
    let bench = Bench::start(3, Keep { overflow: 0, test_after: HOUR, ..Keep::default() }).await;
    let all = async || -> Vec<_> {
        let held = bench.hold(3);
        bench.eventually("all busy", |stats| stats.checked_out == 3).await;
        held.finish().await
    };
    let begun = Instant::now();
    loop {
        let pids: Vec<_> = all().await.into_iter().flatten().collect();
        bench.terminate(&pids).await;
        if let Err(first) = bench.pid().await {
            assert!(matches!(first, DatabaseError::Store(safire_store::Error::Offline(_))), "{first:?}");
            break;
        }
        // The registry of scenarios, which has jobs of its own, met it before: once more.
        assert!(begun.elapsed() < PATIENCE, "no job meets a broken connection");
    }
    for pid in all().await {
        pid.expect("only the first job failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn a_statement_that_takes_too_long_or_fails_does_not_cost_the_connection() {
    let bench = Bench::start(1, Keep { overflow: 0, ..Keep::default() }).await;
    let pid = bench.pid().await.unwrap();
    for sql in ["SELECT pg_sleep(60)", "SELECT 1 / 0", "SELECT no_such_column"] {
        let begun = Instant::now();
        let failed = bench
            .database
            .write(move |c| {
                Box::pin(c.transaction(move |c| {
                    Box::pin(async move { Ok(sqlx::query(sql).execute(postgres(c)).await.map(drop)?) })
                }))
            })
            .await;
        assert!(matches!(failed, Err(DatabaseError::Store(safire_store::Error::Database(_)))), "{failed:?}");
        assert!(begun.elapsed() < STATEMENT + BUSY);
        assert_eq!(bench.pid().await.unwrap(), pid, "after {sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn a_job_that_panics_costs_its_connection_and_nothing_else() {
    let bench = Bench::start(1, Keep { overflow: 0, ..Keep::default() }).await;
    let failed = bench.database.write::<(), _>(|_| Box::pin(async { panic!("a defect") })).await;
    assert!(failed.is_err());
    bench.pid().await.expect("the next one is served");
    bench.eventually("counted", |stats| (stats.size, stats.checked_out) == (1, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn a_job_whose_caller_gave_up_is_not_run() {
    let bench = Bench::start(1, Keep { overflow: 0, ..Keep::default() }).await;
    let held = bench.hold(1);
    bench.eventually("busy", |stats| stats.checked_out == 1).await;
    let ran = Arc::new(AtomicBool::new(false));
    let job = bench.database.write({
        let ran = Arc::clone(&ran);
        move |_| {
            ran.store(true, Ordering::SeqCst);
            Box::pin(async { Ok(()) })
        }
    });
    tokio::select! {
        biased;
        done = job => panic!("the only connection is held: {done:?}"),
        // Who looks for work may wait, too.
        () = bench.eventually("waiting", |stats| stats.waiters >= 1) => {}
    }
    held.finish().await.pop().unwrap().unwrap();
    bench.pid().await.expect("a later job is done");
    assert!(!ran.load(Ordering::SeqCst));
    bench.eventually("nobody waits", |stats| stats.waiters == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn nobody_waits_longer_for_a_connection_than_the_acquire_timeout() {
    let keep = Keep { overflow: 0, ..Keep::default() };
    let bench = Bench::with(1, keep, |settings| settings.acquire_timeout = Duration::from_millis(200)).await;
    let held = bench.hold(1);
    bench.eventually("busy", |stats| stats.checked_out == 1).await;
    let begun = Instant::now();
    let refused = bench.pid().await;
    assert!(matches!(&refused, Err(DatabaseError::Unavailable(refused)) if refused.why == Why::Late), "{refused:?}");
    assert!(begun.elapsed() < BUSY, "{:?}", begun.elapsed());
    bench.eventually("nobody waits", |stats| stats.waiters == 0).await;
    held.finish().await.pop().unwrap().unwrap();
}

/// Users that ask, and the order in which they were served.
struct Askers<'a> {
    bench: &'a Bench,
    served: Arc<Mutex<Vec<Subject>>>,
}

impl Askers<'_> {
    fn ask(&self, who: Subject) -> tokio::task::JoinHandle<Result<(), DatabaseError>> {
        let (database, served) = (self.bench.database.clone(), Arc::clone(&self.served));
        let work = async move {
            let write = database.write(move |_| {
                Box::pin(async move {
                    served.lock().unwrap().push(who);
                    Ok(())
                })
            });
            write.await
        };
        let cause = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("a traceparent");
        tokio::spawn(Origin::new(None, cause).scope(Origin::asked_by(who, work)))
    }
}

fn two_users() -> [Subject; 2] {
    [1, 2].map(|number| Subject::User(UserId::from(uuid::Uuid::from_u128(number))))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn a_users_storm_does_not_hold_up_anothers_single_job() {
    let bench = Bench::start(1, Keep { overflow: 0, ..Keep::default() }).await;
    let askers = Askers { bench: &bench, served: Arc::default() };
    let [mallory, ana] = two_users();
    let held = bench.hold(1);
    bench.eventually("busy", |stats| stats.checked_out == 1).await;
    let mut jobs: Vec<_> = (0..50).map(|_| askers.ask(mallory)).collect();
    bench.eventually("a storm", |stats| stats.waiters >= 50).await;
    jobs.push(askers.ask(ana));
    bench.eventually("one more", |stats| stats.waiters >= 51).await;
    held.finish().await.pop().unwrap().unwrap();
    for job in jobs {
        job.await.unwrap().expect("all are served");
    }
    let served = askers.served.lock().unwrap();
    // Behind the one of Mallory's whose turn it was, and perhaps another that a worker had been given already.
    assert!(served[..3].contains(&ana), "served as number {:?}", served.iter().position(|who| *who == ana));
    assert_eq!(served.len(), 51);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn one_user_does_not_take_all_places_of_the_queue() {
    let keep = Keep { overflow: 0, ..Keep::default() };
    let bench = Bench::with(1, keep, |settings| settings.queue = 39).await;
    let askers = Askers { bench: &bench, served: Arc::default() };
    let [mallory, ana] = two_users();
    let held = bench.hold(1);
    bench.eventually("busy", |stats| stats.checked_out == 1).await;
    // Three quarters of forty.
    let mut jobs: Vec<_> = (0..30).map(|_| askers.ask(mallory)).collect();
    bench.eventually("a storm", |stats| stats.waiters >= 30).await;
    let refused = askers.ask(mallory).await.unwrap();
    assert!(matches!(&refused, Err(DatabaseError::Unavailable(refused)) if refused.why == Why::Full), "{refused:?}");
    jobs.push(askers.ask(ana));
    bench.eventually("one more", |stats| stats.waiters >= 31).await;
    held.finish().await.pop().unwrap().unwrap();
    for job in jobs {
        job.await.unwrap().expect("all others are served");
    }
    askers.ask(mallory).await.unwrap().expect("there is room again");
}
