//! The sections, their fields and their defaults. The allowed ranges are in `keys.rs`.

use std::path::Path;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::{MASK, SecretUrl};

pub(super) const DATA_DIR: &str = "safire-data";

/// The HTTP listener.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address or host name to listen on; `0.0.0.0` for every interface.
    pub host: String,
    /// TCP port to listen on; 0 lets the system choose one.
    pub port: u16,
    /// Largest accepted request body, in bytes.
    pub body_limit_bytes: usize,
    /// Time a client has to send a request's headers, in milliseconds.
    pub header_timeout_ms: u64,
    /// Time a client has to send a request's body, in milliseconds.
    pub body_timeout_ms: u64,
    /// Time a request may take in all, in milliseconds.
    pub request_timeout_ms: u64,
    /// Time a connection stays open without a request or a part of an answer, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Connections open at once; on a few beyond them only health checks are answered.
    pub max_connections: usize,
    /// Connections open at once of one address, or of one IPv6 network of 64 bits; further ones are closed. Proxies in
    /// `trusted_proxies` may have any number.
    pub max_connections_per_address: usize,
    /// Networks of the proxies in front, such as `10.0.0.0/8`: only they are believed when they name
    /// their client in `X-Forwarded-For`.
    #[schema(value_type = Vec<String>)]
    pub trusted_proxies: Vec<IpNet>,
    /// Path below which clients reach the service through a proxy, such as `/safire`: what tells clients where something is
    /// begins with it. Requests are taken with it and without it.
    pub base_path: String,
    /// Origins of the web pages that may call the API from a browser, such as `https://app.example.com`.
    pub cors_origins: Vec<String>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 8000,
            body_limit_bytes: safire_web::Settings::BODY_LIMIT,
            header_timeout_ms: 10_000,
            body_timeout_ms: 20_000,
            request_timeout_ms: 30_000,
            idle_timeout_ms: 60_000,
            max_connections: 4096,
            max_connections_per_address: 512,
            trusted_proxies: Vec::new(),
            base_path: String::new(),
            cors_origins: Vec::new(),
        }
    }
}

/// Where everything durable is kept.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite:` or `postgres:` URL; without one, `safire.db` in `data_dir`.
    #[schema(value_type = String)]
    pub url: SecretUrl,
    /// PostgreSQL connections kept.
    pub connections: usize,
    /// PostgreSQL connections opened beyond those when all are busy, and closed when idle.
    pub overflow: usize,
    /// Age at which a PostgreSQL connection is replaced by a new one, in seconds.
    pub recycle_s: u64,
    /// SQLite connections that read; one more writes.
    pub readers: usize,
    /// Jobs that may wait for a connection before further ones are refused.
    pub queue: usize,
    /// Time a job may wait for a connection, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// Time one statement may take, in milliseconds.
    pub statement_timeout_ms: u64,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: SecretUrl::embedded(Path::new(DATA_DIR)),
            connections: 20,
            overflow: 10,
            recycle_s: 3600,
            readers: 4,
            queue: 1000,
            acquire_timeout_ms: 1500,
            statement_timeout_ms: 30_000,
        }
    }
}

/// What is kept at hand to be answered faster.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// `redis:` or `rediss:` URL of the shared cache; without one, each process has only its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub redis_url: Option<SecretUrl>,
    /// Time one command to Redis may take before the answer comes from the database, in milliseconds.
    pub redis_timeout_ms: u64,
    /// Entries kept in the process.
    pub entries: u64,
    /// Time an entry stays in the process when Redis is shared: the longest that a replica which missed an
    /// invalidation gives out an old value, in milliseconds.
    pub local_ttl_ms: u64,
    /// Time master data stays cached, in seconds.
    pub master_data_ttl_s: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self { redis_url: None, redis_timeout_ms: 200, entries: 10_000, local_ttl_ms: 5000, master_data_ttl_s: 3600 }
    }
}

/// The threads that calculate.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Calculations {
    /// Threads that calculate what is long, beside one for what is short; by default one fewer than there are cores,
    /// and at least one.
    pub threads: usize,
    /// Calculations that may wait for a thread before further ones are refused.
    pub queue: usize,
    /// Time that one calculation may take on its thread, in seconds. One that does not end has failed within 30 s.
    pub deadline_s: u64,
    /// Time a caller may wait for a result in one request, in seconds; keep it below
    /// `http.request_timeout_ms`.
    pub sync_wait_s: u64,
    /// Time that a run stays with a process that gives no sign of life, before another may take it over, in
    /// seconds; the same on all replicas.
    pub lease_s: u64,
}

impl Default for Calculations {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.saturating_sub(1).clamp(1, 1024);
        Self { threads, queue: 256, deadline_s: 29, sync_wait_s: 20, lease_s: 15 }
    }
}

/// Kafka, which is told what happens, and tells of prices and alerts.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Feed {
    /// Kafka's brokers, `host:port`, separated by commas; without them there is no feed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brokers: Option<String>,
    /// The consumer group of all replicas.
    pub group: String,
}

impl Default for Feed {
    fn default() -> Self {
        Self { brokers: None, group: "safire".into() }
    }
}

/// Files of scenarios.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Imports {
    /// Files that this process works on at once, and takes in at once.
    pub at_once: usize,
    /// Largest accepted file, in bytes.
    pub file_limit_bytes: usize,
    /// Rows of a file at most.
    pub rows: u64,
    /// What a workbook may unpack to, in bytes.
    pub unpacked_limit_bytes: u64,
    /// Time a client has to send a file, in milliseconds.
    pub upload_timeout_ms: u64,
}

impl Default for Imports {
    fn default() -> Self {
        let imports = safire_actors::imports::Settings::default();
        Self {
            at_once: imports.at_once,
            file_limit_bytes: safire_web::Settings::IMPORT_LIMIT,
            rows: imports.rows,
            unpacked_limit_bytes: imports.unpacked,
            upload_timeout_ms: 120_000,
        }
    }
}

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anyone who reaches the service.
    Open,
    /// Administrators only.
    Closed,
}

/// Accounts, passwords and tokens.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Key that signs access tokens, at least 32 bytes.
    #[serde(serialize_with = "mask", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, default = "")]
    pub jwt_secret: Option<SecretString>,
    /// Keys that signed access tokens before `jwt_secret` did: their tokens are still taken.
    #[serde(serialize_with = "mask_each")]
    #[schema(value_type = Vec<String>, default = json!([]))]
    pub jwt_previous_secrets: Vec<SecretString>,
    /// Time an access token is good for, in minutes.
    pub access_token_minutes: u64,
    /// Time a refresh token is good for, in days.
    pub refresh_token_days: u64,
    /// `open` lets anyone register, `closed` only administrators make accounts.
    #[schema(value_type = String)]
    pub registration: Registration,
    /// Memory for hashing one password (argon2id), in KiB.
    pub argon2_memory_kib: u32,
    /// Passes over that memory for hashing one password.
    pub argon2_iterations: u32,
    /// Passwords hashed at once.
    pub argon2_permits: usize,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            jwt_previous_secrets: Vec::new(),
            access_token_minutes: 30,
            refresh_token_days: 30,
            registration: Registration::Open,
            argon2_memory_kib: 19_456,
            argon2_iterations: 2,
            argon2_permits: 2,
        }
    }
}

/// How often clients may ask; 0 is without limit.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Attempts to sign in, from one address.
    pub login_per_minute: u32,
    /// Accounts made, from one address.
    pub register_per_hour: u32,
    /// Refreshes of tokens, from one address.
    pub refresh_per_minute: u32,
    /// Calculations asked for, by one user.
    pub calculate_per_minute: u32,
    /// Units of calculations of which nothing is stored, by one user: one a request, one more for every 10,000
    /// evaluations of an analysis and every 10 plants of a batch.
    pub quick_per_minute: u32,
    /// Requests of any kind, by one user, or from one address where no user is known.
    pub requests_per_minute: u32,
}

impl Limits {
    /// No limits at all.
    pub const OFF: Self = Self {
        login_per_minute: 0,
        register_per_hour: 0,
        refresh_per_minute: 0,
        calculate_per_minute: 0,
        quick_per_minute: 0,
        requests_per_minute: 0,
    };
}

impl Default for Limits {
    fn default() -> Self {
        let web = safire_web::limits::Settings::DEFAULT;
        Self {
            login_per_minute: web.login_per_minute,
            register_per_hour: web.register_per_hour,
            refresh_per_minute: web.refresh_per_minute,
            calculate_per_minute: web.calculate_per_minute,
            quick_per_minute: web.quick_per_minute,
            requests_per_minute: web.requests_per_minute,
        }
    }
}

/// The first administrator, made when there is none.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Email address to log in with.
    pub email: String,
    /// Password to log in with; without one, it is made up and printed once.
    #[serde(serialize_with = "mask", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, default = "")]
    pub password: Option<SecretString>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { email: "admin@safire.local".into(), password: None }
    }
}

/// How the process ends.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// Time for accepted requests and running calculations to finish, in seconds.
    pub drain_s: u64,
    /// Time that open connections are still served, and told to close, in milliseconds: a request that is on
    /// its way when its connection is closed would be lost.
    pub linger_ms: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain_s: 25, linger_ms: 500 }
    }
}

/// What Prometheus reads: `/metrics` on a listener of its own.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Whether anything is counted and told.
    pub enabled: bool,
    /// Address or host name to listen on; whoever reaches it may read the metrics.
    pub host: String,
    /// TCP port to listen on; 0 lets the system choose one.
    pub port: u16,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { enabled: true, host: "127.0.0.1".into(), port: 8001 }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text at a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// For collectors: one object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Levels by module, such as `info,safire_store=debug`.
    pub filter: String,
    /// `text`, `json`, or `auto`: text at a terminal, JSON elsewhere.
    #[schema(value_type = String)]
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Auto }
    }
}

/// Spans of requests, runs and messages, for a collector.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    /// Where a collector takes spans by OTLP over HTTP (protobuf), such as `http://127.0.0.1:4318`; `/v1/traces` is
    /// added. Without it no spans are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

fn mask<S: Serializer>(_: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(MASK)
}

fn mask_each<S: Serializer>(secrets: &[SecretString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(secrets.iter().map(|_| MASK))
}
