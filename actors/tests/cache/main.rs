//! The cache: one contract with and without Redis, replicas, and everything that can become of Redis.

mod contract;
mod outage;
mod replicas;

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use safire_actors::{
    Cache, Context, Faults, Settings, System,
    cache::{self, Dict, Load, LoadDict, RedisSettings, RedisTarget},
    calculations::{self, base_analysis},
    database, scenarios,
    supervisor::Policy,
};
use safire_domain::clock::SystemClock;
use safire_test_support::{BUSY, PATIENCE, TestDatabase};

const TTL: Duration = Duration::from_secs(3600);

/// The life of a value in memory: long, so that what a test sees is not its end.
const LOCAL_TTL: Duration = Duration::from_secs(60);

/// Requests that a cache admits at once.
const QUEUE: usize = 1000;

/// Makes the cache's actor panic once, when armed.
#[derive(Default)]
struct Trap(AtomicBool);

impl Faults for Trap {
    fn strike(&self, point: &'static str) {
        let springs = point == "cache" && self.0.swap(false, Ordering::SeqCst);
        assert!(!springs, "a trap");
    }
}

/// One process with a cache.
struct Replica {
    cache: Cache,
    trap: Arc<Trap>,
    loads: Arc<AtomicU32>,
    _system: System,
    _files: TestDatabase,
}

impl Replica {
    async fn alone() -> Self {
        Self::start(None).await
    }

    /// Connected to that Redis.
    async fn on(url: &str) -> Self {
        let replica = Self::toward(url, LOCAL_TTL).await;
        replica.is_connected().await;
        replica
    }

    /// Given that Redis, which may not be there.
    async fn toward(url: &str, local_ttl: Duration) -> Self {
        let target = RedisTarget::parse(url).expect("a URL");
        Self::start(Some(RedisSettings { target, local_ttl, deadline: Duration::from_millis(200) })).await
    }

    async fn start(redis: Option<RedisSettings>) -> Self {
        let files = TestDatabase::sqlite();
        files.prepared().await;
        let deadline = PATIENCE;
        let settings = Settings {
            database: database::Settings {
                target: files.target(),
                connections: 1,
                keep: database::Keep::default(),
                queue: 10,
                acquire_timeout: deadline,
                statement_timeout: deadline,
            },
            cache: cache::Settings { entries: 10_000, queue: QUEUE, deadline, redis },
            calculations: calculations::Settings { threads: 1, queue: 1, deadline, compute: base_analysis() },
            scenarios: scenarios::Settings { queue: 10, deadline },
            events: safire_actors::events::Settings::default(),
            feed: None,
            imports: safire_actors::imports::Settings::default(),
            policy: Policy::default(),
        };
        let trap = Arc::new(Trap::default());
        let context = Context { faults: Some(trap.clone()), ..Context::new(Arc::new(SystemClock)) };
        let system = System::start(settings, &context).await.expect("starts");
        Self { cache: system.cache.clone(), trap, loads: Arc::default(), _system: system, _files: files }
    }

    async fn is_connected(&self) {
        eventually("connected", || !self.cache.health().is_degraded()).await;
    }

    /// How many loads were begun.
    fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }

    /// A load that is counted and gives `value`.
    fn gives(&self, value: &str) -> Load {
        let (loads, value) = (Arc::clone(&self.loads), Bytes::from(value.to_owned()));
        Box::pin(async move {
            loads.fetch_add(1, Ordering::SeqCst);
            Ok(value)
        })
    }

    /// A load of a dict.
    fn gives_dict(&self, dict: &Dict) -> LoadDict {
        let (loads, dict) = (Arc::clone(&self.loads), dict.clone());
        Box::pin(async move {
            loads.fetch_add(1, Ordering::SeqCst);
            Ok(dict)
        })
    }

    /// The value of `key`, or `otherwise` from a load; must be answered, and soon.
    async fn read(&self, key: &str, otherwise: &str) -> String {
        let begun = Instant::now();
        let value = self.cache.get_or_load(key, TTL, || self.gives(otherwise)).await.expect("answers").expect("loads");
        assert!(begun.elapsed() < BUSY, "answered after {:?}", begun.elapsed());
        String::from_utf8(value.to_vec()).expect("text")
    }

    async fn read_dict(&self, name: &str, otherwise: &Dict) -> String {
        let loaded = self.cache.get_or_load_dict(name, TTL, || self.gives_dict(otherwise)).await;
        String::from_utf8(loaded.expect("answers").expect("loads").to_vec()).expect("text")
    }

    /// Starts a load of `key` that ends with `value` when told; returns once it runs.
    async fn slow_load(&self, key: &str, value: &'static str) -> SlowLoad {
        let (begin, begun) = tokio::sync::oneshot::channel();
        let (release, released) = tokio::sync::oneshot::channel();
        let load: Load = Box::pin(async move {
            let _ = begin.send(());
            let _ = released.await;
            Ok(Bytes::from(value))
        });
        let (cache, key) = (self.cache.clone(), key.to_owned());
        let caller = tokio::spawn(async move { cache.get_or_load(&key, TTL, || load).await });
        begun.await.expect("the load begins");
        SlowLoad { release, caller }
    }
}

struct SlowLoad {
    release: tokio::sync::oneshot::Sender<()>,
    caller: tokio::task::JoinHandle<Result<cache::Loaded, safire_actors::Unavailable>>,
}

impl SlowLoad {
    async fn finish(self) -> Bytes {
        self.release.send(()).expect("it waits");
        self.caller.await.unwrap().unwrap().unwrap()
    }
}

fn dict(pairs: &[(&str, &str)]) -> Dict {
    pairs.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect()
}

/// Waits until it holds; fails when that takes too long.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A server that accepts and never says a word.
async fn tarpit() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("redis://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
        pending::<()>().await;
    });
    url
}

/// A way to a server that can be cut and mended, while the server keeps what it has.
struct Gate {
    url: String,
    cut: tokio::sync::watch::Sender<bool>,
}

impl Gate {
    async fn to(port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("redis://{}/", listener.local_addr().expect("an address"));
        let (cut, is_cut) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut is_cut = is_cut.clone();
                tokio::spawn(async move {
                    let Ok(mut far) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = is_cut.wait_for(|&cut| cut) => {}
                    }
                });
            }
        });
        Self { url, cut }
    }
}
