//! What can be wrong with a configuration, and where it came from.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The place a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A TOML file.
    File(PathBuf),
    /// An environment variable, by its name.
    Variable(String),
    /// A flag of the command line, without its value.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Why a configuration was refused. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that its key cannot have.
    #[error("{key} ({origin}): {problem}")]
    Value {
        /// The key, such as `http.port`.
        key: String,
        /// Where the value came from.
        origin: Origin,
        /// What is wrong, with the value unless it is secret.
        problem: String,
    },
    /// A key that does not exist.
    #[error("unknown key `{key}` ({origin}){}", suggest(.nearest))]
    UnknownKey {
        /// The key as it was written.
        key: String,
        /// Where it was written.
        origin: Origin,
        /// The existing key that looks most like it.
        nearest: Option<String>,
    },
    /// A `SAFIRE_` variable that does not exist.
    #[error("unknown environment variable {name}{}", suggest(.nearest))]
    UnknownVariable {
        /// The variable as it was written.
        name: String,
        /// The existing variable that looks most like it.
        nearest: Option<String>,
    },
    /// A key that one layer sets twice.
    #[error("{key} is set twice: {first}, {second}")]
    SetTwice {
        /// The key.
        key: &'static str,
        /// The place read first.
        first: Origin,
        /// The place read second.
        second: Origin,
    },
    /// A `--set` that is not `section.key=value`.
    #[error("--set takes section.key=value")]
    NotAnAssignment,
    /// A file that is not TOML.
    #[error("{}, line {line}, column {column}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line of the mistake, from 1.
        line: usize,
        /// Column of the mistake, from 1.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A file that cannot be read.
    #[error("{} ({named_by}) cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What named it.
        named_by: String,
        /// Why not.
        source: io::Error,
    },
}

fn suggest(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |nearest| format!(", did you mean {nearest}?"))
}
