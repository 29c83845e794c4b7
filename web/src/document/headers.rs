//! The headers of requests and answers.

use http::Method;
use serde_json::{Value, json};
use utoipa::openapi::{
    Components, Header, HeaderBuilder, Object, ObjectBuilder, Ref, RefOr, Required, Response, Type,
    extensions::Extensions,
    path::{Operation, ParameterBuilder, ParameterIn},
};

use super::{Traits, standard};
use crate::idempotency;

/// A header, described once for all operations.
struct Described {
    name: &'static str,
    kind: Kind,
    /// Whether it is there wherever it is named.
    always: bool,
    example: &'static str,
    text: &'static str,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Seconds,
    Key,
    Event,
    Tags,
}

#[rustfmt::skip]
const OF_ANSWERS: [Described; 8] = [
    Described { name: "X-Request-Id", kind: Kind::Text, always: true, example: "903ee1652d1a454b8d108042626e8c11",
        text: "Names the request in the logs: the client's own when that is a plain word of up to 64 characters." },
    Described { name: "Location", kind: Kind::Text, always: true, example: "/api/v1/projects/01a1f914-e4c8-7d26-be8e-d1e3f79d9011",
        text: "Where it is." },
    Described { name: "ETag", kind: Kind::Text, always: false, example: "\"3\"",
        text: "The version that this is, for If-Match and If-None-Match." },
    Described { name: "Retry-After", kind: Kind::Seconds, always: true, example: "1",
        text: "Ask again after so many seconds." },
    Described { name: "WWW-Authenticate", kind: Kind::Text, always: true, example: "Bearer",
        text: "How to say who asks." },
    Described { name: "Preference-Applied", kind: Kind::Text, always: false, example: "wait=5",
        text: "The preference that was followed, if one was." },
    Described { name: "RateLimit", kind: Kind::Text, always: false, example: "\"requests\";r=599;t=1",
        text: "What is left: r requests now, all that are allowed in t seconds." },
    Described { name: "RateLimit-Policy", kind: Kind::Text, always: false, example: "\"requests\";q=600;w=60",
        text: "What is allowed: q requests at once, and again within w seconds." },
];

#[rustfmt::skip]
const OF_REQUESTS: [Described; 5] = [
    Described { name: "If-Match", kind: Kind::Tags, always: false, example: "*",
        text: "The ETag of the version that is changed, or `*` for whichever there is." },
    Described { name: "If-None-Match", kind: Kind::Tags, always: false, example: "\"0\"",
        text: "On GET, the ETag of what the client has: 304 while that is still so. On PUT, `*`: only where there is none." },
    Described { name: "Idempotency-Key", kind: Kind::Key, always: false, example: "0f0c7a5e-houston",
        text: "Any text. Sent again with the same key within 24 hours, the request makes nothing and is answered as the first time." },
    Described { name: "Prefer", kind: Kind::Text, always: false, example: "wait=5",
        text: "`wait=N`: answer when the run has ended, or after N seconds; 20 at most, unless configured otherwise." },
    Described { name: "Last-Event-ID", kind: Kind::Event, always: false, example: "812-1",
        text: "The id of the last event that was seen: what came after it is told first." },
];

/// A star, or entity tags with commas between them (RFC 9110, 8.8.3).
const TAGS: &str = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#;

impl Kind {
    fn schema(self) -> Object {
        let schema = ObjectBuilder::new();
        match self {
            Self::Text => schema.schema_type(Type::String).build(),
            Self::Event => schema.schema_type(Type::String).pattern(Some(r"^[0-9]{1,18}-[0-9]{1,18}$")).build(),
            Self::Tags => schema.schema_type(Type::String).pattern(Some(TAGS)).build(),
            Self::Seconds => schema.schema_type(Type::Integer).minimum(Some(0)).build(),
            Self::Key => schema
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(idempotency::LONGEST))
                .pattern(Some(r"^[!-~]([ -~]*[!-~])?$"))
                .build(),
        }
    }

    fn value(self, text: &str) -> Value {
        match self {
            Self::Text | Self::Key | Self::Event | Self::Tags => json!(text),
            Self::Seconds => serde_json::from_str(text).unwrap_or_default(),
        }
    }
}

pub(super) fn describe(components: &mut Components) {
    for of_answers in &OF_ANSWERS {
        let Described { name, kind, always, example, text } = of_answers;
        let header = HeaderBuilder::new()
            .schema(Some(kind.schema()))
            .description(Some(*text))
            .example(Some(kind.value(example)))
            // A field of OpenAPI's, of which utoipa does not know.
            .extensions(always.then(|| Extensions::from_iter([("required", true)])))
            .build();
        components.headers.insert((*name).to_owned(), header.into());
    }
    for of_requests in &OF_REQUESTS {
        let Described { name, kind, example, text, .. } = of_requests;
        let parameter = |required| {
            let parameter = ParameterBuilder::new().name(*name).parameter_in(ParameterIn::Header).required(required);
            let parameter = parameter.description(Some(*text)).schema(Some(kind.schema()));
            parameter.example(Some(kind.value(example))).build()
        };
        components.parameters.insert((*name).to_owned(), parameter(Required::False).into());
        if *name == "If-Match" {
            components.parameters.insert(REQUIRED_IF_MATCH.to_owned(), parameter(Required::True).into());
        }
    }
}

/// The component that describes If-Match where it has to be sent.
const REQUIRED_IF_MATCH: &str = "If-Match-Required";

/// If-Match, where it has to be sent.
pub(super) fn required_if_match() -> Ref {
    Ref::new(format!("#/components/parameters/{REQUIRED_IF_MATCH}"))
}

/// The parameter of that name, as it is described for all.
pub(super) fn parameter(name: &str) -> Ref {
    let known = OF_REQUESTS.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    Ref::new(format!("#/components/parameters/{}", known.map_or(name, |header| header.name)))
}

/// The headers that answers have.
pub(crate) fn of_answers() -> impl Iterator<Item = &'static str> {
    OF_ANSWERS.iter().map(|header| header.name)
}

/// Adds headers of those names to an answer; a header that it names itself is described like everywhere.
pub(super) fn carry(response: &mut Response, names: &[&str]) {
    let own: Vec<_> = response.headers.keys().cloned().collect();
    for name in own.iter().map(String::as_str).chain(names.iter().copied()) {
        let reference = Ref::new(format!("#/components/headers/{name}"));
        response.headers.insert(name.to_owned(), RefOr::<Header>::Ref(reference));
    }
}

/// The headers of every answer.
pub(super) fn of_all(traits: &Traits) -> Vec<&'static str> {
    if traits.api { vec!["X-Request-Id", "RateLimit", "RateLimit-Policy"] } else { vec!["X-Request-Id"] }
}

/// The headers of answers that are no errors.
pub(super) fn add(operation: &mut Operation, method: &Method, traits: &Traits) {
    if traits.conditional {
        let unchanged = Response::new("The client has it already");
        operation.responses.responses.insert("304".to_owned(), unchanged.into());
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let mut names = of_all(traits);
        match status.as_str() {
            "200" if traits.changes || traits.conditional => names.push("ETag"),
            "201" if response.headers.contains_key("Location") => names.push("ETag"),
            "202" => names.extend(["Location", "Retry-After"]),
            "304" => names.push("ETag"),
            _ => {}
        }
        if traits.waits && status.starts_with('2') {
            names.push("Preference-Applied");
        }
        if response.description.is_empty() {
            response.description = standard(status, method).to_owned();
        }
        carry(response, &names);
    }
}
