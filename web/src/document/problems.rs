//! The errors: which an operation answers with by rule, and what each looks like.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::{
    Components, ContentBuilder, Ref, RefOr, Response, ResponseBuilder, example::ExampleBuilder, path::Operation,
};

use super::{Traits, headers};

/// An error that many operations answer with, described once.
struct Shared {
    name: &'static str,
    status: u16,
    text: &'static str,
}

const MALFORMED: &str = "`body.malformed`: the body is not JSON; `body.unreadable`: it ended before it was complete";
const QUERY: &str = "`query.invalid`: the query string is not understood";
const REPEATED: &str = "`header.repeated`: a header that has one value was sent twice";
const PRECONDITION: &str = "`precondition.malformed`: If-Match or If-None-Match is no list of entity tags";
const KEY: &str = "`idempotency.malformed`: the key is empty, too long or not printable ASCII";
const UNAUTHORIZED: &str = "`unauthorized`: no access token or API key, or one that is no longer good";
const FORBIDDEN: &str = "`forbidden`: the caller may see it, but not do this";
const NOT_FOUND: &str = "`not_found`: there is no such thing, or none that the caller may see";
const IN_PROGRESS: &str = "`idempotency.in_progress`: a request with this key is being answered";
const CONTENDED: &str = "`contended`: others kept changing it; try again";
const CHANGED: &str = "`version.changed`: it is no longer the version in If-Match; read it again and decide anew";
const TOO_LARGE: &str = "`body.too_large`: the body is larger than the service accepts";
const MEDIA_TYPE: &str = "`media_type`: the body is not sent as application/json";
const ENCODED: &str = "`content_encoding`: the body is compressed";
const INVALID: &str = "`body.invalid`: fields are wrong, missing or unknown; `errors` says which, by JSON pointer";
const BOUNDS: &str = "`query.invalid`: a parameter is out of range; `errors` says which";
const MISMATCH: &str = "`idempotency.mismatch`: the key was used for another request";
const NO_VERSION: &str = "`version.required`: there is no If-Match";
const TOO_SLOW: &str = "`body.timeout`: the body was not sent in time";
const FULL: &str = "`storage.full`: there is no room left to store anything; reads go on";
const TOO_MANY: &str = "`rate_limited`: too many requests; wait for Retry-After";
const DEFECT: &str = "`internal`: the service met a defect of its own; report the `trace_id`";
const UNAVAILABLE: &str = "`unavailable`: something is away or full; send the same again after Retry-After";

const SHARED: [Shared; 16] = [
    Shared { name: "RepeatedHeader", status: 400, text: REPEATED },
    Shared { name: "Unauthorized", status: 401, text: UNAUTHORIZED },
    Shared { name: "Forbidden", status: 403, text: FORBIDDEN },
    Shared { name: "NotFound", status: 404, text: NOT_FOUND },
    Shared { name: "BodyTimeout", status: 408, text: TOO_SLOW },
    Shared { name: "Contended", status: 409, text: CONTENDED },
    Shared { name: "VersionChanged", status: 412, text: CHANGED },
    Shared { name: "BodyTooLarge", status: 413, text: TOO_LARGE },
    Shared { name: "MediaType", status: 415, text: MEDIA_TYPE },
    Shared { name: "InvalidBody", status: 422, text: INVALID },
    Shared { name: "OutOfRange", status: 422, text: BOUNDS },
    Shared { name: "VersionRequired", status: 428, text: NO_VERSION },
    Shared { name: "RateLimited", status: 429, text: TOO_MANY },
    Shared { name: "Internal", status: 500, text: DEFECT },
    Shared { name: "Unavailable", status: 503, text: UNAVAILABLE },
    Shared { name: "StorageFull", status: 507, text: FULL },
];

/// Statuses that say different things of different operations: words alone do not tell which.
const AMBIGUOUS: [u16; 4] = [400, 409, 422, 429];

impl Traits {
    /// The errors that an operation with these traits answers with.
    fn problems(&self) -> impl Iterator<Item = (u16, &'static str)> {
        let rules = [
            (self.has_body, 400, MALFORMED),
            (self.has_query, 400, QUERY),
            (self.repeatable, 400, KEY),
            (self.preconditioned, 400, PRECONDITION),
            (self.api, 400, REPEATED),
            (self.guarded, 401, UNAUTHORIZED),
            (self.names_one, 404, NOT_FOUND),
            (self.has_body, 408, TOO_SLOW),
            (self.repeatable, 409, IN_PROGRESS),
            (self.changes, 409, CONTENDED),
            (self.versioned, 412, CHANGED),
            (self.has_body, 413, TOO_LARGE),
            (self.has_body, 415, MEDIA_TYPE),
            (self.has_body, 415, ENCODED),
            (self.has_body, 422, INVALID),
            (self.has_bounds, 422, BOUNDS),
            (self.repeatable, 422, MISMATCH),
            (self.changes, 428, NO_VERSION),
            (self.api, 429, TOO_MANY),
            (self.api, 500, DEFECT),
            (self.api, 503, UNAVAILABLE),
            (self.api && self.stores, 507, FULL),
        ];
        rules.into_iter().filter(|(applies, ..)| *applies).map(|(_, status, text)| (status, text))
    }
}

pub(super) fn describe(components: &mut Components) {
    for Shared { name, status, text } in &SHARED {
        let problem = problem(*status, text, &["X-Request-Id", "RateLimit", "RateLimit-Policy"]);
        components.responses.insert((*name).to_owned(), problem.into());
    }
}

/// Completes the errors that the operation names, and adds those that follow from its traits.
pub(super) fn add(operation: &mut Operation, traits: &Traits) {
    let mut told: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    if traits.api {
        let own = operation.responses.responses.extract_if(.., |status, _| status.as_str() >= "400");
        for (status, response) in own {
            let RefOr::T(Response { description, .. }) = response else { continue };
            let Ok(status) = status.parse() else { continue };
            told.entry(status).or_default().extend(with_code(status, description));
        }
    }
    for (status, text) in traits.problems() {
        let texts = told.entry(status).or_default();
        if !texts.iter().any(|own| codes(own).any(|(code, _)| Some(code) == codes(text).next().map(|(code, _)| code))) {
            texts.push(text.to_owned());
        }
    }
    let headers = headers::of_all(traits);
    for (status, texts) in told {
        let text = texts.join("; ");
        let shared = SHARED.iter().find(|shared| (shared.status, shared.text) == (status, text.as_str()));
        let response = match shared {
            Some(shared) => RefOr::Ref(Ref::from_response_name(shared.name)),
            None => problem(status, &text, &headers).into(),
        };
        operation.responses.responses.insert(status.to_string(), response);
    }
}

/// What an operation says of an error, with the code that the status has where it names none; nothing
/// where it says nothing that is not said of all.
fn with_code(status: u16, description: String) -> Option<String> {
    let shared = SHARED.iter().find(|shared| shared.status == status).map(|shared| shared.text);
    if description.is_empty() {
        return shared.map(str::to_owned);
    }
    if description.starts_with('`') {
        return Some(description);
    }
    let (code, _) = codes(shared?).next()?;
    debug_assert!(!AMBIGUOUS.contains(&status), "of {status} the code has to be named: {description}");
    Some(format!("`{code}`: {description}"))
}

/// Codes and what they mean, of a text such as "`email.taken`: …; `global_id.taken`: …".
fn codes(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("; `").filter_map(|part| part.trim_start_matches('`').split_once("`: "))
}

/// An error with an example for each of its codes.
fn problem(status: u16, text: &str, names: &[&str]) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
    let examples = codes(text).map(|(code, detail)| {
        let example = ExampleBuilder::new().summary(detail).value(Some(example(status, code, detail)));
        (code.to_owned(), example.build())
    });
    let content = content.examples_from_iter(examples).build();
    let mut response = ResponseBuilder::new().description(text).content("application/problem+json", content).build();
    let mut names = names.to_vec();
    match status {
        401 => names.push("WWW-Authenticate"),
        429 | 503 | 507 => names.push("Retry-After"),
        _ => {}
    }
    headers::carry(&mut response, &names);
    response
}

fn example(status: u16, code: &str, detail: &str) -> Value {
    let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut problem = json!({
        "type": format!("urn:safire:problem:{code}"), "title": title, "status": status, "code": code,
        "detail": detail, "trace_id": "903ee1652d1a454b8d108042626e8c11",
    });
    if let Some(error) = field_error(code) {
        problem["errors"] = json!([error]);
    }
    problem
}

/// The field that is wrong, for the codes that name fields.
fn field_error(code: &str) -> Option<Value> {
    match code {
        "body.invalid" => Some(json!({ "pointer": "/name", "code": "required", "message": "missing field `name`" })),
        "query.invalid" => Some(
            json!({ "pointer": "/limit", "code": "out_of_range", "message": "limit is 500, allowed are 1 to 200" }),
        ),
        "analysis.invalid" => Some(json!({
            "pointer": "/samples", "code": "out_of_range",
            "message": "samples are 0, allowed are 1 to 10000000", "allowed": { "min": 1, "max": 10_000_000, "unit": "1" },
        })),
        "breakeven.invalid" => Some(json!({
            "pointer": "/metric", "code": "value", "message": "\"profit\" is no metric",
        })),
        "inputs.invalid" => Some(json!({
            "pointer": "/inputs/economics/discount_rate", "code": "out_of_range",
            "message": "discount rate is -1, which is out of range; allowed is 0 to 1",
            "allowed": { "min": 0, "max": 1, "unit": "1" },
        })),
        _ => None,
    }
}
