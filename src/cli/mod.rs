//! The command line.

mod calculate;
mod compare;
mod file;
mod healthcheck;
mod try_it;

use std::{
    io::{ErrorKind, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand, ValueEnum};
use safire_domain::{clock::SystemClock, engine::Metric, run::Kind};
use serde::Serialize;

use self::{calculate::Calculate, compare::Compare};
use crate::{
    config::{Config, ConfigArgs, environment, reference},
    service::{self, Service},
    shutdown, telemetry,
};

/// Techno-economic analysis of sustainable-aviation-fuel plants
#[derive(Debug, Parser)]
#[command(name = "safire", version, about)]
pub struct Cli {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service (the default)
    Serve,
    /// Calculate a scenario from a file, without a server
    Calculate(Calculate),
    /// Compare scenarios from files: what each changed input contributes to the difference of a metric
    Compare(Compare),
    /// Run the main job against a running service and show its result
    TryIt {
        /// Where the service is
        #[arg(long, default_value = "http://127.0.0.1:8000")]
        url: String,
        /// Sign in as this user instead of registering a new one
        #[arg(long, env = "SAFIRE_TRY_EMAIL", requires = "password")]
        email: Option<String>,
        /// That user's password
        #[arg(long, env = "SAFIRE_TRY_PASSWORD", hide_env_values = true)]
        password: Option<String>,
    },
    /// Bring the database's schema up to date, and stop
    Migrate,
    /// Ask the service on the configured port whether it is ready
    Healthcheck,
    /// Print the API's description (OpenAPI 3.1, JSON)
    Openapi,
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check it, and print it with secrets masked
    Check,
    /// Print every key with its default, its range and its variables (Markdown)
    Reference,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

impl Format {
    /// Prints for people or for programs.
    fn print(self, found: &impl Serialize, table: impl FnOnce() -> String) -> anyhow::Result<()> {
        match self {
            Self::Json => show(&format!("{}\n", serde_json::to_string_pretty(found)?)),
            Self::Table => show(&table()),
        }
    }
}

/// Writes what was asked for. A reader that has seen enough, as `head` has, is no failure.
fn show(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn metric(name: &str) -> Result<Metric, String> {
    serde_json::from_value(name.into()).map_err(|error| error.to_string())
}

fn kind(name: &str) -> Result<Kind, String> {
    Kind::from_name(name).ok_or_else(|| "it is none of base, monte-carlo, sobol, tornado, spider, sweep".to_owned())
}

impl Cli {
    /// Does what the command line says.
    pub fn run(self) -> ExitCode {
        let result = match self.command {
            None | Some(Command::Serve) => self.load().and_then(serve),
            Some(Command::Migrate) => self.load().and_then(migrate),
            Some(Command::Healthcheck) => self.load().and_then(|config| block_on(healthcheck::run(&config))),
            Some(Command::Config { command: ConfigCommand::Check }) => {
                self.load().and_then(|config| show(&config.masked_toml()))
            }
            Some(Command::Config { command: ConfigCommand::Reference }) => show(&reference()),
            Some(Command::Calculate(calculate)) => calculate.run(),
            Some(Command::Compare(compare)) => compare.run(),
            Some(Command::TryIt { url, email, password }) => block_on(try_it::run(&url, email.zip(password))),
            Some(Command::Openapi) => openapi(),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("safire: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.config, environment())?)
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

fn serve(config: Config) -> anyhow::Result<()> {
    let telemetry = telemetry::init(&config.log, &config.traces)?;
    let served = block_on(async {
        let service = Service::start(&config, service::Parts::default()).await?;
        shutdown::serve_until_told(service).await
    });
    telemetry.end();
    served
}

fn migrate(config: Config) -> anyhow::Result<()> {
    let telemetry = telemetry::init(&config.log, &config.traces)?;
    let migrated = block_on(async {
        let _owned = service::prepare_database(&config, &SystemClock).await?;
        show(&format!("the schema is at version {}\n", safire_store::schema::latest_version()))
    });
    telemetry.end();
    migrated
}

fn openapi() -> anyhow::Result<()> {
    show(&format!("{}\n", serde_json::to_string_pretty(&safire_web::openapi())?))
}
