//! The description of the API: what is true of every operation is said here, once, and read from the
//! operation itself. The routes say what is special about theirs.
//!
//! A route names its header parameters and the headers of its answers; what they are stands in
//! [`headers`]. It describes an error as "`code`: what happened", one after the other where there are
//! several, or with words alone where the status has one code; the rest of the error is in [`problems`].
//! The tests hold every answer of the service against what is said here.

mod examples;
pub(crate) mod headers;
mod problems;
mod pruning;
mod security;
mod variants;

use std::collections::BTreeMap;

use http::{
    Method,
    header::{IF_MATCH, IF_NONE_MATCH},
};
use utoipa::openapi::{
    Components, OpenApi, PathItem, Ref, RefOr, Required, Schema,
    path::{Operation, Parameter, ParameterIn},
    schema::ArrayItems,
};

use crate::{Settings, idempotency::IDEMPOTENCY_KEY, limits, prefer::PREFER, routes::IMPORT};
use examples::Examples;

/// Where the API is.
pub(crate) const API: &str = "/api/v1";

/// Adds to the routes' own descriptions what is true of all.
pub(crate) fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    name_the_items(&mut components.schemas);
    variants::merge_tags(&mut components.schemas);
    let examples = Examples::of(components);
    security::describe(components);
    headers::describe(components);
    problems::describe(components);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            describe(operation, &method, path, components, &examples);
        }
    }
    pruning::prune(document);
}

fn describe(operation: &mut Operation, method: &Method, path: &str, components: &Components, examples: &Examples) {
    name(operation);
    if path.starts_with(API) {
        security::guard(operation);
        tell_limits(operation, method, path);
    } else {
        // Said, rather than left out: nobody is asked who they are.
        operation.security = Some(Vec::new());
    }
    let traits = Traits::of(operation, method, path);
    describe_parameters(operation, &traits, components);
    headers::add(operation, method, &traits);
    problems::add(operation, &traits);
    examples.add(operation);
}

/// What the rules go by.
#[derive(Debug, Clone, Copy)]
struct Traits {
    /// It is part of the API, and not at the root.
    api: bool,
    guarded: bool,
    /// It changes what is there, and has to name the version that it changes.
    changes: bool,
    /// It may name the version that it is of.
    versioned: bool,
    /// It has If-Match or If-None-Match.
    preconditioned: bool,
    has_body: bool,
    has_query: bool,
    /// A parameter of the query is a number within bounds.
    has_bounds: bool,
    /// It is about the one thing that its path names.
    names_one: bool,
    /// It may be sent again without being done again.
    repeatable: bool,
    /// It does not answer what the client has already.
    conditional: bool,
    /// It can be asked to wait.
    waits: bool,
    /// It may store something.
    stores: bool,
}

impl Traits {
    fn of(operation: &Operation, method: &Method, path: &str) -> Self {
        let parameters: Vec<_> = operation.parameters.iter().flatten().filter_map(of_its_own).collect();
        let header = |name: &str| {
            parameters.iter().any(|p| p.parameter_in == ParameterIn::Header && p.name.eq_ignore_ascii_case(name))
        };
        let (if_match, if_none_match) = (header(IF_MATCH.as_str()), header(IF_NONE_MATCH.as_str()));
        let changes = matches!(*method, Method::PUT | Method::PATCH);
        let query = || parameters.iter().filter(|p| p.parameter_in == ParameterIn::Query);
        Self {
            api: path.starts_with(API),
            guarded: security::is_guarded(operation),
            changes,
            versioned: changes || if_match,
            preconditioned: changes || if_match || if_none_match,
            has_body: operation.request_body.is_some(),
            has_query: query().next().is_some(),
            has_bounds: query().any(|p| is_bounded(p)),
            names_one: path.contains('{'),
            repeatable: header(IDEMPOTENCY_KEY.as_str()),
            conditional: *method == Method::GET && if_none_match,
            waits: header(PREFER.as_str()),
            stores: *method != Method::GET,
        }
    }
}

fn of_its_own(parameter: &RefOr<Parameter>) -> Option<&Parameter> {
    match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    }
}

fn is_bounded(parameter: &Parameter) -> bool {
    let Some(RefOr::T(Schema::Object(schema))) = &parameter.schema else { return false };
    schema.minimum.is_some() || schema.maximum.is_some()
}

/// What is to say of a success about which nothing else is.
fn standard(status: &str, method: &Method) -> &'static str {
    match (status, method) {
        ("201", _) => "What was made",
        ("204", _) => "Done",
        (_, &Method::GET) => "What was asked for",
        _ => "As it is now",
    }
}

pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, post, put, patch, delete, .. } = item;
    let all = [
        (Method::GET, get),
        (Method::POST, post),
        (Method::PUT, put),
        (Method::PATCH, patch),
        (Method::DELETE, delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Group and handler: `projects_create`. Clients make their functions' names of it.
fn name(operation: &mut Operation) {
    let group = operation.tags.iter().flatten().next().map(|tag| tag.replace([' ', '-'], "_"));
    if let (Some(group), Some(handler)) = (group, &operation.operation_id) {
        operation.operation_id = Some(format!("{group}_{handler}"));
    }
}

fn tell_limits(operation: &mut Operation, method: &Method, path: &str) {
    let mut told = limits::described(method, path);
    match &operation.request_body {
        None => {}
        Some(_) if path == IMPORT => told.push(format!("a file of {} MiB", Settings::IMPORT_LIMIT >> 20)),
        Some(_) => told.push(format!("a body of {} KiB", Settings::BODY_LIMIT >> 10)),
    }
    let told = format!("Limits, unless configured otherwise: {}.", told.join(", "));
    let own = operation.description.take().filter(|text| !text.is_empty());
    operation.description = Some(own.into_iter().chain([told]).collect::<Vec<_>>().join("\n\n"));
}

/// Header parameters are described once; a path's parameter is what its type is.
fn describe_parameters(operation: &mut Operation, traits: &Traits, components: &Components) {
    let parameters = operation.parameters.get_or_insert_default();
    for parameter in parameters.iter_mut() {
        let RefOr::T(own) = parameter else { continue };
        if own.parameter_in == ParameterIn::Header {
            *parameter = RefOr::Ref(headers::parameter(&own.name));
        } else if own.parameter_in == ParameterIn::Path {
            own.required = Required::True;
            own.description = own.description.take().or_else(|| described(own.schema.as_ref(), components));
        }
    }
    let names_it = |parameter: &RefOr<Parameter>| *parameter == RefOr::Ref(headers::parameter(IF_MATCH.as_str()));
    if traits.changes && !parameters.iter().any(names_it) {
        parameters.push(RefOr::Ref(headers::required_if_match()));
    }
    operation.parameters.take_if(|parameters| parameters.is_empty());
}

fn described(schema: Option<&RefOr<Schema>>, components: &Components) -> Option<String> {
    let RefOr::Ref(Ref { ref_location, .. }) = schema? else { return None };
    let name = ref_location.rsplit('/').next()?;
    let RefOr::T(Schema::Object(schema)) = components.schemas.get(name)? else { return None };
    schema.description.clone()
}

/// A page of things refers to the description of the things, instead of repeating it.
fn name_the_items(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    for (name, schema) in schemas {
        let (Some(item), RefOr::T(Schema::Object(page))) = (name.strip_prefix("Page_"), schema) else { continue };
        if let Some(RefOr::T(Schema::Array(list))) = page.properties.get_mut("items") {
            list.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
}
