//! The service: everything built, started and stopped in order.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use chrono::TimeDelta;
use rand::RngExt;
use safire_actors::{
    Context, Faults, System, cache,
    calculations::{self, Compute},
    database, events, feed, imports,
    limits::{RedisRates, Shared},
    scenarios,
    supervisor::Policy,
};
use safire_domain::{
    Clock, UserId,
    clock::SystemClock,
    master_data::MasterData,
    name::{Email, Name, check_password},
    user::{Role, User},
};
use safire_store::{Connection, Engine, Target, master_data, schema, users};
use safire_web::{App, auth, auth::Auth, limits};
use secrecy::{ExposeSecret, SecretString};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Registration},
    exposition::{Endpoint, Exposition},
    file_lock::{FileLock, private_directory},
    listener::{self, Limits},
};

/// What tests replace.
pub struct Parts {
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// What the calculation threads compute.
    pub compute: Arc<Compute>,
    /// Where things are broken on purpose.
    pub faults: Option<Arc<dyn Faults>>,
    /// How failed actors are restarted.
    pub policy: Policy,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            compute: calculations::base_analysis(),
            faults: None,
            policy: Policy::default(),
        }
    }
}

/// How a service ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Runs given back unfinished; unknown when the registry did not answer.
    pub handed_back: Option<u64>,
}

/// A running service.
pub struct Service {
    address: SocketAddr,
    app: App,
    system: Arc<System>,
    stop: CancellationToken,
    listener: JoinHandle<()>,
    metrics: Option<Endpoint>,
    patience: Duration,
    _lock: Option<FileLock>,
}

impl Service {
    /// Opens the database, starts the actors and listens.
    pub async fn start(config: &Config, parts: Parts) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let secret = signing_key(config)?;
        let clock = Arc::clone(&parts.clock);
        let (target, lock) = prepare_database(config, &*clock).await?;
        let auth = Auth::new(&auth_settings(config, secret)).context("the auth section cannot be used")?;
        make_first_admin(config, &target, &auth, &*clock).await?;

        let lease = Duration::from_secs(config.calculations.lease_s);
        let exposition = Exposition::new(&config.metrics)?;
        let metrics = Arc::clone(&exposition.metrics);
        let faults = parts.faults.clone();
        let context = Context { faults, lease, metrics: Arc::clone(&metrics), ..Context::new(Arc::clone(&clock)) };
        let settings = system_settings(config, target, &parts)?;
        let uploads = &settings.imports.directory;
        private_directory(uploads)?;
        let system = Arc::new(System::start(settings, &context).await.context("the actors do not start")?);
        let limits = safire_web::Limits::new(limit_settings(config), shared_limits(config)?.as_ref());
        let app = App::new(Arc::clone(&system), auth, limits, clock, web_settings(config), metrics);
        let metrics = exposition.serve(&config.metrics, &system).await?;

        let at = (config.http.host.as_str(), config.http.port);
        let listener = TcpListener::bind(at).await.with_context(|| format!("cannot listen on {}:{}", at.0, at.1))?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let patience = Duration::from_secs(config.shutdown.drain_s);
        let limits = Limits {
            header_timeout: Duration::from_millis(config.http.header_timeout_ms),
            idle_timeout: Duration::from_millis(config.http.idle_timeout_ms),
            connections: config.http.max_connections,
            per_address: config.http.max_connections_per_address,
            exempt: config.http.trusted_proxies.clone(),
            open: context.metrics.http_connections.clone(),
            refused: context.metrics.http_connections_refused.clone(),
            linger: Duration::from_millis(config.shutdown.linger_ms),
        };
        context.metrics.http_connections_limit.set(limits.connections as f64);
        let service = safire_web::service(app.clone());
        let listener = tokio::spawn(listener::serve(listener, service, limits, stop.clone(), patience));
        let ms = begun.elapsed().as_millis();
        let (engine, metrics_at) = (system.database.engine().name(), metrics.as_ref().map(|m| m.address.to_string()));
        tracing::info!(%address, metrics = metrics_at, engine, after_ms = ms, "safire is ready");
        Ok(Self { address, app, system, stop, listener, metrics, patience, _lock: lock })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it tells its metrics, unless that is switched off.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        Some(self.metrics.as_ref()?.address)
    }

    /// The actors.
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Cancelled when an actor fails again and again.
    pub fn exhausted(&self) -> CancellationToken {
        self.system.exhausted()
    }

    /// Stops, front to back: no new requests, no new calculations, what was accepted finishes or
    /// goes back, then the actors.
    pub async fn drain(self) -> Ended {
        self.app.begin_drain();
        self.stop.cancel();
        // Requests that were accepted need the actors: these stop last.
        let (drained, _) = tokio::join!(self.system.drain(self.patience), self.listener);
        if let Err(unavailable) = self.system.stop().await {
            tracing::warn!(%unavailable, "the actors were not stopped in order");
        }
        if let Some(metrics) = self.metrics {
            metrics.stop().await;
        }
        Ended { handed_back: drained.ok().map(|drained| drained.handed_back) }
    }
}

/// How long a database that is not there yet is waited for.
const DATABASE_PATIENCE: Duration = Duration::from_secs(30);

/// Opens the database, brings its schema up to date and seeds it. An SQLite file is this process's until the lock is
/// dropped.
pub async fn prepare_database(config: &Config, clock: &dyn Clock) -> anyhow::Result<(Target, Option<FileLock>)> {
    let timeout = Duration::from_millis(config.database.statement_timeout_ms);
    let target = Target::parse(config.database.url.expose(), timeout).context("database.url cannot be used")?;
    if target.engine() == Engine::Sqlite {
        private_directory(&config.data_dir)?;
    }
    let lock = target.file().map(|file| FileLock::take(file, clock.now())).transpose()?;
    let mut connection = connect(&target).await.context("cannot open the database")?;
    schema::migrate(&mut connection).await?;
    master_data::seed(&mut connection, MasterData::seed()).await?;
    connection.close().await?;
    Ok((target, lock))
}

async fn connect(target: &Target) -> safire_store::Result<Connection> {
    let until = Instant::now() + DATABASE_PATIENCE;
    loop {
        match target.connect().await {
            Err(error) if target.engine() == Engine::Postgres && Instant::now() < until => {
                tracing::warn!(%error, "waiting for the database");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            settled => return settled,
        }
    }
}

/// Makes the first administrator, with the configured password or one that is printed here, once.
async fn make_first_admin(config: &Config, target: &Target, auth: &Auth, clock: &dyn Clock) -> anyhow::Result<()> {
    let mut connection = target.connect().await?;
    if users::has_admin(&mut connection).await? {
        return Ok(connection.close().await?);
    }
    let given = config.admin.password.clone();
    let password = given.clone().unwrap_or_else(made_up_password);
    check_password(password.expose_secret()).context("admin.password")?;
    let hash = auth.hash(password.clone()).await.map_err(|_| anyhow::anyhow!("the password cannot be hashed"))?;
    let now = clock.now();
    let admin = User {
        email: Some(Email::try_from(config.admin.email.clone()).context("admin.email")?),
        role: Role::Admin,
        ..User::new(UserId::new(now), Name::try_from("Administrator".to_owned())?, now)
    };
    match users::insert(&mut connection, &admin, Some(&hash)).await {
        // Another replica was first.
        Err(safire_store::Error::Duplicate(_)) => {}
        made => {
            made?;
            announce(&config.admin.email, given.is_none().then_some(&password))?;
        }
    }
    Ok(connection.close().await?)
}

fn announce(email: &str, made_up: Option<&SecretString>) -> std::io::Result<()> {
    let Some(password) = made_up else {
        tracing::info!(email, "made the first administrator");
        return Ok(());
    };
    let password = password.expose_secret();
    writeln!(std::io::stdout(), "First administrator: {email}\nPassword (shown only now): {password}")
}

fn made_up_password() -> SecretString {
    SecretString::from(random_hex(16))
}

fn random_hex(bytes: usize) -> String {
    let mut rng = rand::rng();
    (0..bytes).map(|_| format!("{:02x}", rng.random::<u8>())).collect()
}

/// The key that signs tokens: configured, or for a single process kept beside its database so that
/// tokens outlive a restart.
fn signing_key(config: &Config) -> anyhow::Result<SecretString> {
    if let Some(secret) = &config.auth.jwt_secret {
        return Ok(secret.clone());
    }
    anyhow::ensure!(
        config.database.url.expose().starts_with("sqlite"),
        "auth.jwt_secret (SAFIRE_JWT_SECRET) must be set with PostgreSQL: all replicas sign with the same key"
    );
    let file = config.data_dir.join("jwt.key");
    let key = match fs::read_to_string(&file) {
        Ok(key) => key,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => write_key(&file)?,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    anyhow::ensure!(key.len() >= 32, "{} is too short to be a key; remove it to have a new one made", file.display());
    Ok(SecretString::from(key))
}

fn write_key(file: &Path) -> anyhow::Result<String> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(directory) = file.parent() {
        private_directory(directory)?;
    }
    let key = random_hex(32);
    let mut opened = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    opened.write_all(key.as_bytes())?;
    Ok(key)
}

fn auth_settings(config: &Config, secret: SecretString) -> auth::Settings {
    auth::Settings {
        secret,
        previous_secrets: config.auth.jwt_previous_secrets.clone(),
        refresh_token_life: TimeDelta::days(i64::try_from(config.auth.refresh_token_days).unwrap_or(30)),
        access_token_life: TimeDelta::minutes(i64::try_from(config.auth.access_token_minutes).unwrap_or(30)),
        memory_kib: config.auth.argon2_memory_kib,
        iterations: config.auth.argon2_iterations,
        permits: config.auth.argon2_permits,
    }
}

fn limit_settings(config: &Config) -> limits::Settings {
    limits::Settings {
        login_per_minute: config.limits.login_per_minute,
        register_per_hour: config.limits.register_per_hour,
        refresh_per_minute: config.limits.refresh_per_minute,
        calculate_per_minute: config.limits.calculate_per_minute,
        quick_per_minute: config.limits.quick_per_minute,
        requests_per_minute: config.limits.requests_per_minute,
        trusted_proxies: config.http.trusted_proxies.clone(),
    }
}

/// Where replicas count together; a Redis that is away is found out when it is first asked.
fn shared_limits(config: &Config) -> anyhow::Result<Option<Shared>> {
    let Some(url) = &config.cache.redis_url else { return Ok(None) };
    // The error is dropped: it may hold the password.
    let rates = RedisRates::connect(url.expose()).map_err(|_| anyhow::anyhow!("cache.redis_url cannot be used"))?;
    Ok(Some(Shared::new(rates)))
}

/// Requests that the registry and the cache admit at once.
const QUEUE: usize = 4096;

fn system_settings(config: &Config, target: Target, parts: &Parts) -> anyhow::Result<safire_actors::Settings> {
    let acquire_timeout = Duration::from_millis(config.database.acquire_timeout_ms);
    let statement_timeout = Duration::from_millis(config.database.statement_timeout_ms);
    let connections = match target.engine() {
        Engine::Postgres => config.database.connections,
        Engine::Sqlite => config.database.readers,
    };
    Ok(safire_actors::Settings {
        database: database::Settings {
            target,
            connections,
            keep: database::Keep {
                overflow: config.database.overflow,
                recycle: Duration::from_secs(config.database.recycle_s),
                ..database::Keep::default()
            },
            queue: config.database.queue,
            acquire_timeout,
            statement_timeout,
        },
        cache: cache::Settings {
            entries: config.cache.entries,
            queue: QUEUE,
            deadline: acquire_timeout + statement_timeout,
            redis: redis_settings(config)?,
        },
        calculations: calculations::Settings {
            threads: config.calculations.threads,
            queue: config.calculations.queue,
            deadline: Duration::from_secs(config.calculations.deadline_s),
            compute: Arc::clone(&parts.compute),
        },
        scenarios: scenarios::Settings { queue: QUEUE, deadline: acquire_timeout + statement_timeout },
        events: events::Settings {
            queue: QUEUE,
            deadline: acquire_timeout + statement_timeout,
            published: config.feed.brokers.is_some(),
        },
        feed: config.feed.brokers.clone().map(|brokers| feed::Settings { brokers, group: config.feed.group.clone() }),
        imports: imports::Settings {
            at_once: config.imports.at_once,
            rows: config.imports.rows,
            unpacked: config.imports.unpacked_limit_bytes,
            directory: uploads(config),
        },
        policy: parts.policy,
    })
}

/// Where files are kept while they are read.
fn uploads(config: &Config) -> PathBuf {
    config.data_dir.join("uploads")
}

fn redis_settings(config: &Config) -> anyhow::Result<Option<cache::RedisSettings>> {
    let Some(url) = &config.cache.redis_url else { return Ok(None) };
    Ok(Some(cache::RedisSettings {
        target: cache::RedisTarget::parse(url.expose()).context("cache.redis_url cannot be used")?,
        local_ttl: Duration::from_millis(config.cache.local_ttl_ms),
        deadline: Duration::from_millis(config.cache.redis_timeout_ms),
    }))
}

fn web_settings(config: &Config) -> safire_web::Settings {
    safire_web::Settings {
        body_limit: config.http.body_limit_bytes,
        request_timeout: Duration::from_millis(config.http.request_timeout_ms),
        body_timeout: Duration::from_millis(config.http.body_timeout_ms),
        import_limit: config.imports.file_limit_bytes,
        import_timeout: Duration::from_millis(config.imports.upload_timeout_ms),
        sync_wait: Duration::from_secs(config.calculations.sync_wait_s),
        master_data_ttl: Duration::from_secs(config.cache.master_data_ttl_s),
        open_registration: config.auth.registration == Registration::Open,
        base_path: config.http.base_path.trim_end_matches('/').to_owned(),
        cors_origins: config.http.cors_origins.iter().filter_map(|origin| origin.parse().ok()).collect(),
    }
}
