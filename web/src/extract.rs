//! What handlers take from a request; whatever does not parse is a [`Problem`].

use std::str::FromStr;

use axum::extract::{FromRequestParts, Query as RawQuery, RawPathParams};
use http::{StatusCode, request::Parts};
use safire_domain::{
    RunId, ScenarioId,
    name::ZoneId,
    reading::{self, Unread},
    scenario::Pathway,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Problem;

/// Reads a value, or says where in the body it went wrong and how.
pub(crate) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    reading::parse(json).map_err(|unread| match unread {
        Unread::Wrong(violation) => Problem::invalid("body.invalid", vec![violation.into()]),
        Unread::Malformed(why) => Problem::new(StatusCode::BAD_REQUEST, "body.malformed", why),
    })
}

/// Reads a part of the body that stands at `at`.
pub(crate) fn read<T: DeserializeOwned>(at: &str, part: Value) -> Result<T, Problem> {
    reading::read(at, part).map_err(|violation| Problem::invalid("body.invalid", vec![violation.into()]))
}

/// The id in the path. One that is not an id names nothing: 404.
pub(crate) struct Id<T>(pub T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = RawPathParams::from_request_parts(parts, state).await;
        let path = path.map_err(|_| Problem::not_found("resource"))?;
        let id = path.iter().find(|(name, _)| *name == "id").and_then(|(_, value)| value.parse().ok());
        id.map(Self).ok_or_else(|| Problem::not_found("resource"))
    }
}

/// The ids of a scenario and of one of its runs, under the names `{id}` and `{run_id}`.
pub(crate) struct InRun(pub ScenarioId, pub RunId);

impl<S: Send + Sync> FromRequestParts<S> for InRun {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Id(scenario) = Id::from_request_parts(parts, state).await?;
        let path = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Problem::not_found("run"))?;
        let run = path.iter().find(|(name, _)| *name == "run_id").and_then(|(_, value)| value.parse().ok());
        run.map(|run| Self(scenario, run)).ok_or_else(|| Problem::not_found("run"))
    }
}

/// The text id in the path, under the name `{zone_id}`. One that is malformed names nothing: 404.
pub(crate) struct InZone(pub ZoneId);

impl<S: Send + Sync> FromRequestParts<S> for InZone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = RawPathParams::from_request_parts(parts, state).await;
        let path = path.map_err(|_| Problem::not_found("zone"))?;
        let id = path.iter().find(|(name, _)| *name == "zone_id").and_then(|(_, value)| value.parse().ok());
        id.map(Self).ok_or_else(|| Problem::not_found("zone"))
    }
}

/// The pathway in the path, under the names `{process}`, `{feedstock}` and `{country}`.
pub(crate) struct InPathway(pub Pathway);

impl<S: Send + Sync> FromRequestParts<S> for InPathway {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = RawPathParams::from_request_parts(parts, state).await;
        let path = path.map_err(|_| Problem::not_found("default set"))?;
        let code = |name| code(&path, name);
        let pathway =
            || Some(Pathway { process: code("process")?, feedstock: code("feedstock")?, country: code("country")? });
        pathway().map(Self).ok_or_else(|| Problem::not_found("default set"))
    }
}

/// The code in the path, under the name `{code}`.
pub(crate) struct InCode(pub String);

impl<S: Send + Sync> FromRequestParts<S> for InCode {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = RawPathParams::from_request_parts(parts, state).await;
        let path = path.map_err(|_| Problem::not_found("resource"))?;
        code(&path, "code").map(Self).ok_or_else(|| Problem::not_found("resource"))
    }
}

/// A code in the path; one with a control character is nobody's, and PostgreSQL takes no NUL.
fn code(path: &RawPathParams, name: &str) -> Option<String> {
    let (_, code) = path.iter().find(|(key, _)| *key == name)?;
    (!code.chars().any(char::is_control)).then(|| code.to_owned())
}

/// The query string.
pub(crate) struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match RawQuery::from_request_parts(parts, state).await {
            Ok(RawQuery(query)) => Ok(Self(query)),
            Err(rejection) => Err(Problem::new(StatusCode::BAD_REQUEST, "query.invalid", rejection.body_text())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Outer {
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Inner {
        number: f64,
    }

    fn refused(json: &str) -> String {
        format!("{:?}", parse::<Outer>(json.as_bytes()).expect_err("is refused"))
    }

    #[test]
    fn what_does_not_parse_is_named_by_pointer() {
        assert!(refused(r#"{"inner":{"number":"7"}}"#).contains("\"/inner/number\""));
        assert!(refused(r#"{"inner":{"number":1,"a/b":2}}"#).contains("\"/inner/a~1b\""));
        assert!(refused(r#"{"inner":{"number":1e999}}"#).contains("not_finite"));
        assert!(refused(r#"{"inner":{}}"#).contains("\"/inner/number\", code: \"required\""));
    }

    #[test]
    fn an_array_is_no_body_even_if_its_entries_would_do() {
        assert!(refused(r#" [{"number":1}]"#).contains("invalid type: sequence, expected an object"));
    }

    #[test]
    fn what_is_not_json_is_called_malformed() {
        for text in ["", "{", r#"{"inner":{"number":NaN}}"#, r#"{"inner":{"number":1}} x"#] {
            assert!(refused(text).contains("body.malformed"), "{text:.40}");
        }
    }
}
