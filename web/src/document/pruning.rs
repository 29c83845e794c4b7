//! Components that no operation refers to are left out: parts of others that were merged into them, and errors
//! that every operation describes in its own words.

use std::collections::BTreeSet;

use serde_json::Value;
use utoipa::openapi::OpenApi;

/// Keeps the components that the operations refer to, by themselves or through others.
pub(super) fn prune(document: &mut OpenApi) {
    let Ok(whole) = serde_json::to_value(&*document) else { return };
    let used = used(&whole);
    let Some(components) = &mut document.components else { return };
    let is_used = |kind: &str, name: &str| used.contains(format!("#/components/{kind}/{name}").as_str());
    components.schemas.retain(|name, _| is_used("schemas", name));
    components.responses.retain(|name, _| is_used("responses", name));
    components.headers.retain(|name, _| is_used("headers", name));
    components.parameters.retain(|name, _| is_used("parameters", name));
}

/// The references of operations, and of all that they refer to.
fn used(document: &Value) -> BTreeSet<&str> {
    let mut used = BTreeSet::new();
    let mut open = Vec::new();
    references(&document["paths"], &mut open);
    while let Some(at) = open.pop() {
        if used.insert(at) {
            document.pointer(at.trim_start_matches('#')).inspect(|component| references(component, &mut open));
        }
    }
    used
}

fn references<'d>(part: &'d Value, found: &mut Vec<&'d str>) {
    match part {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_operation_refers_to_through_others_is_kept_and_the_rest_is_not() {
        let mut document: OpenApi = serde_json::from_value(json!({
            "openapi": "3.1.0", "info": { "title": "t", "version": "1" },
            "paths": { "/a": { "get": { "responses": { "200": { "$ref": "#/components/responses/A" } } } } },
            "components": {
                "responses": {
                    "A": { "description": "", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Used" } } } },
                    "B": { "description": "" },
                },
                "schemas": {
                    "Used": { "type": "array", "items": { "$ref": "#/components/schemas/Deep" } },
                    "Deep": { "type": "string" },
                    "Loop": { "type": "array", "items": { "$ref": "#/components/schemas/Loop" } },
                },
            },
        }))
        .unwrap();
        prune(&mut document);
        let components = document.components.unwrap();
        assert_eq!(components.responses.keys().collect::<Vec<_>>(), ["A"]);
        assert_eq!(
            components.schemas.keys().collect::<BTreeSet<_>>(),
            BTreeSet::from([&"Deep".into(), &"Used".into()])
        );
    }
}
