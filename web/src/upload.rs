//! A file that is sent: it goes to disk as it comes, and no further than it may.
//!
//! What a form has beside its file is kept in memory by whoever takes it apart, and is little; a client that sends next to
//! nothing holds a place that others wait for, and is cut.

use std::{
    fs::File,
    io::{self, Seek, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream},
    extract::{
        Multipart,
        multipart::{Field, MultipartError},
    },
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::StatusCode;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{Problem, body::too_large, problem::FieldError};

/// A file as it was sent.
pub(crate) struct Upload {
    pub file: File,
    /// The name that its sender gave it.
    pub name: String,
    /// Tells it from every other file.
    pub digest: [u8; 32],
}

/// So much beyond the limit is taken in and thrown away: a client that is still sending would not see the answer.
const THROWN_AWAY: usize = 64 << 20;

/// Bytes of a form that may be taken in before they are known to be the file's: its headers and what is around them.
/// More than comes at once from a connection, so that what is only on its way does not count.
const BESIDE_FILE: usize = 1 << 20;

/// Whoever sends less than that in such a time drips.
const LEAST: usize = 32 << 10;
const WINDOW: Duration = Duration::from_secs(10);

/// A form as it comes, watched.
#[derive(Debug, Clone, Default)]
pub(crate) struct Intake(Arc<Came>);

#[derive(Debug, Default)]
struct Came {
    /// Bytes that came, less those that were the file's.
    beside: AtomicUsize,
    is_too_much: AtomicBool,
    is_too_slow: AtomicBool,
}

impl Intake {
    /// The body as it comes, up to what it may have beside its file, and not too slowly.
    pub fn body(&self, body: Body) -> Body {
        let state = (body.into_data_stream(), self.clone(), Window::new());
        Body::from_stream(stream::unfold(Some(state), |state| async {
            let (mut body, intake, mut window) = state?;
            let next = intake.next(&mut body, &mut window).await?;
            let rest = next.is_ok().then_some((body, intake, window));
            Some((next, rest))
        }))
    }

    async fn next(&self, body: &mut BodyDataStream, window: &mut Window) -> Option<io::Result<Bytes>> {
        let came = &self.0;
        let Ok(chunk) = window.next(body).await else {
            came.is_too_slow.store(true, Ordering::Relaxed);
            return Some(Err(io::Error::from(io::ErrorKind::TimedOut)));
        };
        let chunk = match chunk? {
            Ok(chunk) => chunk,
            Err(error) => return Some(Err(io::Error::other(error))),
        };
        if came.beside.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len() > BESIDE_FILE {
            came.is_too_much.store(true, Ordering::Relaxed);
            return Some(Err(io::Error::from(io::ErrorKind::FileTooLarge)));
        }
        Some(Ok(chunk))
    }

    /// Takes bytes that came off: they were the file's.
    fn is_of_the_file(&self, bytes: usize) {
        self.0.beside.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Why a form was not read.
    fn refused(&self, error: &MultipartError) -> Problem {
        if self.0.is_too_slow.load(Ordering::Relaxed) {
            return too_slow();
        }
        if self.0.is_too_much.load(Ordering::Relaxed) {
            let detail = format!("the form has more than {BESIDE_FILE} bytes beside its file");
            return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body.too_large", detail);
        }
        let detail = format!("the form cannot be read: {}", error.body_text());
        Problem::new(StatusCode::BAD_REQUEST, "body.malformed", detail)
    }
}

/// The time in which something has to come.
struct Window {
    until: Instant,
    came: usize,
}

/// Too little came in time.
struct TooSlow;

impl Window {
    fn new() -> Self {
        Self { until: Instant::now() + WINDOW, came: 0 }
    }

    /// The chunk that comes next; none at the end of the body.
    async fn next(&mut self, body: &mut BodyDataStream) -> Result<Option<Result<Bytes, axum::Error>>, TooSlow> {
        loop {
            match timeout_at(self.until, body.next()).await {
                Ok(chunk) => {
                    self.came += chunk.as_ref().and_then(|chunk| chunk.as_ref().ok()).map_or(0, Bytes::len);
                    return Ok(chunk);
                }
                Err(_) if self.came < LEAST => return Err(TooSlow),
                Err(_) => *self = Self::new(),
            }
        }
    }
}

fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body.timeout", "the file was not sent in time")
}

/// The longest name that is kept.
const LONGEST_NAME: usize = 200;

/// Takes in the field `file` of a form, in time, into a file without a name.
pub(crate) async fn receive(
    form: Multipart,
    intake: &Intake,
    blank: File,
    limit: usize,
    time: Duration,
) -> Result<Upload, Problem> {
    timeout(time, take(form, intake, blank, limit)).await.unwrap_or_else(|_| Err(too_slow()))
}

async fn take(mut form: Multipart, intake: &Intake, blank: File, limit: usize) -> Result<Upload, Problem> {
    let mut blank = Some(blank);
    let mut upload = None;
    while let Some(field) = form.next_field().await.map_err(|error| intake.refused(&error))? {
        match (field.name(), blank.take()) {
            (Some("file"), Some(file)) => upload = Some(store(field, intake, file, limit).await?),
            (Some("file"), None) => {
                return Err(FieldError::new("/file", "column.repeated", "there are two files, send one").into());
            }
            (name, _) => {
                let name = name.unwrap_or_default().chars().take(64).collect::<String>();
                let message = format!("unknown field `{name}`, expected `file`");
                return Err(FieldError::new(&format!("/{name}"), "field.unknown", message).into());
            }
        }
    }
    upload.ok_or_else(|| FieldError::new("/file", "required", "missing field `file`").into())
}

async fn store(mut field: Field<'_>, intake: &Intake, mut file: File, limit: usize) -> Result<Upload, Problem> {
    let name = name(field.file_name().unwrap_or_default());
    let (mut hash, mut length) = (Sha256::new(), 0);
    while let Some(chunk) = field.chunk().await.map_err(|error| intake.refused(&error))? {
        intake.is_of_the_file(chunk.len());
        length += chunk.len();
        if length > limit + THROWN_AWAY {
            break;
        }
        if length > limit {
            continue;
        }
        hash.update(&chunk);
        // Off the threads that answer requests: a disk may be slow.
        let written = tokio::task::spawn_blocking(move || file.write_all(&chunk).map(|()| file));
        file = written.await.map_err(|error| Problem::defect(&error))?.map_err(not_stored)?;
    }
    if length > limit {
        return Err(too_large(limit));
    }
    file.rewind().map_err(not_stored)?;
    Ok(Upload { file, name, digest: hash.finalize().into() })
}

/// The last part of a path, as far as it can be shown.
fn name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    last.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect()
}

/// Why a file was not kept on this machine's disk.
pub(crate) fn not_stored(error: std::io::Error) -> Problem {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Problem::full(),
        _ => Problem::defect(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_is_the_last_part_of_its_path() {
        assert_eq!(name("C:\\plants\\houston.csv"), "houston.csv");
        assert_eq!(name("../../etc/passwd"), "passwd");
        assert_eq!(name("a\u{0}b\n"), "ab");
        assert_eq!(name(&"ü".repeat(300)).chars().count(), LONGEST_NAME);
    }
}
