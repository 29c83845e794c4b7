//! The examples of a document, run by a shell with curl against a service of their own.
//!
//! All `sh` and `python` blocks of a document run in order, `sh` in one shell. What a block prints is compared with
//! the `json` or `text` block that follows it. The words after a fence's language say what else a block is:
//!
//! | after the language | the block |
//! |---|---|
//! | | runs, and succeeds: an answer of 400 or more is a failure. `json`, `text`: what the block before prints |
//! | `fails` | runs; its last command fails |
//! | `first` | runs, and runs also before the blocks of every other document: what it sets is there |
//! | `file: NAME` | is put into that file |
//! | `not run: WHY` | is not run; `json` is JSON all the same |

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::{
    app::ADMIN,
    markdown::{Block, Document, ROOT},
    python::python,
    similar::{json_differs, text_differs},
};

/// Where a service is, as the documents have it.
const ADDRESS: &str = "http://127.0.0.1:8000";

/// Before all examples: a failure ends the shell.
const PROLOGUE: &str = "set -euo pipefail\n";

/// The longest that the examples of a document may take, in seconds.
const LONGEST: &str = "300";

/// Answers of 400 and more are failures, and nothing but the answer is printed.
const CURLRC: &str = "silent\nshow-error\nfail-with-body\nnoproxy = \"*\"\nmax-time = 60\n";

/// `cargo run --release -- …`, without cargo: the program is there.
const CARGO: &str = r#"#!/bin/bash
[[ "$1 $2 $3" == "run --release --" ]] || { echo "only: cargo run --release -- ..." >&2; exit 1; }
shift 3
[[ $1 != try-it ]] || set -- "$@" --url "$SAFIRE_URL"
exec safire "$@"
"#;

/// curl, which also shows what was refused: mostly the answer goes into a pipe.
const CURL: &str = r#"#!/bin/bash
"$(PATH=/usr/local/bin:/usr/bin:/bin command -v curl)" "$@" | tee last-answer
status=${PIPESTATUS[0]}
((status == 0)) || cat last-answer >&2
exit "$status"
"#;

/// What is to be done with a block.
enum Task {
    Run { succeeds: bool },
    Compare,
    Put(String),
    Leave,
}

fn task(block: &Block) -> Result<Task, String> {
    let is_code = ["sh", "python"].contains(&block.language.as_str());
    let is_answer = ["json", "text"].contains(&block.language.as_str());
    match (block.note.as_str(), block.note.split_once(": ")) {
        ("" | "first", _) if is_code => Ok(Task::Run { succeeds: true }),
        ("fails", _) if is_code => Ok(Task::Run { succeeds: false }),
        ("", _) if is_answer => Ok(Task::Compare),
        (_, Some(("file", name))) => Ok(Task::Put(name.to_owned())),
        (_, Some(("not run", why))) if !why.trim().is_empty() => Ok(Task::Leave),
        _ => Err(format!(
            "```{} {} is neither run nor marked. Let it run (sh, python; json and text are what the block before \
             prints), or write why not: ```{} not run: because …",
            block.language, block.note, block.language
        )),
    }
}

/// Runs a document's examples against the service at `base`; says what is wrong with which of them.
pub async fn run(document: &Document, base: &str) -> Vec<String> {
    let (blocks, name, base) = (document.blocks(), document.name.clone(), base.to_owned());
    let first = if name == "docs/api.md" { Vec::new() } else { Document::of("docs/api.md").blocks() };
    let first = first.into_iter().filter(|block| block.note == "first").collect();
    let wrong = spawn_blocking(move || Examples::new(&base, blocks, first).run()).await.expect("it does not panic");
    wrong.into_iter().map(|(line, why)| format!("{name}:{line}: {why}")).collect()
}

struct Examples {
    blocks: Vec<Block>,
    first: Vec<Block>,
    base: String,
    files: tempfile::TempDir,
}

type Wrong = (usize, String);

/// The file that says which block runs.
const AT: &str = ".at";

/// The file of what a block prints.
fn printed(line: usize, of: &str, kind: &str) -> String {
    format!(".{line}{of}.{kind}")
}

impl Examples {
    fn new(base: &str, blocks: Vec<Block>, first: Vec<Block>) -> Self {
        let files = tempfile::tempdir().expect("a temporary directory");
        Self { blocks, first, base: base.to_owned(), files }
    }

    /// All that is wrong.
    fn run(&self) -> Vec<Wrong> {
        let mut script = PROLOGUE.to_owned();
        self.first.iter().for_each(|block| script += &self.step("first", block, true));
        let mut wrong = Vec::new();
        for block in &self.blocks {
            wrong.extend(not_json(block));
            match task(block) {
                Ok(Task::Run { succeeds }) => script += &self.step("", block, succeeds),
                Ok(Task::Put(name)) => fs::write(self.files.path().join(name), self.here(&block.text)).expect("a file"),
                Ok(Task::Compare | Task::Leave) => {}
                Err(why) => wrong.push((block.line, why)),
            }
        }
        self.prepare(&script);
        match self.execute() {
            Ok(()) => wrong.extend(self.compare()),
            Err(failed) => wrong.push(failed),
        }
        wrong
    }

    /// A block as a part of the script: where it stands and what it prints go into files.
    fn step(&self, of: &str, block: &Block, succeeds: bool) -> String {
        let Block { line, language, text, .. } = block;
        let text = self.here(text);
        let text = match language.as_str() {
            "python" => format!("python3 - <<'END_OF_EXAMPLE'\n{text}END_OF_EXAMPLE\n"),
            _ => text,
        };
        let (out, err) = (printed(*line, of, "out"), printed(*line, of, "err"));
        let (place, block) = (format!("echo {line} {of} >{AT}\n"), format!("{{\n{text}}} >{out} 2>{err}"));
        match succeeds {
            true => format!("{place}{block}\n"),
            false => format!("{place}if {block}; then echo it does not fail >>{err}; exit 1; fi\n"),
        }
    }

    fn here(&self, text: &str) -> String {
        text.replace(ADDRESS, &self.base)
    }

    /// The directory in which the examples run: the repository's files, and programs.
    fn prepare(&self, script: &str) {
        let at = self.files.path();
        for part in ["docs", "examples", "grafana", "scripts", "tests"] {
            symlink(Path::new(ROOT).join(part), at.join(part)).expect("a link");
        }
        fs::create_dir(at.join("bin")).expect("a directory");
        symlink(env!("CARGO_BIN_EXE_safire"), at.join("bin/safire")).expect("a link");
        for (name, text) in [("cargo", CARGO), ("curl", CURL)] {
            let program = at.join("bin").join(name);
            fs::write(&program, text).expect("a file");
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program");
        }
        fs::write(at.join(".curlrc"), CURLRC).expect("a file");
        fs::write(at.join("script"), script).expect("a file");
    }

    fn execute(&self) -> Result<(), Wrong> {
        let at = self.files.path();
        let beside_python = python().parent().expect("a directory").display().to_string();
        let path = format!("{}:{beside_python}:/usr/local/bin:/usr/bin:/bin", at.join("bin").display());
        let status = Command::new("timeout")
            .args([LONGEST, "bash", "script"])
            .current_dir(at)
            .env_clear()
            .envs([("PATH", path.as_str()), ("SAFIRE_URL", &self.base), ("NO_PROXY", "*")])
            .envs([("SAFIRE_ADMIN_EMAIL", ADMIN.0), ("SAFIRE_ADMIN_PASSWORD", ADMIN.1)])
            .env("HOME", at)
            .stdin(Stdio::null())
            .status()
            .expect("bash runs");
        if status.success() {
            return Ok(());
        }
        let place = self.file(AT);
        let (line, of) = place.trim().split_once(' ').unwrap_or((place.trim(), ""));
        let line = line.parse().unwrap_or(0);
        let said = ["out", "err"].map(|kind| self.file(&printed(line, of, kind))).concat();
        let of = if of.is_empty() { "" } else { " (of docs/api.md, which runs first)" };
        Err((line, format!("the example{of} fails: {said}")))
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.files.path().join(name)).unwrap_or_default()
    }

    /// Compares what is written with what the block before printed; says all that differs.
    fn compare(&self) -> Vec<Wrong> {
        let (mut last, mut wrong) = (None, Vec::new());
        for block in &self.blocks {
            match task(block) {
                Ok(Task::Run { .. }) => last = Some(block.line),
                Ok(Task::Compare) => wrong.extend(self.differs(block, last).map(|why| (block.line, why))),
                _ => {}
            }
        }
        wrong
    }

    /// How a block differs from what the block at that line printed.
    fn differs(&self, block: &Block, printer: Option<usize>) -> Option<String> {
        let Some(printer) = printer else { return Some("no block before it prints anything".to_owned()) };
        let said = self.file(&printed(printer, "", "out"));
        let differs = match block.language.as_str() {
            "json" => json_says(&block.text, &said),
            _ => text_differs(&self.here(&block.text), &said),
        };
        differs.map(|why| format!("{why}\nThe block of line {printer} prints: {said:.4000}"))
    }
}

/// What is wrong with a block that is to be JSON and is not.
fn not_json(block: &Block) -> Option<Wrong> {
    let error = serde_json::from_str::<Value>(&block.text).err().filter(|_| block.language == "json")?;
    Some((block.line, format!("it is not JSON: {error}; leave parts out with \"…\"")))
}

/// How the last JSON that was printed differs from what is written.
fn json_says(written: &str, printed: &str) -> Option<String> {
    let written: Value = serde_json::from_str(written).ok()?;
    let last = serde_json::Deserializer::from_str(printed).into_iter::<Value>().last();
    match last {
        Some(Ok(printed)) => json_differs("", &written, &printed),
        _ => Some("what the block before prints does not end with JSON".to_owned()),
    }
}
