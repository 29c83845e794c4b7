//! A file that is sent: it goes to disk as it comes, and no further than it may.

use std::{
    fs::File,
    io::{Seek, Write},
    time::Duration,
};

use axum::extract::{
    Multipart,
    multipart::{Field, MultipartError},
};
use http::StatusCode;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

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

/// The longest name that is kept.
const LONGEST_NAME: usize = 200;

/// Takes in the field `file` of a form, in time, into a file without a name.
pub(crate) async fn receive(form: Multipart, blank: File, limit: usize, time: Duration) -> Result<Upload, Problem> {
    let received = timeout(time, take(form, blank, limit)).await;
    received.unwrap_or_else(|_| {
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body.timeout", "the file was not sent in time"))
    })
}

async fn take(mut form: Multipart, blank: File, limit: usize) -> Result<Upload, Problem> {
    let mut blank = Some(blank);
    let mut upload = None;
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        match (field.name(), blank.take()) {
            (Some("file"), Some(file)) => upload = Some(store(field, file, limit).await?),
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

async fn store(mut field: Field<'_>, mut file: File, limit: usize) -> Result<Upload, Problem> {
    let name = name(field.file_name().unwrap_or_default());
    let (mut hash, mut length) = (Sha256::new(), 0);
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
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

fn unreadable(error: MultipartError) -> Problem {
    let detail = format!("the form cannot be read: {}", error.body_text());
    Problem::new(StatusCode::BAD_REQUEST, "body.malformed", detail)
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
