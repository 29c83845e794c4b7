//! What was asked and what was answered, one line each, written as it happens.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::Value;

/// A request and its answer.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// When it was sent, in milliseconds from the beginning.
    pub at_ms: u64,
    pub took_ms: u64,
    pub who: String,
    pub method: String,
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `None` when no answer came.
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The code of a refusal, or why no answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The run that the answer speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

impl Entry {
    /// Whether a run was acknowledged.
    pub fn acknowledged(&self) -> Option<&str> {
        let asked = self.method == "POST" && (self.path.contains("/calculate") || self.path.contains("/retry"));
        let accepted = matches!(self.status, Some(200 | 202));
        self.run.as_deref().filter(|_| asked && accepted)
    }
}

/// The history of one test.
pub struct History {
    begun: Instant,
    path: PathBuf,
    kept: Mutex<Kept>,
}

struct Kept {
    entries: Vec<Entry>,
    file: BufWriter<File>,
}

impl History {
    pub fn new(name: &str, seed: u64) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = directory.join(format!("chaos-{name}.jsonl"));
        let mut file = BufWriter::new(File::create(&path).expect("a file for the history"));
        writeln!(file, "{{\"test\":\"{name}\",\"seed\":{seed}}}").expect("it can be written");
        Self { begun: Instant::now(), path, kept: Mutex::new(Kept { entries: Vec::new(), file }) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, entry: Entry) {
        let line = serde_json::to_string(&entry).expect("JSON");
        let mut kept = self.kept();
        writeln!(kept.file, "{line}").expect("it can be written");
        kept.entries.push(entry);
    }

    /// Everything so far.
    pub fn entries(&self) -> Vec<Entry> {
        let mut kept = self.kept();
        kept.file.flush().expect("it can be written");
        kept.entries.clone()
    }
}

/// A text in an answer.
pub fn text(json: &Value, name: &str) -> Option<String> {
    json[name].as_str().map(str::to_owned)
}

/// The value below which so much of all lies.
pub fn percentile(values: &mut [Duration], part: f64) -> Duration {
    values.sort_unstable();
    let index = ((values.len() as f64 * part).ceil() as usize).clamp(1, values.len()) - 1;
    values[index]
}
