//! Requests, by the template of their route: the paths that clients send would be endless.

use std::{collections::HashMap, sync::Arc, time::Duration};

use metrics::{Counter, Histogram, Recorder};

use crate::{Declared, Kind, REQUESTS, instrument::Instrument};

pub(crate) const REQUESTS_TOTAL: Declared = Declared {
    name: "safire_http_requests_total",
    help: "Requests that were answered, by the class of the answer's status.",
    kind: Kind::Counter,
    edges: &[],
};

pub(crate) const DURATION: Declared = Declared {
    name: "safire_http_request_duration_seconds",
    help: "How long requests took until their answer began.",
    kind: Kind::Histogram,
    edges: REQUESTS,
};

pub(crate) const REFUSALS: Declared = Declared {
    name: "safire_rate_limit_refusals_total",
    help: "Requests that a rate limit refused, by the limit and the route; the general limit has no route of its own.",
    kind: Kind::Counter,
    edges: &[],
};

/// The route of requests that no route takes.
const UNMATCHED: &str = "unmatched";

/// The limit that counts all requests, and the route that stands for all.
const GENERAL: (&str, &str) = ("requests", "any");

/// A switch of protocols counts as `2xx`.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// A route with a method.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Such as `GET`.
    pub method: String,
    /// Its template, such as `/api/v1/projects/{id}`.
    pub route: String,
    /// The limit that it has beside the general one.
    pub limit: Option<&'static str>,
}

/// The series of one operation.
#[derive(Clone)]
pub struct OperationMetrics {
    classes: [Counter; CLASSES.len()],
    duration: Histogram,
    refusals: Counter,
}

/// The series of all operations.
#[derive(Clone)]
pub struct Http(Arc<Inner>);

struct Inner {
    by_route: HashMap<String, Vec<(String, OperationMetrics)>>,
    unmatched: OperationMetrics,
    refusals: Counter,
}

impl Default for Http {
    fn default() -> Self {
        Self::register(&metrics::NoopRecorder, &[])
    }
}

impl Http {
    pub(crate) fn register(recorder: &dyn Recorder, operations: &[Operation]) -> Self {
        let mut by_route: HashMap<_, Vec<_>> = HashMap::new();
        for operation in operations {
            let metrics = OperationMetrics::register(recorder, operation);
            by_route.entry(operation.route.clone()).or_default().push((operation.method.clone(), metrics));
        }
        let unmatched = Operation { method: "any".to_owned(), route: UNMATCHED.to_owned(), limit: None };
        let unmatched = OperationMetrics::register(recorder, &unmatched);
        let labels = [("limit", GENERAL.0), ("route", GENERAL.1)];
        Self(Arc::new(Inner { by_route, unmatched, refusals: Counter::register(recorder, REFUSALS.name, &labels) }))
    }

    /// The series of an operation, or of all that is none.
    pub fn of(&self, method: &str, route: Option<&str>) -> &OperationMetrics {
        let methods = route.and_then(|route| self.0.by_route.get(route));
        let found = methods.and_then(|methods| methods.iter().find(|(known, _)| known == method));
        found.map_or(&self.0.unmatched, |(_, metrics)| metrics)
    }

    /// A request was refused by that limit.
    pub fn refused(&self, limit: &str, method: &str, route: &str) {
        match limit {
            limit if limit == GENERAL.0 => self.0.refusals.increment(1),
            _ => self.of(method, Some(route)).refusals.increment(1),
        }
    }
}

impl OperationMetrics {
    fn register(recorder: &dyn Recorder, Operation { method, route, limit }: &Operation) -> Self {
        let own = [("method", method.as_str()), ("route", route.as_str())];
        let class = |class| Counter::register(recorder, REQUESTS_TOTAL.name, &[own[0], own[1], ("status", class)]);
        let refusals = limit.map(|limit| Counter::register(recorder, REFUSALS.name, &[("limit", limit), own[1]]));
        Self {
            classes: CLASSES.map(class),
            duration: Histogram::register(recorder, DURATION.name, &own),
            refusals: refusals.unwrap_or_else(Counter::noop),
        }
    }

    /// A request was answered.
    pub fn answered(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100).clamp(2, CLASSES.len() + 1);
        self.classes[class - 2].increment(1);
        self.duration.record(took);
    }
}
