//! The exclusive lock of an SQLite file, which one process owns, and whom its files may be read by.
//!
//! The system takes the lock back when the process ends, however it ends. It is on a file beside the database, whose name
//! follows from what the database's name leads to: another name of the same file is the same file.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use safire_domain::Timestamp;

/// The lock of a database file, until it is dropped.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock, and makes the file where there is none; refused with who holds it.
    pub fn take(database: &Path, now: Timestamp) -> anyhow::Result<Self> {
        let database = made(database).with_context(|| format!("cannot make {}", database.display()))?;
        let links = fs::metadata(&database)?.nlink();
        ensure!(
            links == 1,
            "{} is one of {links} names of a file (hard links): SQLite cannot keep such a file whole; copy it instead",
            database.display()
        );
        let at = beside(&database);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&at)
            .with_context(|| format!("cannot open {}", at.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "{} is in use by {}: one process owns an SQLite file; stop that one first, or use PostgreSQL for several",
                database.display(),
                holder(&mut file)
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", at.display()));
            }
        }
        file.set_len(0)?;
        writeln!(file, "process {}{} since {}", std::process::id(), host(), now.to_rfc3339())?;
        Ok(Self { _file: file })
    }
}

/// Who holds the lock, by their own words.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.read_to_string(&mut text).is_ok();
    let text = text.trim();
    if read && !text.is_empty() { text.to_owned() } else { "another process".to_owned() }
}

/// Containers that share a directory number their processes alike.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { String::new() } else { format!(" on {}", name.trim()) }
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// The file that the name leads to; a new one is for its owner alone. One that is there is not opened: closing it would
/// take from this process the locks that SQLite has on it.
fn made(database: &Path) -> std::io::Result<PathBuf> {
    if !fs::exists(database)? {
        OpenOptions::new().append(true).create(true).mode(0o600).open(database)?;
    }
    fs::canonicalize(database)
}

/// Makes a directory for its owner alone, unless it is there.
pub fn private_directory(path: &Path) -> anyhow::Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot make the directory {}", path.display()))
        }
        _ => Ok(()),
    }
}
