//! Every key: what its value may be, and the variables that set it.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use toml::Value;

/// One key of the configuration.
pub(super) struct Key {
    /// Its place in the file, such as `http.port`.
    pub path: &'static str,
    kind: Kind,
    /// The variable that sets it beside `SAFIRE_SECTION__KEY`.
    alias: Option<&'static str>,
}

enum Kind {
    Number(RangeInclusive<i64>),
    /// `true` or `false`.
    Flag,
    Text(Check),
    /// Text that no error shows.
    Secret(Check),
    /// Texts: as one text, separated by commas.
    List(Check),
    /// Texts that no error shows: as one text, separated by commas or line breaks.
    Secrets(Check),
}

/// What is wrong with a text.
type Check = fn(&str) -> Result<(), String>;

/// How a variable gives its value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As a TOML value, or as it stands.
    Toml,
    /// As it stands.
    Plain,
    /// In the file it names.
    File,
}

#[rustfmt::skip] // a table
pub(super) const KEYS: &[Key] = &[
    text("data_dir", not_empty),
    text("http.host", is_host),
    number("http.port", 0..=65_535),
    number("http.body_limit_bytes", 1024..=1_073_741_824),
    number("http.header_timeout_ms", 100..=600_000),
    number("http.body_timeout_ms", 100..=3_600_000),
    number("http.request_timeout_ms", 100..=3_600_000),
    number("http.idle_timeout_ms", 1000..=3_600_000),
    number("http.max_connections", 1..=1_000_000),
    number("http.max_connections_per_address", 1..=1_000_000),
    list("http.trusted_proxies", is_network),
    text("http.base_path", is_base_path),
    list("http.cors_origins", is_origin),
    secret("database.url", is_database).with_alias("DATABASE_URL"),
    number("database.connections", 1..=1000),
    number("database.overflow", 0..=1000),
    number("database.recycle_s", 1..=86_400),
    number("database.readers", 1..=64),
    number("database.queue", 1..=1_000_000),
    number("database.acquire_timeout_ms", 1..=600_000),
    number("database.statement_timeout_ms", 1..=3_600_000),
    secret("cache.redis_url", is_redis).with_alias("REDIS_URL"),
    number("cache.redis_timeout_ms", 1..=10_000),
    number("cache.entries", 1..=10_000_000),
    number("cache.local_ttl_ms", 1..=3_600_000),
    number("cache.master_data_ttl_s", 1..=2_592_000),
    number("calculations.threads", 1..=1024),
    number("calculations.queue", 1..=1_000_000),
    number("calculations.deadline_s", 1..=86_400),
    number("calculations.sync_wait_s", 1..=3600),
    number("calculations.lease_s", 1..=3600),
    text("feed.brokers", is_brokers).with_alias("KAFKA_BROKERS"),
    text("feed.group", not_empty),
    number("imports.at_once", 1..=100),
    number("imports.file_limit_bytes", 1024..=4_294_967_296),
    number("imports.rows", 1..=10_000_000),
    number("imports.unpacked_limit_bytes", 1024..=17_179_869_184),
    number("imports.upload_timeout_ms", 100..=3_600_000),
    secret("auth.jwt_secret", is_long_enough).with_alias("SAFIRE_JWT_SECRET"),
    secrets("auth.jwt_previous_secrets", is_long_enough).with_alias("SAFIRE_JWT_PREVIOUS_SECRETS"),
    number("auth.access_token_minutes", 1..=1440),
    number("auth.refresh_token_days", 1..=365),
    text("auth.registration", anything),
    number("auth.argon2_memory_kib", 8..=4_194_304),
    number("auth.argon2_iterations", 1..=100),
    number("auth.argon2_permits", 1..=1024),
    number("limits.login_per_minute", 0..=1_000_000),
    number("limits.register_per_hour", 0..=1_000_000),
    number("limits.refresh_per_minute", 0..=1_000_000),
    number("limits.calculate_per_minute", 0..=1_000_000),
    number("limits.quick_per_minute", 0..=1_000_000),
    number("limits.requests_per_minute", 0..=1_000_000),
    text("admin.email", is_email).with_alias("SAFIRE_ADMIN_EMAIL"),
    secret("admin.password", not_empty).with_alias("SAFIRE_ADMIN_PASSWORD"),
    number("shutdown.drain_s", 1..=3600),
    number("shutdown.linger_ms", 0..=60_000),
    flag("metrics.enabled"),
    text("metrics.host", is_host),
    number("metrics.port", 0..=65_535),
    text("log.filter", is_filter),
    text("log.format", anything),
    text("traces.endpoint", is_collector).with_alias("OTEL_EXPORTER_OTLP_ENDPOINT"),
];

const fn number(path: &'static str, range: RangeInclusive<i64>) -> Key {
    Key { path, kind: Kind::Number(range), alias: None }
}

const fn flag(path: &'static str) -> Key {
    Key { path, kind: Kind::Flag, alias: None }
}

const fn text(path: &'static str, check: Check) -> Key {
    Key { path, kind: Kind::Text(check), alias: None }
}

const fn secret(path: &'static str, check: Check) -> Key {
    Key { path, kind: Kind::Secret(check), alias: None }
}

const fn list(path: &'static str, check: Check) -> Key {
    Key { path, kind: Kind::List(check), alias: None }
}

const fn secrets(path: &'static str, check: Check) -> Key {
    Key { path, kind: Kind::Secrets(check), alias: None }
}

impl Key {
    const fn with_alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    pub fn find(path: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.path == path)
    }

    /// The key that a variable sets, and how.
    pub fn of_variable(name: &str) -> Option<(&'static Self, Form)> {
        KEYS.iter().find_map(|key| {
            let (_, form) = key.variables().into_iter().find(|(known, _)| known == name)?;
            Some((key, form))
        })
    }

    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret(_) | Kind::Secrets(_))
    }

    #[cfg(test)]
    pub fn range(&self) -> Option<&RangeInclusive<i64>> {
        match &self.kind {
            Kind::Number(range) => Some(range),
            _ => None,
        }
    }

    /// What values it takes, in few words.
    pub fn allowed(&self) -> String {
        match &self.kind {
            Kind::Number(range) => format!("{} to {}", range.start(), range.end()),
            Kind::Flag => "true, false".to_owned(),
            Kind::Text(_) => "text".to_owned(),
            Kind::Secret(_) => "secret".to_owned(),
            Kind::List(_) => "texts".to_owned(),
            Kind::Secrets(_) => "secrets".to_owned(),
        }
    }

    pub fn variables(&self) -> Vec<(String, Form)> {
        let own = format!("SAFIRE_{}", self.path.to_uppercase().replace('.', "__"));
        let mut variables = vec![(own.clone(), Form::Toml)];
        variables.extend(self.alias.map(|alias| (alias.to_owned(), Form::Plain)));
        if self.is_secret() {
            let names = [Some(own.as_str()), self.alias];
            variables.extend(names.into_iter().flatten().map(|name| (format!("{name}_FILE"), Form::File)));
        }
        variables
    }

    /// The value of a variable or flag: a TOML value where the key takes it, else the text itself.
    /// A secret is the text itself, whatever it looks like.
    pub fn parse(&self, text: &str) -> Value {
        match (&self.kind, text.parse::<Value>()) {
            (Kind::Number(_) | Kind::Flag, Ok(value)) => value,
            (Kind::Text(_), Ok(value @ Value::String(_))) => value,
            (Kind::List(_) | Kind::Secrets(_), Ok(value @ Value::Array(_))) => value,
            _ => self.plain(text),
        }
    }

    /// The value of a text that stands for itself.
    pub fn plain(&self, text: &str) -> Value {
        match self.kind {
            Kind::List(_) | Kind::Secrets(_) => {
                let items = text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
                Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
            }
            _ => Value::String(text.to_owned()),
        }
    }

    /// What is wrong with a value.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        match (&self.kind, value) {
            (Kind::Number(range), Value::Integer(number)) if range.contains(number) => Ok(()),
            (Kind::Number(range), _) => {
                let (min, max) = (range.start(), range.end());
                Err(format!("{} is not a whole number from {min} to {max}", shown(value)))
            }
            (Kind::Flag, Value::Boolean(_)) => Ok(()),
            (Kind::Flag, _) => Err(format!("{} is neither true nor false", shown(value))),
            (Kind::Text(check), Value::String(text)) => {
                check(text).map_err(|problem| format!("{} {problem}", shown(value)))
            }
            (Kind::Text(_), _) => Err(format!("{} is not a string", shown(value))),
            (Kind::Secret(check), Value::String(text)) => check(text).map_err(|problem| format!("the value {problem}")),
            (Kind::Secret(_), _) => Err("the value is not a string".to_owned()),
            (Kind::List(check), Value::Array(items)) => items.iter().try_for_each(|item| {
                let text = item.as_str().ok_or_else(|| format!("{} is not a string", shown(item)))?;
                check(text).map_err(|problem| format!("{} {problem}", shown(item)))
            }),
            (Kind::List(_), _) => Err(format!("{} is not a list of strings", shown(value))),
            (Kind::Secrets(check), Value::Array(items)) => items.iter().try_for_each(|item| {
                let text = item.as_str().ok_or("one of the values is not a string")?;
                check(text).map_err(|problem| format!("one of the values {problem}"))
            }),
            (Kind::Secrets(_), _) => Err("the value is not a list of strings".to_owned()),
        }
    }
}

/// The variable most like `name`, when it is near.
pub(super) fn nearest_variable(name: &str) -> Option<String> {
    let variables = KEYS.iter().flat_map(Key::variables);
    nearest(name, variables.map(|(known, _)| known))
}

/// The key or `[section]` most like `path`, when it is near.
pub(super) fn nearest_key(path: &str) -> Option<String> {
    let paths = KEYS.iter().map(|key| key.path).chain(sections());
    let nearest = nearest(path, paths.map(str::to_owned))?;
    Some(if is_section(&nearest) { format!("[{nearest}]") } else { nearest })
}

pub(super) fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}

fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(|key| Some(key.path.split_once('.')?.0))
}

fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let (distance, nearest) = known.map(|known| (edits(name, &known), known)).min()?;
    (distance <= name.len() / 4 + 1).then_some(nearest)
}

/// Letters to insert, remove or replace to turn one name into the other (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[row.len() - 1]
}

fn shown(value: &Value) -> String {
    match value {
        Value::Table(_) => "a table".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        other => other.to_string(),
    }
}

fn anything(_: &str) -> Result<(), String> {
    Ok(())
}

fn not_empty(text: &str) -> Result<(), String> {
    require(!text.is_empty(), "is empty")
}

fn is_long_enough(text: &str) -> Result<(), String> {
    require(text.len() >= 32, "has fewer than 32 bytes")
}

fn is_host(text: &str) -> Result<(), String> {
    let is_name = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    require(is_name || text.parse::<IpAddr>().is_ok(), "is not an address or a host name")
}

fn is_network(text: &str) -> Result<(), String> {
    let is_one = text.parse::<IpNet>().is_ok_and(|network| network.trunc() == network);
    require(is_one, "is not a network such as 10.0.0.0/8")
}

fn is_origin(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_one = rest.is_some_and(|host| !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && b != b'/'));
    require(is_one, "is not an origin such as https://app.example.com")
}

fn is_base_path(text: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    let is_segment = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(is_plain);
    let path = text.strip_suffix('/').unwrap_or(text);
    let is_one = path.is_empty() || path.strip_prefix('/').is_some_and(|path| path.split('/').all(is_segment));
    require(is_one, "is not a path such as /safire")
}

fn is_email(text: &str) -> Result<(), String> {
    let looks_like_one = text.len() <= 254
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
        && matches!(text.split_once('@'), Some((local, domain))
            if !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    require(looks_like_one, "is not an email address")
}

fn is_database(text: &str) -> Result<(), String> {
    let known = ["sqlite:", "postgres://", "postgresql://"];
    require(
        known.iter().any(|scheme| text.starts_with(scheme)),
        "does not begin with sqlite:, postgres:// or postgresql://",
    )
}

fn is_redis(text: &str) -> Result<(), String> {
    let known = ["redis://", "rediss://"];
    require(known.iter().any(|scheme| text.starts_with(scheme)), "does not begin with redis:// or rediss://")
}

fn is_brokers(text: &str) -> Result<(), String> {
    let is_one = |broker: &str| {
        broker.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    require(text.split(',').all(|broker| is_one(broker.trim())), "is not a list such as kafka-1:9092,kafka-2:9092")
}

fn is_collector(text: &str) -> Result<(), String> {
    // Credentials would be told in errors.
    let is_one = text.strip_prefix("http://").is_some_and(|rest| {
        let plain = rest.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'@' | b'?' | b'#'));
        plain && !rest.is_empty() && !rest.starts_with('/')
    });
    require(is_one, "is not the address of a collector such as http://127.0.0.1:4318")
}

fn is_filter(text: &str) -> Result<(), String> {
    tracing_subscriber::EnvFilter::builder()
        .parse(text)
        .map(drop)
        .map_err(|error| format!("is not a log filter: {error}"))
}

fn require(holds: bool, problem: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem.to_owned()) }
}
