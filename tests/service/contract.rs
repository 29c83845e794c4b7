//! What the service serves, held against its description: the client of the tests looks at every answer as it comes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use reqwest::Method;
use serde_json::Value;

use crate::description::{document, follow, operations};

/// Paths that are no part of the API: they describe it.
const DESCRIBING: [&str; 2] = ["/docs", "/openapi.json"];

/// The codes of each status of each operation, by method and path.
pub type Codes = BTreeMap<(String, String), BTreeMap<u16, BTreeSet<String>>>;

static DESCRIBED: LazyLock<Codes> = LazyLock::new(|| codes(&document()));

/// The codes that a description has.
pub fn codes(document: &Value) -> Codes {
    let mut all = Codes::new();
    for (name, operation) in operations(document) {
        let (method, path) = name.split_once(' ').expect("a method and a path");
        let statuses = all.entry((method.to_owned(), path.to_owned())).or_default();
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let problem = &follow(document, response)["content"]["application/problem+json"];
            let codes = problem["examples"].as_object().into_iter().flatten().map(|(code, _)| code.clone());
            statuses.insert(status.parse().expect("a status"), codes.collect());
        }
    }
    all
}

/// An answer: to what, and its status.
#[derive(Debug)]
pub struct Served<'a> {
    pub method: &'a Method,
    pub path: &'a str,
    pub status: u16,
}

impl Served<'_> {
    /// Fails where the description does not have this status, or this code of a problem.
    #[track_caller]
    pub fn is_described(&self, code: Option<&str>) {
        if let Err(missing) = self.look(&DESCRIBED, code) {
            panic!("{missing}");
        }
    }

    fn look(&self, described: &Codes, code: Option<&str>) -> Result<(), String> {
        let path = self.path.split('?').next().unwrap_or_default();
        if *self.method == Method::OPTIONS || DESCRIBING.iter().any(|at| path.starts_with(at)) {
            return Ok(());
        }
        let method = if *self.method == Method::HEAD { &Method::GET } else { self.method };
        let Some(template) = template(described, path) else {
            return self.is_only((404, "not_found"), code, "no route has that path");
        };
        let Some(statuses) = described.get(&(method.to_string(), template.to_owned())) else {
            return self.is_only((405, "method"), code, "the path has no such method");
        };
        let fits = statuses.get(&self.status).is_some_and(|codes| code.is_none_or(|code| codes.contains(code)));
        if fits || (self.status < 400 && statuses.contains_key(&self.status)) {
            return Ok(());
        }
        Err(self.missing(&format!("{method} {template}"), code, statuses))
    }

    fn is_only(&self, right: (u16, &str), code: Option<&str>, why: &str) -> Result<(), String> {
        match (self.status, code.unwrap_or(right.1)) == right {
            true => Ok(()),
            false => Err(format!("{self:?} with {code:?}, but {why}: only {right:?} is right")),
        }
    }

    /// What to do about an answer that is not described.
    fn missing(&self, operation: &str, code: Option<&str>, described: &BTreeMap<u16, BTreeSet<String>>) -> String {
        let status = self.status;
        let (code, meaning) = match code.filter(|_| status >= 400) {
            Some(code) => (format!(" `{code}`"), format!("`{code}`: when that is")),
            None => (String::new(), "what that is".to_owned()),
        };
        format!(
            "{operation} answered {status}{code} (to {self:?}), which the description does not say of it.\n\
             Described: {described:?}.\n\
             1. Say it in the `responses` of the handler's #[utoipa::path]: \
             (status = {status}, description = \"{meaning}\"), several codes of a status as \
             \"`a`: ...; `b`: ...\"; or, where a rule says when operations answer so, in web/src/document/problems.rs.\n\
             2. cargo run -- openapi > docs/openapi.json\n\
             3. Name a new code in the table of docs/api.md, under Errors."
        )
    }
}

/// The path as it is described: the one of those that fit which names most of it.
fn template<'d>(described: &'d Codes, path: &str) -> Option<&'d str> {
    let fitting = described.keys().map(|(_, template)| template.as_str()).filter(|template| fits(template, path));
    fitting.min_by_key(|template| template.split('/').map(|part| part.starts_with('{')).collect::<Vec<_>>())
}

fn fits(template: &str, path: &str) -> bool {
    let (parts, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let is_same = |(part, given): (&&str, &&str)| part == given || (part.starts_with('{') && !given.is_empty());
    parts.len() == given.len() && parts.iter().zip(&given).all(is_same)
}

#[test]
fn an_answer_that_is_not_described_says_what_to_add_and_where() {
    let served = |method: Method, path: &str, status, code| {
        Served { method: &method, path, status }.look(&DESCRIBED, Some(code)).map_err(|why| why.replace('\n', " "))
    };
    let compare = "/api/v1/scenarios/compare?ids=a";
    assert_eq!(served(Method::GET, compare, 422, "query.invalid"), Ok(()));
    let missing = served(Method::GET, compare, 422, "body.invalid").unwrap_err();
    for told in ["GET /api/v1/scenarios/compare answered 422 `body.invalid`", "status = 422", "docs/api.md"] {
        assert!(missing.contains(told), "{missing}");
    }
    assert!(served(Method::GET, compare, 418, "teapot").is_err());
    assert_eq!(served(Method::GET, "/api/v1/nothing", 404, "not_found"), Ok(()));
    assert!(served(Method::GET, "/api/v1/nothing", 410, "gone").is_err());
    assert_eq!(served(Method::TRACE, "/health", 405, "method"), Ok(()));
    assert!(served(Method::TRACE, "/health", 404, "not_found").is_err());
}
