//! What handlers work with.

use std::{
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::HeaderValue;
use safire_actors::{
    Cache, Calculations, Database, Events, Feed, Imports, Scenarios, System, database::DatabaseError, feed,
    slot::Places,
};
use safire_domain::{Clock, Timestamp, master_data::MasterData};
use safire_metrics::Metrics;
use safire_store::master_data;
use tokio_util::sync::CancellationToken;

use crate::{Limits, Problem, auth::Auth, files::Renderer, idempotency::InFlight, pace::Pace, roles::Roles};

pub(crate) use safire_actors::cache::MASTER_DATA;

/// The cache's key of the dict of users: names by global id.
pub(crate) const USERS_DICT: &str = "users-dict";

/// What the web layer is told once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The largest body accepted, in bytes.
    pub body_limit: usize,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long a client may take over a request's body.
    pub body_timeout: Duration,
    /// The largest file that is imported, in bytes.
    pub import_limit: usize,
    /// How long a client may take over a file, and its reading.
    pub import_timeout: Duration,
    /// How long a synchronous calculation is waited for.
    pub sync_wait: Duration,
    /// How long the rendered master data is kept.
    pub master_data_ttl: Duration,
    /// Whether anybody may register.
    pub open_registration: bool,
    /// The path below which clients reach the service, such as `/safire`; empty at the root.
    pub base_path: String,
    /// Origins whose pages may call the API from a browser.
    pub cors_origins: Vec<HeaderValue>,
}

impl Settings {
    /// The largest body accepted, unless configured otherwise.
    pub const BODY_LIMIT: usize = 1 << 20;

    /// The largest file that is imported, unless configured otherwise.
    pub const IMPORT_LIMIT: usize = 64 << 20;
}

/// The state that all handlers share. Each layer and each handler of a request is given a clone of it: one
/// count goes up, whatever there is in it.
#[derive(Clone)]
pub struct App(Arc<Handles>);

impl Deref for App {
    type Target = Handles;

    fn deref(&self) -> &Handles {
        &self.0
    }
}

/// Handles on all that handlers work with.
pub struct Handles {
    pub(crate) database: Database,
    pub(crate) cache: Cache,
    pub(crate) calculations: Calculations,
    pub(crate) scenarios: Scenarios,
    pub(crate) events: Events,
    pub(crate) imports: Imports,
    pub(crate) auth: Auth,
    pub(crate) limits: Limits,
    pub(crate) roles: Roles,
    pub(crate) in_flight: InFlight,
    pub(crate) renderer: Renderer,
    pub(crate) settings: Settings,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) pace: Pace,
    clock: Arc<dyn Clock>,
    system: Arc<System>,
    draining: CancellationToken,
}

impl App {
    /// Handles on the running system.
    pub fn new(
        system: Arc<System>,
        auth: Auth,
        limits: Limits,
        clock: Arc<dyn Clock>,
        settings: Settings,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self(Arc::new(Handles {
            database: system.database.clone(),
            cache: system.cache.clone(),
            calculations: system.calculations.clone(),
            scenarios: system.scenarios.clone(),
            events: system.events.clone(),
            imports: system.imports.clone(),
            auth,
            limits,
            roles: Roles::default(),
            in_flight: InFlight::default(),
            renderer: Renderer::default(),
            settings,
            metrics,
            pace: Pace::new(Instant::now()),
            clock,
            system,
            draining: CancellationToken::new(),
        }))
    }

    /// From now on the service reports that it is not ready, and live streams end.
    pub fn begin_drain(&self) {
        self.draining.cancel();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Returns when the service is about to stop.
    pub(crate) async fn drains(&self) {
        self.draining.cancelled().await;
    }

    pub(crate) fn is_supervised(&self) -> bool {
        self.system.is_supervised()
    }

    pub(crate) fn places(&self) -> Vec<Places> {
        self.system.places()
    }

    /// How the feed has served, where there is one.
    pub(crate) fn feed_stats(&self) -> Option<feed::Stats> {
        self.system.feed.as_ref().map(Feed::stats)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The master data as JSON, from the cache or, where that does not answer, from the database.
    pub(crate) async fn master_data_json(&self) -> Result<Bytes, Problem> {
        let load = || load_master_data(self.database.clone());
        match self.cache.get_or_load(MASTER_DATA, self.settings.master_data_ttl, || Box::pin(load())).await {
            Ok(Ok(json)) => Ok(json),
            Ok(Err(error)) => Err(Problem::from(&*error)),
            Err(unavailable) => {
                tracing::warn!(%unavailable, "the cache is passed by");
                Ok(load().await?)
            }
        }
    }

    /// The master data.
    pub(crate) async fn master_data(&self) -> Result<MasterData, Problem> {
        let json = self.master_data_json().await?;
        serde_json::from_slice(&json).map_err(|error| Problem::defect(&error))
    }
}

pub(crate) async fn load_master_data(database: Database) -> Result<Bytes, DatabaseError> {
    let data = database.read(|c| Box::pin(master_data::load(c))).await?;
    let json = serde_json::to_vec(&data)
        .map_err(|error| safire_store::Error::Corrupt { table: "master_data", reason: error.to_string() })?;
    Ok(Bytes::from(json))
}
