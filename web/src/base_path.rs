//! The path below which clients reach the service, when a proxy in front serves others beside it.
//!
//! Proxies pass requests on with that path or without it: both are taken.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    Request, Uri,
    uri::{Parts, PathAndQuery},
};
use tower::Service;

/// A service that finds its routes whether or not the proxy has taken the base path away.
#[derive(Clone)]
pub struct BelowPath<S> {
    base: Arc<str>,
    inner: S,
}

impl<S> BelowPath<S> {
    pub(crate) fn new(base: &str, inner: S) -> Self {
        Self { base: base.into(), inner }
    }
}

impl<B, S: Service<Request<B>>> Service<Request<B>> for BelowPath<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(uri) = without(&self.base, request.uri()) {
            *request.uri_mut() = uri;
        }
        self.inner.call(request)
    }
}

/// The URI without the base path, when it is below that.
fn without(base: &str, uri: &Uri) -> Option<Uri> {
    if base.is_empty() {
        return None;
    }
    let rest = uri.path_and_query()?.as_str().strip_prefix(base)?;
    let path: PathAndQuery = match rest.bytes().next() {
        Some(b'/') => rest.parse().ok()?,
        Some(b'?') => format!("/{rest}").parse().ok()?,
        None => PathAndQuery::from_static("/"),
        // Another path, which only begins alike.
        Some(_) => return None,
    };
    let mut parts = Parts::from(uri.clone());
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_path_is_taken_away_once_and_only_as_a_whole() {
        let rest = |base, uri: &'static str| without(base, &Uri::from_static(uri)).map(|uri| uri.to_string());
        assert_eq!(rest("/safire", "/safire/api/v1/projects?limit=1").as_deref(), Some("/api/v1/projects?limit=1"));
        assert_eq!(rest("/safire", "http://host/safire/docs/").as_deref(), Some("http://host/docs/"));
        assert_eq!(rest("/a/b", "/a/b/a/b/health").as_deref(), Some("/a/b/health"));
        assert_eq!(rest("/safire", "/safire").as_deref(), Some("/"));
        assert_eq!(rest("/safire", "/safire?a=1").as_deref(), Some("/?a=1"));
        for other in ["/api/v1/projects", "/safire-2/health", "/", "/x/safire/health"] {
            assert_eq!(rest("/safire", other), None, "{other}");
        }
        assert_eq!(rest("", "/health"), None);
    }
}
