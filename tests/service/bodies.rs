//! Bodies that are no JSON, not the JSON that is wanted, or too much of it.

use reqwest::Method;
use safire_test_support::on_both_engines;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    app::{Answer, Client, PATIENCE, TestApp, first_error, with_an_id},
    description::{document, follow, operations},
    refusals::{CODES, doors, everything, inputs_with, owner},
};

/// The body limit of the tests about it, in bytes.
const LIMIT: usize = 4096;

fn project_of_length(length: usize) -> String {
    let project = r#"{"name":"P"}"#;
    project.to_owned() + &" ".repeat(length - project.len())
}

/// Where objects are in a value.
fn objects(value: &Value) -> Vec<String> {
    let below = |parts: Vec<(String, &Value)>| -> Vec<String> {
        let part = |(name, part): (String, &Value)| objects(part).into_iter().map(move |at| format!("/{name}{at}"));
        parts.into_iter().flat_map(part).collect()
    };
    match value {
        Value::Object(fields) => {
            let fields =
                fields.iter().map(|(name, field)| (name.replace('~', "~0").replace('/', "~1"), field)).collect();
            [vec![String::new()], below(fields)].concat()
        }
        Value::Array(entries) => below(entries.iter().enumerate().map(|(at, one)| (at.to_string(), one)).collect()),
        _ => Vec::new(),
    }
}

async fn post(user: &Client, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    user.raw(Method::POST, path, Some("application/json"), body).await
}

on_both_engines! {
    async fn a_body_that_is_not_json_is_malformed(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, project, scenario) = owner(&app).await;
        let before = everything(&ana).await;
        let nan = |text: &str| inputs_with("/plant/capacity", &format!(r#"{{"value":{text},"unit":"kt/yr"}}"#));
        let numbers = ["NaN", "Infinity", "-Infinity", "0x10", "1.", "01"];
        for inputs in numbers.map(nan).into_iter().chain(["{".into(), String::new()]) {
            for (method, path, body) in doors(&project, &scenario, &inputs) {
                ana.raw(method, &path, Some("application/json"), body).await.refused(400, "body.malformed");
            }
        }
        let bodies = [
            b"".to_vec(),
            b"{".to_vec(),
            b"nonsense".to_vec(),
            b"\xff\xfe".to_vec(),
            b"{\"name\":\"\xff\"}".to_vec(),
            br#"{"name":"Plants"} {"name":"Plants"}"#.to_vec(),
            br#"{"name":"Plants"}]"#.to_vec(),
            br#"{'name':'Plants'}"#.to_vec(),
        ];
        for body in bodies {
            post(&ana, "/projects", body).await.refused(400, "body.malformed");
        }
        assert_eq!(everything(&ana).await, before, "something was stored");
        app.stop().await;
    }

    async fn a_body_is_an_object_and_nothing_else(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        for (path, body) in [
            ("/calculate/quick", r#"["HEFA","UCO","USA",{}]"#),
            ("/projects", r#"["Plants","",null,null,null]"#),
            ("/projects", "null"),
            ("/projects", "7"),
            ("/projects", r#""Plants""#),
        ] {
            let refused = post(&ana, path, body).await.refused(422, "body.invalid");
            assert_eq!(first_error(&refused), ("", "type"), "{body}: {refused}");
        }
        assert_eq!(ana.get("/projects").await.is(200)["total"], 0);
        app.stop().await;
    }

    async fn an_array_is_no_object_anywhere_and_no_message_names_a_type_of_ours(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, project, scenario) = owner(&app).await;
        let admin = app.as_admin().await;
        let before = everything(&ana).await;
        let document = document();
        let mut tried = 0;
        for (name, operation) in operations(&document) {
            let content = &operation["requestBody"]["content"]["application/json"];
            let (method, path) = name.split_once(' ').expect("a method and a path");
            let id = if path.contains("/scenarios/") { &scenario } else { &project };
            let path = with_an_id(&path.replace("{id}", id)).replace("/api/v1", "");
            let schema = follow(&document, &content["schema"]);
            let forms = schema["oneOf"].as_array().into_iter().flatten().map(|form| follow(&document, form));
            let forms = forms.flat_map(|form| form["oneOf"].as_array().cloned().unwrap_or_else(|| vec![form.clone()]));
            let examples = forms.map(|form| follow(&document, &form)["example"].clone());
            for example in examples.chain([content["example"].clone()]).filter(Value::is_object) {
                for pointer in objects(&example) {
                    let mut body = example.clone();
                    let place = body.pointer_mut(&pointer).expect("it is there");
                    *place = place.as_object().expect("an object").values().cloned().collect();
                    let method: Method = method.parse().expect("a method");
                    let answer = admin.raw(method, &path, Some("application/json"), body.to_string()).await;
                    let text = answer.json.to_string();
                    // A batch answers for each of its entries.
                    let none_is_taken = ["created", "calculated"].iter().any(|key| answer.json[key] == 0);
                    let is_refused = (400..500).contains(&answer.status) || none_is_taken;
                    assert!(is_refused, "{name} {pointer}: {text}");
                    assert!(["struct ", "enum ", "tuple", "variant "].iter().all(|word| !text.contains(word)), "{name} {text}");
                    tried += 1;
                }
            }
        }
        assert!(tried > 100, "{tried}");
        let mut quick = json!({ "process": "HEFA", "feedstock": "UCO", "country": "USA", "analysis": {
            "analysis": "monte-carlo", "samples": 1000, "seed": 1, "metrics": ["npv"], "inputs": [
                { "input": "/feedstocks/UCO/price", "unit": "USD/t", "distribution": ["uniform", 800, 1200] }] } });
        for (distribution, found) in [(json!(["uniform", 800, 1200]), "sequence"), (json!(7), "integer `7`")] {
            quick["analysis"]["inputs"][0]["distribution"] = distribution;
            let refused = ana.post("/calculate/quick", quick.clone()).await.refused(422, "body.invalid");
            assert_eq!(first_error(&refused), ("/analysis/inputs/0/distribution", "type"));
            let message = format!("invalid type: {found}, expected an object with the `kind` of a distribution");
            assert_eq!(refused["detail"], message);
        }
        assert_eq!(everything(&ana).await, before, "something was stored");
        app.stop().await;
    }

    async fn unknown_fields_at_the_top_are_refused_by_name_on_every_body(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, project, scenario) = owner(&app).await;
        let before = everything(&ana).await;
        let pathway = json!({ "process": "HEFA", "feedstock": "UCO", "country": "USA" });
        let mut whole = pathway.clone();
        whole["name"] = "P".into();
        let requests = [
            (
                Method::POST,
                "/auth/register".to_owned(),
                json!({ "email": "a@b", "name": "A", "password": "0123456789ab" }),
            ),
            (Method::POST, "/auth/login".to_owned(), json!({ "email": "a@b", "password": "0123456789ab" })),
            (Method::POST, "/projects".to_owned(), whole.clone()),
            (Method::PUT, format!("/projects/{project}"), json!({ "name": "P", "description": "" })),
            (Method::PATCH, format!("/projects/{project}"), json!({ "name": "P" })),
            (Method::POST, format!("/projects/{project}/scenarios"), whole.clone()),
            (Method::PUT, format!("/scenarios/{scenario}"), whole),
            (Method::PATCH, format!("/scenarios/{scenario}"), json!({ "name": "P" })),
            (Method::POST, "/calculate/quick".to_owned(), pathway),
        ];
        for (method, path, mut body) in requests {
            body["colour"] = "green".into();
            let what = format!("{method} {path}");
            let refused = ana.send(method, &path, Some(body)).await.refused(422, "body.invalid");
            assert_eq!(first_error(&refused), ("/colour", "field.unknown"), "{what}");
        }
        ana.get("/projects?colour=green").await.refused(400, "query.invalid");
        assert_eq!(everything(&ana).await, before, "something was stored");
        app.stop().await;
    }

    async fn a_body_of_another_kind_is_refused(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let others = ["text/plain", "application/xml", "application/x-www-form-urlencoded", "application/jsonp"];
        for kind in [None].into_iter().chain(others.map(Some)) {
            ana.raw(Method::POST, "/projects", kind, r#"{"name":"P"}"#).await.refused(415, "media_type");
        }
        assert_eq!(ana.get("/projects").await.is(200)["total"], 0);
        ana.raw(Method::POST, "/projects", Some("Application/JSON; charset=utf-8"), r#"{"name":"P"}"#).await.is(201);
        app.stop().await;
    }

    async fn a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.http.body_limit_bytes = LIMIT).await;
        let ana = app.register().await;
        for length in [LIMIT + 1, 2 * LIMIT] {
            post(&ana, "/projects", project_of_length(length)).await.refused(413, "body.too_large");
        }
        assert_eq!(ana.get("/projects").await.is(200)["total"], 0);
        post(&ana, "/projects", project_of_length(LIMIT)).await.is(201);
        app.stop().await;
    }

    async fn a_body_far_over_the_limit_is_refused_and_not_cut_off(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.http.body_limit_bytes = LIMIT).await;
        let ana = app.register().await;
        // Several times: whether the answer arrives before the end of the connection is a matter of luck.
        for length in [64 * LIMIT, 1024 * LIMIT].repeat(8) {
            let body = project_of_length(length);
            let answer = ana.try_raw(Method::POST, "/projects", Some("application/json"), body).await;
            let answer = answer.unwrap_or_else(|error| panic!("{length} bytes: the connection broke: {error:?}"));
            answer.refused(413, "body.too_large");
        }
        assert_eq!(ana.get("/projects").await.is(200)["total"], 0);
        app.stop().await;
    }

    async fn a_body_over_the_limit_that_does_not_say_its_length_is_refused(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| {
            config.http.body_limit_bytes = LIMIT;
            config.http.body_timeout_ms = 2 * PATIENCE.as_millis() as u64;
        })
        .await;
        let ana = app.register().await;
        let address = app.service().address();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /api/v1/projects HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\
             content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
            ana.token.as_ref().unwrap()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..5 {
            stream.write_all(format!("400\r\n{}\r\n", " ".repeat(1024)).as_bytes()).await.unwrap();
        }
        let mut answer = [0; 12];
        // It sends no more, and does not say so either.
        let read = timeout(PATIENCE, stream.read_exact(&mut answer)).await;
        read.expect("an answer before the time of the body is over").unwrap();
        assert_eq!(&answer, b"HTTP/1.1 413");
        app.stop().await;
    }

    async fn deep_nesting_is_refused_and_harms_nobody(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        for (open, pointer) in [("[", ""), (r#"{"inputs":"#, "/inputs"), (r#"{"name":"#, "/name")] {
            let refused = post(&ana, "/projects", open.repeat(50_000)).await.refused(422, "body.invalid");
            assert_eq!(refused["errors"][0]["pointer"], pointer);
        }
        let deep = format!(r#"{{{CODES},"inputs":{{"plant":{}"#, r#"{"capacity":"#.repeat(50_000));
        let refused = post(&ana, "/calculate/quick", deep).await.refused(422, "body.invalid");
        assert_eq!(refused["errors"][0]["pointer"], "/inputs/plant/capacity/capacity", "{refused}");
        assert_eq!(ana.get("/projects").await.is(200)["total"], 0);
        app.stop().await;
    }
}
