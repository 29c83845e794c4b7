//! Texts that are more than texts to a database, a log, a terminal, a file system or a template: through
//! every text field, map key, query parameter, path parameter and header that the description has.
//!
//! What is stored comes back as it was; what is not is refused by name; nothing else changes; and a line
//! of the log stays a line.

use std::time::Duration;

use reqwest::Method;
use safire_test_support::on_both_engines;
use serde_json::{Map, Value, json};

use crate::{
    app::{ADMIN, Answer, Client, with_an_id},
    description::{document, follow, operations},
    process::Server,
    users::make_zone,
};

/// How a text is written in JSON. Without its quotes, so that a text that JSON cannot say stands here too.
const TEXTS: &[&str] = &[
    // SQL
    r"'; DROP TABLE users; --",
    r"' OR '1'='1",
    r#"\" OR 1=1 --"#,
    r"1; SELECT pg_sleep(9)",
    r"$1",
    r"%' UNION SELECT * FROM users --",
    // lines, and with them headers and logs
    r"a\r\nSet-Cookie: admin=1",
    r#"a\n{\"level\":\"ERROR\",\"message\":\"forged\"}"#,
    r"\u001b[2J\u001b[31mforged",
    r"a\u2028b\u2029c\u0085d",
    // paths
    r"../../../../etc/passwd",
    r"..\\..\\windows\\win.ini",
    r"file:///etc/passwd",
    r"/inputs/~1~0/a",
    // templates, markup, JSON
    r"{{7*7}}${7*7}<%= 7*7 %>#{7*7}",
    r"${jndi:ldap://127.0.0.1/a}",
    r"<script>alert(1)</script>",
    r#"\"},\"role\":\"admin\",\"x\":{\"y\":\""#,
    r"%s%n%x",
    r"=cmd|' /C calc'!A0",
    // Unicode
    r"\u0000",
    r"a\u0000b",
    r"\u202Egpj.exe",
    r"\uFEFFname",
    r"e\u0301 \uD83D\uDE80",
    r"\uD800",
    r"\uDC00\uD800",
    r"\uFFFE\uFFFF",
    r"constructor.prototype",
    r" ",
];

/// What stands in a body for a text, until the body is written.
const HERE: &str = "the text stands here";

/// The text, if JSON can say it.
fn said(text: &str) -> Option<String> {
    serde_json::from_str(&format!("\"{text}\"")).ok()
}

/// A place for a text: where it is, and a body with [`HERE`] in that place.
#[derive(Debug)]
struct Place {
    pointer: String,
    body: Value,
}

/// Every place for a text that a schema has, in a body that is otherwise the example; of forms that have examples of
/// their own, in these.
fn places(document: &Value, schema: &Value, example: &Value) -> Vec<Place> {
    let schema = follow(document, schema);
    let forms = schema["oneOf"].as_array().into_iter().flatten().map(|form| follow(document, form));
    let forms: Vec<&Value> = forms.filter(|form| form["type"] != "null").collect();
    match forms[..] {
        [] => {}
        [form] => return places(document, form, example),
        _ if forms.iter().all(|form| form["example"].is_object()) => {
            return forms.into_iter().flat_map(|form| places(document, form, &form["example"])).collect();
        }
        _ => {}
    }
    let mut pointers = Vec::new();
    look(document, schema, String::new(), &mut pointers);
    let place = |pointer: String| {
        let mut body = example.clone();
        put(&mut body, &pointer);
        Place { pointer, body }
    };
    pointers.into_iter().map(place).collect()
}

fn look(document: &Value, schema: &Value, at: String, found: &mut Vec<String>) {
    let schema = follow(document, schema);
    for parts in ["allOf", "oneOf"] {
        for part in schema[parts].as_array().into_iter().flatten() {
            look(document, part, at.clone(), found);
        }
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("string") if schema["enum"].is_null() => found.push(at),
        Some("array") => look(document, &schema["items"], format!("{at}/0"), found),
        Some("object") => {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                look(document, property, format!("{at}/{name}"), found);
            }
            if schema["additionalProperties"].is_object() {
                found.push(format!("{at}/{HERE}"));
                look(document, &schema["additionalProperties"], format!("{at}/UCO"), found);
            }
        }
        _ => {}
    }
}

/// Puts [`HERE`] where the pointer points; what is missing on the way is made.
fn put(body: &mut Value, pointer: &str) {
    let Some((first, rest)) = pointer.strip_prefix('/').map(|path| path.split_once('/').unwrap_or((path, ""))) else {
        *body = json!(HERE);
        return;
    };
    if first == "0" {
        if !body.is_array() {
            *body = json!([{}]);
        }
        let below = if rest.is_empty() { String::new() } else { format!("/{rest}") };
        return put(&mut body[0], &below);
    }
    if !body.is_object() {
        *body = Value::Object(Map::new());
    }
    if first == HERE {
        body[HERE] = json!({});
    } else if rest.is_empty() {
        body[first] = json!(HERE);
    } else {
        if first == "unit" || body[first].is_null() {
            body[first] = json!({});
        }
        put(&mut body[first], &format!("/{rest}"));
    }
    if body.get("unit").is_some() && body.as_object().is_some_and(|quantity| quantity.len() == 1) {
        body["value"] = json!(1);
    }
}

/// An administrator with one of everything, and somebody else's things, that nobody may touch.
struct World {
    admin: Client,
    project: String,
    scenario: String,
    user: String,
    witnesses: Vec<(String, Value)>,
}

impl World {
    async fn of(nobody: &Client) -> Self {
        let admin = nobody.login(ADMIN.0, ADMIN.1).await;
        let other = nobody.register().await;
        let theirs = other.project().await;
        let draft = other.scenario(&theirs, json!({})).await;
        other.post(&format!("/scenarios/{draft}/calculate/sync"), None).await.is(200);
        let them = crate::app::id(&other.get("/auth/me").await.is(200));
        make_zone(&admin, "witness").await;
        let paths = [
            format!("/projects/{theirs}"),
            format!("/scenarios/{draft}"),
            format!("/scenarios/{draft}/result?trace=true"),
            format!("/users/{them}"),
            "/zones/witness".to_owned(),
            "/master-data/fresh".to_owned(),
        ];
        let mut witnesses = Vec::new();
        for path in paths {
            let seen = admin.get(&path).await.is(200);
            witnesses.push((path, seen));
        }
        let project = admin.project().await;
        let scenario = admin.scenario(&project, json!({})).await;
        let user = crate::app::id(&admin.post("/users", json!({ "name": "Una" })).await.is(201));
        make_zone(&admin, "north").await;
        Self { admin, project, scenario, user, witnesses }
    }

    /// The path with ids of things that are there to be changed.
    fn path(&self, template: &str) -> String {
        let id = |part: &str| match part {
            "projects" => Some(&self.project),
            "scenarios" => Some(&self.scenario),
            "users" => Some(&self.user),
            _ => None,
        };
        let mut parts: Vec<&str> = template.split('/').collect();
        for index in 1..parts.len() {
            if let ("{id}", Some(id)) = (parts[index], id(parts[index - 1])) {
                parts[index] = id;
            }
        }
        with_an_id(&parts.join("/").replace("{zone_id}", "north"))
    }

    async fn is_as_it_was(&self) {
        for (path, before) in &self.witnesses {
            assert_eq!(self.admin.get(path).await.is(200), *before, "{path}");
        }
    }
}

/// Sends again while the database has no time, as the answer says: making databases for the other tests can stall
/// the server for a second.
async fn patient(send: impl AsyncFn() -> Answer) -> Answer {
    for _ in 0..5 {
        let answer = send().await;
        if answer.status != 503 {
            return answer;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    send().await
}

/// What is wrong with the answer to a body with that text in that place.
async fn judge(world: &World, answer: &Answer, pointer: &str, text: &str) -> Option<String> {
    let Some(said) = said(text) else {
        let why = || format!("JSON cannot say this, and it is not called malformed: {}", answer.json);
        return (answer.status != 400).then(why);
    };
    let shown = |json: &Value| json.pointer(pointer).filter(|value| value.is_string()).cloned();
    match answer.status {
        200..=299 => {
            let mut seen = vec![shown(&answer.json)];
            if let Some(location) = answer.headers.get("location") {
                seen.push(shown(&world.admin.get(location.to_str().expect("a path")).await.is(200)));
            }
            let other = seen.into_iter().flatten().find(|seen| *seen != json!(said));
            other.map(|other| format!("it came back as {other}"))
        }
        422 => {
            let escaped = pointer.replace(HERE, &said.replace('~', "~0").replace('/', "~1"));
            let named = answer.json["errors"].as_array().into_iter().flatten().any(|error| {
                let at = error["pointer"].as_str().unwrap_or_default();
                at.starts_with(&escaped) || escaped.starts_with(at) && !at.is_empty()
            });
            (!named).then(|| format!("it is refused, but not named: {}", answer.json))
        }
        401 | 403 | 404 | 409 => None,
        // Only as many wrong passwords as anybody may try.
        429 if answer.json["code"] == "login.blocked" => None,
        status => Some(format!("{status}: {}", answer.json)),
    }
}

async fn through_bodies(world: &World, document: &Value) -> (usize, Vec<String>) {
    let (mut sent, mut wrong) = (0, Vec::new());
    for (name, operation) in operations(document) {
        let Some(content) = operation["requestBody"]["content"].get("application/json") else { continue };
        let (method, template) = name.split_once(' ').expect("a method and a path");
        let method: Method = method.parse().expect("a method");
        let mut all = places(document, &content["schema"], &content["example"]);
        // Without a default set much is not checked until it is calculated.
        if !content["example"]["country"].is_null() {
            let mut elsewhere = content["example"].clone();
            elsewhere["country"] = json!("Malaysia");
            all.extend(places(document, &content["schema"], &elsewhere));
        }
        for Place { pointer, body } in all {
            for text in TEXTS {
                let body = body.to_string().replace(HERE, text);
                let path = world.path(template);
                let send =
                    async || world.admin.raw(method.clone(), &path, Some("application/json"), body.clone()).await;
                let answer = patient(send).await;
                sent += 1;
                if let Some(why) = judge(world, &answer, &pointer, text).await {
                    wrong.push(format!("{name} {pointer} \"{text}\": {why}"));
                }
            }
        }
    }
    (sent, wrong)
}

/// Every byte that is no letter or digit, escaped.
fn encoded(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

async fn through_addresses(world: &World, document: &Value) -> (usize, Vec<String>) {
    let (mut sent, mut wrong) = (0, Vec::new());
    // What is no UTF-8, or no escape, when it is decoded.
    let texts: Vec<_> = TEXTS.iter().filter_map(|text| Some(encoded(&said(text)?))).collect();
    let texts: Vec<_> = texts.into_iter().chain(["%FF%FE", "%C0%AF", "%", "%zz"].map(str::to_owned)).collect();
    for (name, operation) in operations(document) {
        let (method, template) = name.split_once(' ').expect("a method and a path");
        let method: Method = method.parse().expect("a method");
        let mut addresses = Vec::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let parameter = follow(document, parameter);
            let name = parameter["name"].as_str().expect("a name");
            for text in &texts {
                match parameter["in"].as_str() {
                    Some("query") => {
                        addresses.push((format!("{}?{name}={text}", world.path(template)), &[400, 404, 422][..]))
                    }
                    Some("path") => {
                        let path = template.replace(&format!("{{{name}}}"), text);
                        addresses.push((path, &[400, 404, 422][..]));
                    }
                    _ => {}
                }
            }
        }
        for (address, allowed) in addresses {
            let body = operation["requestBody"]["content"]["application/json"]["example"].clone();
            let body = Some(body).filter(|body| !body.is_null());
            let answer = patient(async || world.admin.send(method.clone(), &address, body.clone()).await).await;
            sent += 1;
            if !allowed.contains(&answer.status) {
                wrong.push(format!("{method} {address}: {} {}", answer.status, answer.json));
            }
        }
    }
    (sent, wrong)
}

const HEADERS: [&str; 10] = [
    "x-request-id",
    "traceparent",
    "x-forwarded-for",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "prefer",
    "x-api-key",
    "user-agent",
    "origin",
];

async fn through_headers(world: &World) -> (usize, Vec<String>) {
    let (mut sent, mut wrong) = (0, Vec::new());
    for name in HEADERS {
        for text in TEXTS.iter().filter_map(|text| said(text)) {
            // A client sends no header with a line break or a NUL in it.
            let Ok(value) = reqwest::header::HeaderValue::from_bytes(text.as_bytes()) else { continue };
            let person = world.admin.sending_bytes(name, value);
            let project = format!("/projects/{}", world.project);
            for (method, path, body) in [
                (Method::GET, project.clone(), None),
                (Method::PATCH, project.clone(), Some(json!({ "name": "Plants" }))),
                (Method::POST, format!("/scenarios/{}/calculate", world.scenario), None),
            ] {
                let answer = patient(async || person.send(method.clone(), &path, body.clone()).await).await;
                sent += 1;
                let id = answer.header("x-request-id");
                let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
                if answer.status >= 500 || !plain || answer.headers.contains_key("set-cookie") {
                    wrong.push(format!("{name}: {text:?} on {method}: {answer:?}"));
                }
            }
        }
    }
    (sent, wrong)
}

on_both_engines! {
    async fn no_text_is_more_than_a_text_wherever_it_is_sent(database: &TestDatabase) {
        let mut server = Server::start(database);
        let world = World::of(&server.nobody()).await;
        let document = document();
        let bodies = through_bodies(&world, &document).await;
        let addresses = through_addresses(&world, &document).await;
        let headers = through_headers(&world).await;
        println!("{} bodies, {} addresses and {} headers were sent", bodies.0, addresses.0, headers.0);
        assert!(bodies.0 > 1000 && addresses.0 > 1000 && headers.0 > 500, "few were sent");
        let wrong: Vec<_> = [bodies.1, addresses.1, headers.1].concat();
        assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
        world.is_as_it_was().await;

        assert!(server.terminate().0.success());
        let log = server.log.lock().unwrap();
        let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).expect("a line is one entry")).collect();
        // A machine that stalls for a second is no text's doing.
        let by_a_text = |line: &&Value| line["level"] == "ERROR" && line["target"] != "safire_actors::database::link";
        let error = lines.iter().find(by_a_text);
        assert!(error.is_none(), "{error:?}");
        assert!(lines.iter().all(|line| line["message"] != "forged" && line["timestamp"].is_string()));
    }
}
