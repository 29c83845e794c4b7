//! The configuration: defaults, overridden by a TOML file, by the environment, by flags.
//!
//! Every error names the key, what is wrong with its value and the place the value came from.
//! Secrets are never shown: not in errors, not in `Debug`, not by [`Config::masked_toml`].

mod error;
mod keys;
mod layers;
mod reference;
mod sections;
#[cfg(test)]
mod tests;
mod url;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use error::{ConfigError, Origin};
pub use layers::{ConfigArgs, environment};
pub use reference::reference;
pub use sections::{
    Admin, Auth, Cache, Calculations, Database, Feed, Http, Imports, Limits, Log, LogFormat, Metrics, Registration,
    Shutdown, Traces,
};
pub use url::SecretUrl;

use layers::Layers;

/// What a secret is shown as.
const MASK: &str = "********";

/// The file that is read from the working directory when no other is named.
const FILE: &str = "safire.toml";

/// Everything an operator can set.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Directory of the files the service writes, the embedded database among them.
    #[schema(value_type = String)]
    pub data_dir: PathBuf,
    /// The HTTP listener.
    #[schema(ignore)]
    pub http: Http,
    /// Where everything durable is kept.
    #[schema(ignore)]
    pub database: Database,
    /// What is kept at hand to be answered faster.
    #[schema(ignore)]
    pub cache: Cache,
    /// The threads that calculate.
    #[schema(ignore)]
    pub calculations: Calculations,
    /// Kafka, which is told what happens, and tells of prices and alerts.
    pub feed: Feed,
    /// Files of scenarios.
    #[schema(ignore)]
    pub imports: Imports,
    /// Accounts, passwords and tokens.
    #[schema(ignore)]
    pub auth: Auth,
    /// How often clients may ask.
    #[schema(ignore)]
    pub limits: Limits,
    /// The first administrator, made when there is none.
    #[schema(ignore)]
    pub admin: Admin,
    /// How the process ends.
    #[schema(ignore)]
    pub shutdown: Shutdown,
    /// What Prometheus reads.
    #[schema(ignore)]
    pub metrics: Metrics,
    /// What is logged, and how.
    #[schema(ignore)]
    pub log: Log,
    /// Spans, for a collector.
    #[schema(ignore)]
    pub traces: Traces,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from(sections::DATA_DIR),
            http: Http::default(),
            database: Database::default(),
            cache: Cache::default(),
            calculations: Calculations::default(),
            feed: Feed::default(),
            imports: Imports::default(),
            auth: Auth::default(),
            limits: Limits::default(),
            admin: Admin::default(),
            shutdown: Shutdown::default(),
            metrics: Metrics::default(),
            log: Log::default(),
            traces: Traces::default(),
        }
    }
}

impl Config {
    /// Reads all layers: the file that `args` names (or `safire.toml` in the working directory, if
    /// there is one), then `env` (see [`environment`]), then the flags.
    pub fn load(args: &ConfigArgs, env: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        Self::load_beside(Path::new(FILE), args, env)
    }

    fn load_beside(
        default_file: &Path,
        args: &ConfigArgs,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let layers = Layers::read(default_file, args, env)?;
        let mut config: Self = serde_path_to_error::deserialize(layers.table())
            .map_err(|error| layers.refuse(&error.path().to_string(), error.inner().message()))?;
        if !layers.sets("database.url") {
            config.database.url = SecretUrl::embedded(&config.data_dir);
        }
        Ok(config)
    }

    /// The whole configuration as TOML, to be read by people: secrets are masked, so that it
    /// cannot be loaded again.
    pub fn masked_toml(&self) -> String {
        toml::to_string(self).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }
}
