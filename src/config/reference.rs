//! Every key for people, as a page of Markdown: what it means is what its field says.

use toml::{Table, Value};
use utoipa::{
    PartialSchema,
    openapi::{RefOr, Schema},
};

use super::{Config, keys::KEYS, sections};

/// What the page says before the keys.
const HEAD: &str = "# Configuration

Made by `safire config reference`; a test compares. How the layers override each other is in
[operating](operating.md#configuration). A variable with `_FILE` names a file that holds the value.
";

/// The page.
pub fn reference() -> String {
    let defaults = Table::try_from(Config::default()).unwrap_or_default();
    let mut page = HEAD.to_owned();
    let mut section = None;
    for key in KEYS {
        let (of, name) = key.path.split_once('.').map_or((None, key.path), |(section, name)| (Some(section), name));
        if section != Some(of) {
            section = Some(of);
            page += &heading(of);
        }
        let default = match key.path {
            // What this machine would choose says nothing.
            "calculations.threads" => "by the machine".to_owned(),
            "database.url" => "a file in `data_dir`".to_owned(),
            _ => shown(of.map_or(Some(&defaults), |section| defaults.get(section)?.as_table()), name),
        };
        let variables: Vec<_> = key.variables().into_iter().map(|(variable, _)| format!("`{variable}`")).collect();
        let meaning = description(of, Some(name));
        let allowed = key.allowed();
        page += &format!("| `{}` | {default} | {allowed} | {meaning} | {} |\n", key.path, variables.join(", "));
    }
    page
}

fn heading(section: Option<&str>) -> String {
    let title = section.map_or_else(|| "Beside the sections".to_owned(), |section| format!("`[{section}]`"));
    let meaning = section.map(|_| format!("{}\n\n", description(section, None))).unwrap_or_default();
    format!("\n## {title}\n\n{meaning}| key | default | allowed | what it is | variables |\n|---|---|---|---|---|\n")
}

fn shown(table: Option<&Table>, name: &str) -> String {
    match table.and_then(|table| table.get(name)) {
        None => "none".to_owned(),
        Some(Value::Array(items)) if items.is_empty() => "none".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => value.to_string(),
    }
}

/// What the documentation of the field, or of the section's type, says.
fn description(section: Option<&str>, name: Option<&str>) -> String {
    let schema = match section {
        None => Config::schema(),
        Some("http") => sections::Http::schema(),
        Some("database") => sections::Database::schema(),
        Some("cache") => sections::Cache::schema(),
        Some("calculations") => sections::Calculations::schema(),
        Some("feed") => sections::Feed::schema(),
        Some("imports") => sections::Imports::schema(),
        Some("auth") => sections::Auth::schema(),
        Some("limits") => sections::Limits::schema(),
        Some("admin") => sections::Admin::schema(),
        Some("shutdown") => sections::Shutdown::schema(),
        Some("metrics") => sections::Metrics::schema(),
        Some("log") => sections::Log::schema(),
        Some("traces") => sections::Traces::schema(),
        Some(_) => return String::new(),
    };
    let RefOr::T(Schema::Object(object)) = schema else { return String::new() };
    let text = match name {
        None => object.description,
        Some(name) => match object.properties.get(name) {
            Some(RefOr::T(Schema::Object(field))) => field.description.clone(),
            Some(RefOr::T(Schema::Array(field))) => field.description.clone(),
            _ => None,
        },
    };
    text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}
