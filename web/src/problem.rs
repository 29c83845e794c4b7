//! Every error that a client sees: `application/problem+json` (RFC 9457) with a stable code.
//!
//! This is the only place that knows statuses of errors. What a client should do follows from the
//! status: 4xx, change the request; 409, read the resource again; 429 and 503, wait for Retry-After
//! and send the same request again.

use std::{borrow::Cow, error::Error, time::Duration};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use safire_actors::{Unavailable, database::DatabaseError};
use safire_domain::engine::{Allowed, Invalid, Violation};
use serde::Serialize;
use utoipa::ToSchema;

use crate::observe;

/// How long a client should wait for what is away, in seconds.
const RETRY_AFTER: u64 = 1;

/// The same when somebody has to make room first.
const RETRY_AFTER_ROOM: u64 = 60;

/// An error, as the client sees it.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    /// In seconds.
    retry_after: Option<u64>,
}

/// One field of the request that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where it is, as a JSON pointer into the body.
    #[schema(example = "/inputs/economics/discount_rate")]
    pub pointer: String,
    /// What is wrong, for programs.
    #[schema(example = "out_of_range")]
    pub code: Cow<'static, str>,
    /// What is wrong, for people: the field, the value, the range and the unit.
    pub message: String,
    /// The allowed range and its unit, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Allowed>,
}

impl FieldError {
    /// A field that is wrong, without a range.
    pub fn new(pointer: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.to_owned(), code: code.into(), message: message.into(), allowed: None }
    }
}

impl From<Violation> for FieldError {
    fn from(Violation { pointer, code, message, allowed }: Violation) -> Self {
        Self { pointer, code: code.into(), message, allowed }
    }
}

/// One wrong field is a problem of its own.
impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::invalid("body.invalid", vec![error])
    }
}

/// The body of every error: RFC 9457 with a stable `code`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Names the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:safire:problem:inputs.invalid")]
    kind: String,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The kind of problem, for programs; stable.
    #[schema(example = "inputs.invalid")]
    code: &'static str,
    /// What happened, for people.
    detail: Cow<'static, str>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Names this request in the logs.
    trace_id: String,
}

impl Problem {
    /// A problem without fields.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// There is no such thing, or none that the caller may see.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    /// The caller is not known.
    pub fn unauthorized(detail: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// The caller may not do this.
    pub fn forbidden(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// The caller may see the resource but not change it.
    pub fn read_only(what: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            format!("the {what} is another's: you may read it, not change it"),
        )
    }

    /// The resource is not in the state that the request needs.
    pub fn conflict(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// Somebody else changed the resource meanwhile.
    pub fn contended() -> Self {
        Self::conflict("contended", "others kept changing the resource; try again")
    }

    /// Fields of the request are wrong.
    pub fn invalid(code: &'static str, errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => only.message.clone(),
            more => format!("{} fields are wrong", more.len()),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail) }
    }

    /// Its status, code, detail and fields, for an answer that is about many things.
    pub(crate) fn into_parts(self) -> (StatusCode, &'static str, String, Vec<FieldError>) {
        (self.status, self.code, self.detail.into_owned(), self.errors)
    }

    /// The same problem with the fields that it is about.
    pub fn naming(self, errors: Vec<FieldError>) -> Self {
        Self { errors, ..self }
    }

    /// Something inside is broken: logged here, and not shown.
    pub fn defect(error: &dyn Error) -> Self {
        tracing::error!(error = %chain(error), "a request met a defect");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the service met a defect of its own")
    }

    /// Something is away or full: the same request may succeed a little later.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        let retry_after = Some(RETRY_AFTER);
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail) }
    }

    /// What the request would store finds no room: it succeeds once somebody has made some.
    pub fn full() -> Self {
        let detail = "the database has no room left; what is stored can be read";
        let retry_after = Some(RETRY_AFTER_ROOM);
        Self { retry_after, ..Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage.full", detail) }
    }

    /// The caller asks too often: the same request is welcome after `wait`.
    pub fn too_many(code: &'static str, detail: &'static str, wait: Duration) -> Self {
        let retry_after = Some(whole_seconds(wait).max(1));
        Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail) }
    }
}

/// The violations of an input document that stands at `prefix` in the body.
pub(crate) fn field_errors(prefix: &str, violations: &[Violation]) -> Vec<FieldError> {
    let error = |violation: &Violation| FieldError {
        pointer: format!("{prefix}{}", violation.pointer),
        code: violation.code.into(),
        message: violation.message.clone(),
        allowed: violation.allowed.clone(),
    };
    violations.iter().map(error).collect()
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::invalid("inputs.invalid", field_errors("/inputs", invalid.violations()))
    }
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        tracing::warn!(%unavailable, "a request was turned away");
        Self::unavailable(unavailable.to_string())
    }
}

impl From<&DatabaseError> for Problem {
    fn from(error: &DatabaseError) -> Self {
        use safire_store::Error as Store;
        match error {
            DatabaseError::Unavailable(unavailable) => (*unavailable).into(),
            DatabaseError::Store(Store::Offline(_)) => {
                tracing::warn!(error = %chain(error), "a request was turned away");
                Self::unavailable("the database cannot be reached")
            }
            DatabaseError::Store(Store::Full(_)) => {
                tracing::error!(error = %chain(error), "a request was turned away");
                Self::full()
            }
            DatabaseError::Store(Store::Contended) => Self::contended(),
            DatabaseError::Store(_) => Self::defect(error),
        }
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        Self::from(&error)
    }
}

/// Seconds, rounded up: who waits that long has waited long enough.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            kind: format!("urn:safire:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            errors: self.errors,
            trace_id: observe::trace_id(),
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
