//! An example for every body, put together from those that the types give.

use serde_json::{Map, Value, json};
use utoipa::openapi::{Components, Content, RefOr, Schema, path::Operation};

/// The schemas, as they are written.
pub(super) struct Examples(Value);

impl Examples {
    pub fn of(components: &Components) -> Self {
        Self(serde_json::to_value(&components.schemas).unwrap_or_default())
    }

    /// Gives an example to every body that has none.
    pub fn add(&self, operation: &mut Operation) {
        if let Some(RefOr::T(body)) = &mut operation.request_body {
            body.content.values_mut().for_each(|content| self.complete(content));
        }
        let good = operation.responses.responses.iter_mut().filter(|(status, _)| status.starts_with('2'));
        for (_, response) in good {
            if let RefOr::T(response) = response {
                response.content.values_mut().for_each(|content| self.complete(content));
            }
        }
    }

    fn complete(&self, content: &mut RefOr<Content>) {
        let RefOr::T(content) = content else { return };
        if content.example.is_none() && content.examples.is_empty() {
            content.example = content.schema.as_ref().and_then(|schema| self.of_schema(schema));
        }
    }

    fn of_schema(&self, schema: &RefOr<Schema>) -> Option<Value> {
        self.example(&serde_json::to_value(schema).ok()?)
    }

    /// The schema's own example, or one of its parts' examples.
    fn example(&self, schema: &Value) -> Option<Value> {
        if let Some(own) = schema.get("example").or_else(|| schema["examples"].get(0)) {
            return Some(own.clone());
        }
        if let Some(reference) = schema["$ref"].as_str() {
            return self.example(self.0.get(reference.rsplit('/').next()?)?);
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let parts = parts.iter().filter_map(|part| self.example(part)?.as_object().cloned());
            return Some(Value::Object(parts.flatten().collect()));
        }
        if let Some(any) = schema["oneOf"].as_array() {
            return any.iter().filter(|one| one["type"] != "null").find_map(|one| self.example(one));
        }
        if let Some(first) = schema["enum"].get(0) {
            return Some(first.clone());
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"].get(0)?.as_str())?;
        match kind {
            "object" => Some(self.of_properties(schema)),
            "array" => Some(self.example(&schema["items"]).into_iter().collect()),
            "boolean" => Some(json!(true)),
            "integer" => Some(schema.get("minimum").cloned().unwrap_or(json!(1))),
            "string" => match schema["format"].as_str()? {
                "uuid" => Some(json!("01a1f914-e4c8-7d26-be8e-d1e3f79d9011")),
                "date-time" => Some(json!("2026-11-20T09:30:00Z")),
                _ => None,
            },
            _ => None,
        }
    }

    fn of_properties(&self, schema: &Value) -> Value {
        let mut all = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(example) = self.example(property) {
                all.insert(name.clone(), example);
            }
        }
        Value::Object(all)
    }
}
