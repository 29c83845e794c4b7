//! The layers over the defaults: file, environment, flags; and which of them set what.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::error::{ConfigError, Origin};
use super::keys::{Form, Key, is_section, nearest_key, nearest_variable};

/// The flags that set configuration.
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Configuration")]
pub struct ConfigArgs {
    /// Read this TOML file [default: safire.toml, if there is one]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Set any key, such as --set calculations.threads=2 (repeatable)
    #[arg(long, value_name = "SECTION.KEY=VALUE", global = true)]
    pub set: Vec<String>,
    /// Address or host name to listen on (http.host)
    #[arg(long, global = true)]
    pub host: Option<String>,
    /// TCP port to listen on (http.port)
    #[arg(long, global = true)]
    pub port: Option<u16>,
    /// Database to use (database.url)
    #[arg(long, value_name = "URL", global = true)]
    pub database_url: Option<String>,
    /// Directory of the files the service writes (data_dir)
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<String>,
}

/// Without `--set` and the database URL, which may hold secrets.
impl fmt::Debug for ConfigArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigArgs")
            .field("config", &self.config)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

/// The process's environment. Unlike [`std::env::vars`], it does not panic on bytes that are no
/// UTF-8.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

/// What all layers set: every key exists, every value is within its range.
pub(super) struct Layers(Layer);

type Layer = BTreeMap<&'static str, (Value, Origin)>;

impl Layers {
    pub fn read(
        default_file: &Path,
        args: &ConfigArgs,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut all = match &args.config {
            Some(path) => from_file(path, "flag --config")?,
            None => match from_file(default_file, "in the working directory") {
                Err(ConfigError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => Layer::new(),
                layer => layer?,
            },
        };
        all.extend(from_environment(env)?);
        all.extend(from_flags(args)?);
        Ok(Self(all))
    }

    pub fn sets(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// All layers as the one table that a file with the same content would be.
    pub fn table(&self) -> Table {
        let mut root = Table::new();
        for (path, (value, _)) in &self.0 {
            let Some((section, key)) = path.split_once('.') else {
                root.insert((*path).to_owned(), value.clone());
                continue;
            };
            let section = root.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert(key.to_owned(), value.clone());
            }
        }
        root
    }

    /// The error for a value that does not fit its field.
    pub fn refuse(&self, path: &str, problem: &str) -> ConfigError {
        let origin = self.0.get(path).map_or(Origin::Default, |(_, origin)| origin.clone());
        let secret = Key::find(path).is_some_and(Key::is_secret);
        ConfigError::Value {
            key: path.to_owned(),
            origin,
            problem: if secret { "the value does not fit" } else { problem }.to_owned(),
        }
    }
}

fn from_file(path: &Path, named_by: &str) -> Result<Layer, ConfigError> {
    let text = read(path, named_by)?;
    let root: Table = text.parse().map_err(|error: toml::de::Error| syntax(path, &text, &error))?;
    let origin = Origin::File(path.to_owned());
    let mut layer = Layer::new();
    for (name, value) in root {
        match value {
            Value::Table(section) if is_section(&name) => {
                for (key, value) in section {
                    let key = known(&format!("{name}.{key}"), &origin)?;
                    set(&mut layer, key, value, &origin)?;
                }
            }
            value => set(&mut layer, known(&name, &origin)?, value, &origin)?,
        }
    }
    Ok(layer)
}

fn from_environment(env: impl Iterator<Item = (String, String)>) -> Result<Layer, ConfigError> {
    let mut layer = Layer::new();
    for (name, value) in env {
        let Some((key, form)) = Key::of_variable(&name) else {
            if name.starts_with("SAFIRE_") {
                let nearest = nearest_variable(&name);
                return Err(ConfigError::UnknownVariable { name, nearest });
            }
            continue;
        };
        if value.is_empty() {
            continue; // how compose files and CI pass on what is not set
        }
        let value = match form {
            Form::Toml => key.parse(&value),
            Form::Plain => key.plain(&value),
            Form::File => {
                let text = read(Path::new(&value), &format!("environment variable {name}"))?;
                key.plain(text.trim_end_matches(['\r', '\n']))
            }
        };
        set(&mut layer, key, value, &Origin::Variable(name))?;
    }
    Ok(layer)
}

fn from_flags(args: &ConfigArgs) -> Result<Layer, ConfigError> {
    let mut layer = Layer::new();
    for assignment in &args.set {
        let (path, text) = assignment.split_once('=').ok_or(ConfigError::NotAnAssignment)?;
        let origin = Origin::Flag(format!("--set {path}"));
        let key = known(path, &origin)?;
        set(&mut layer, key, key.parse(text), &origin)?;
    }
    let named = [
        ("--host", "http.host", args.host.clone().map(Value::String)),
        ("--port", "http.port", args.port.map(|port| Value::Integer(port.into()))),
        ("--database-url", "database.url", args.database_url.clone().map(Value::String)),
        ("--data-dir", "data_dir", args.data_dir.clone().map(Value::String)),
    ];
    for (flag, path, value) in named {
        if let Some(value) = value {
            let origin = Origin::Flag(flag.to_owned());
            set(&mut layer, known(path, &origin)?, value, &origin)?;
        }
    }
    Ok(layer)
}

fn known(path: &str, origin: &Origin) -> Result<&'static Key, ConfigError> {
    Key::find(path).ok_or_else(|| ConfigError::UnknownKey {
        key: path.to_owned(),
        origin: origin.clone(),
        nearest: nearest_key(path),
    })
}

fn set(layer: &mut Layer, key: &Key, value: Value, origin: &Origin) -> Result<(), ConfigError> {
    if let Some((_, first)) = layer.get(key.path) {
        return Err(ConfigError::SetTwice { key: key.path, first: first.clone(), second: origin.clone() });
    }
    key.check(&value).map_err(|problem| ConfigError::Value {
        key: key.path.to_owned(),
        origin: origin.clone(),
        problem,
    })?;
    layer.insert(key.path, (value, origin.clone()));
    Ok(())
}

fn read(path: &Path, named_by: &str) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        named_by: named_by.to_owned(),
        source,
    })
}

/// Where the mistake is and what it is; not the line itself, which may hold a secret.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    ConfigError::Syntax {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
        problem: error.message().to_owned(),
    }
}
