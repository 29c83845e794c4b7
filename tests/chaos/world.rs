//! What one test has to itself: a database, servers, people, a history, a seed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use reqwest::Method;
use safire::{
    config::{Config, Limits, SecretUrl},
    service::{Parts, Service},
};
use safire_test_support::{TestPostgres, TestRedis};
pub use safire_test_support::{dose, full, promised};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    driver::Hand,
    history::History,
    server::{PATIENCE, Place, Server},
};

const SECRET: &str = "a key that only the tests of Safire know";

/// The world of one test.
pub struct World {
    pub name: &'static str,
    pub seed: u64,
    pub history: Arc<History>,
    pub files: TempDir,
    postgres: Option<Mutex<TestPostgres>>,
    redis: Option<TestRedis>,
    /// The longest that an answer may be waited for.
    pub patience: Duration,
}

impl World {
    /// On a file.
    pub fn on_sqlite(name: &'static str) -> Self {
        Self::new(name, None)
    }

    /// On a PostgreSQL of its own.
    pub fn on_postgres(name: &'static str) -> Self {
        Self::new(name, Some(Mutex::new(TestPostgres::start())))
    }

    fn new(name: &'static str, postgres: Option<Mutex<TestPostgres>>) -> Self {
        let given = std::env::var("SAFIRE_CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| rand::random_range(0..1_000_000));
        let history = Arc::new(History::new(name, seed));
        eprintln!("{name}: SAFIRE_CHAOS_SEED={seed}, history in {}", history.path().display());
        let files = tempfile::tempdir().expect("a temporary directory");
        Self { name, seed, history, files, postgres, redis: None, patience: Duration::from_secs(40) }
    }

    pub fn with_redis(self) -> Self {
        Self { redis: Some(TestRedis::start()), ..self }
    }

    pub fn redis(&mut self) -> &mut TestRedis {
        self.redis.as_mut().expect("it has a Redis")
    }

    /// A source of chance that the seed decides.
    pub fn rng(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }

    pub fn postgres(&self) -> MutexGuard<'_, TestPostgres> {
        let postgres = self.postgres.as_ref().expect("it is on PostgreSQL");
        postgres.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn url(&self) -> String {
        match &self.postgres {
            Some(_) => self.postgres().url(),
            None => format!("sqlite://{}", self.files.path().join("safire.db").display()),
        }
    }

    /// A place for a server on the database, with these settings beside those of every test.
    pub fn place(&self, settings: &[(&str, &str)]) -> Place {
        let mut all = vec![
            ("DATABASE_URL", self.url()),
            ("SAFIRE_JWT_SECRET", SECRET.to_owned()),
            ("SAFIRE_ADMIN_PASSWORD", "the administrator's password".to_owned()),
            ("SAFIRE_AUTH__ARGON2_MEMORY_KIB", "64".to_owned()),
            ("SAFIRE_AUTH__ARGON2_ITERATIONS", "1".to_owned()),
            ("SAFIRE_LIMITS__LOGIN_PER_MINUTE", "0".to_owned()),
            ("SAFIRE_LIMITS__REGISTER_PER_HOUR", "0".to_owned()),
            ("SAFIRE_LIMITS__REFRESH_PER_MINUTE", "0".to_owned()),
            ("SAFIRE_LIMITS__CALCULATE_PER_MINUTE", "0".to_owned()),
            ("SAFIRE_LIMITS__QUICK_PER_MINUTE", "0".to_owned()),
            ("SAFIRE_LIMITS__REQUESTS_PER_MINUTE", "0".to_owned()),
            // All clients have one address.
            ("SAFIRE_HTTP__MAX_CONNECTIONS_PER_ADDRESS", "4096".to_owned()),
        ];
        all.extend(self.redis.as_ref().map(|redis| ("REDIS_URL", redis.url())));
        all.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Place::new(self.files.path(), &all)
    }

    /// The service in this process, with what cannot be asked of the program that is shipped.
    pub async fn serve(&self, adapt: impl FnOnce(&mut Config, &mut Parts)) -> Service {
        let mut config = Config { data_dir: self.files.path().to_owned(), limits: Limits::OFF, ..Config::default() };
        config.database.url = SecretUrl::from(self.url());
        config.http.port = 0;
        // Nobody's connection is to be closed for idleness just when a request is sent on it.
        config.http.header_timeout_ms = 60_000;
        config.http.idle_timeout_ms = 600_000;
        // All clients have one address.
        config.http.max_connections_per_address = config.http.max_connections;
        config.metrics.port = 0;
        config.auth.jwt_secret = Some(SECRET.into());
        config.auth.argon2_memory_kib = 64;
        config.auth.argon2_iterations = 1;
        let mut parts = Parts::default();
        adapt(&mut config, &mut parts);
        Service::start(&config, parts).await.expect("the service starts")
    }

    /// Starts a server there and waits until it is ready.
    pub async fn start(&self, place: &Place) -> Server {
        let mut server = place.start();
        self.ready(place, &mut server).await;
        server
    }

    /// Waits until it is ready.
    pub async fn ready(&self, place: &Place, server: &mut Server) {
        let probe = self.nobody(&[place]);
        let begun = Instant::now();
        loop {
            if probe.ask(Method::GET, "/health/ready", None, None).await.status == Some(200) {
                return;
            }
            let ended = server.ended();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "never ready: {ended:?} {:#?}", server.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Somebody without a token, who asks any of these servers.
    pub fn nobody(&self, places: &[&Place]) -> Hand {
        self.nobody_at(places.iter().map(|place| place.base()).collect())
    }

    fn nobody_at(&self, bases: Vec<String>) -> Hand {
        Hand::new(bases, Arc::clone(&self.history), self.patience, self.rng())
    }

    /// Somebody with an account.
    pub async fn analyst(&self, places: &[&Place]) -> Hand {
        self.account(places.iter().map(|place| place.base()).collect(), "Ana").await
    }

    /// Somebody of that name, who asks where these addresses lead.
    pub async fn account(&self, bases: Vec<String>, name: &str) -> Hand {
        let email = format!("{}@example.com", name.to_lowercase());
        let account = json!({ "email": email, "name": name, "password": "correct horse battery" });
        let nobody = self.nobody_at(bases);
        nobody.must(Method::POST, "/auth/register", Some(account.clone()), 201).await;
        let login = json!({ "email": account["email"], "password": account["password"] });
        let token = nobody.must(Method::POST, "/auth/login", Some(login), 200).await;
        nobody.with_token(token["access_token"].as_str().expect("a token"))
    }

    /// A new project.
    pub async fn project(&self, ana: &Hand) -> String {
        id(&ana.must(Method::POST, "/projects", Some(json!({ "name": "Plants" })), 201).await)
    }

    /// So many drafts of the worked case in a new project.
    pub async fn plants(&self, ana: &Hand, count: usize) -> Vec<String> {
        let project = self.project(ana).await;
        let draft = json!({ "name": "A plant", "process": "HEFA", "feedstock": "UCO", "country": "USA" });
        let path = format!("/projects/{project}/scenarios");
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(id(&ana.must(Method::POST, &path, Some(draft.clone()), 201).await));
        }
        all
    }
}

fn id(json: &Value) -> String {
    json["id"].as_str().expect("an id").to_owned()
}
