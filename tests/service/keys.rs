//! API keys, and that no log shows a secret.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use futures::future::join_all;
use safire_test_support::{TestDatabase, on_both_engines};
use serde_json::{Value, json};

use crate::{
    app::{Client, SECRET, TestApp, eventually, first_error, id},
    cli::safire,
};

/// A new key, and somebody who uses it.
async fn new_key(owner: &Client, name: &str) -> (Value, Client) {
    let made = owner.post("/auth/keys", json!({ "name": name })).await.is(201);
    let program = owner.with_token(secret(&made));
    (made, program)
}

#[track_caller]
fn secret(made: &Value) -> &str {
    made["secret"].as_str().unwrap_or_else(|| panic!("no secret in {made}"))
}

/// The answer's status when these headers say who asks.
async fn status_with(app: &TestApp, headers: &[(&str, &str)]) -> u16 {
    let url = format!("http://{}/api/v1/auth/me", app.service().address());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = headers.iter().fold(client.get(url), |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap().status().as_u16()
}

on_both_engines! {
    async fn a_key_is_shown_once_and_never_listed(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        assert_eq!(ana.get("/auth/keys").await.is(200), json!([]));
        let (mut first, _) = new_key(&ana, "notebook").await;
        let (mut second, _) = new_key(&ana, "notebook").await;
        let secrets = [first["secret"].take(), second["secret"].take()];
        assert_ne!(secrets[0], secrets[1]);
        let listed = ana.get("/auth/keys").await.is(200);
        for (n, (made, secret)) in [(1, (first, &secrets[0])), (0, (second, &secrets[1]))] {
            assert!(secret.as_str().unwrap().starts_with(made["prefix"].as_str().unwrap()), "{made}");
            assert!(made["prefix"].as_str().unwrap().len() < 16, "{made}");
            assert!(!listed.to_string().contains(secret.as_str().unwrap()));
            let mut expected = made;
            expected.as_object_mut().unwrap().remove("secret");
            assert_eq!(listed[n], expected, "newest first");
        }
        assert_eq!(app.register().await.get("/auth/keys").await.is(200), json!([]));
        app.stop().await;
    }

    async fn a_key_acts_for_its_user_by_either_header(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let (made, program) = new_key(&ana, "notebook").await;
        let key = secret(&made);
        assert_eq!(program.get("/auth/me").await.is(200), ana.get("/auth/me").await.is(200));
        let project = program.project().await;
        ana.get(&format!("/projects/{project}")).await.is(200);
        program.post("/cache/invalidate", None).await.refused(403, "forbidden");

        let access = ana.token.clone().unwrap();
        let (bearer, wrong) = (format!("Bearer {key}"), format!("{}x", &key[..key.len() - 1]));
        assert_eq!(status_with(&app, &[("authorization", &bearer)]).await, 200);
        assert_eq!(status_with(&app, &[("x-api-key", key)]).await, 200);
        for refused in [("x-api-key", wrong.as_str()), ("x-api-key", &access), ("authorization", key), ("x-api-key", "")] {
            assert_eq!(status_with(&app, &[refused]).await, 401, "{}", refused.0);
        }
        // Of two credentials, Authorization counts.
        assert_eq!(status_with(&app, &[("authorization", "Bearer nothing"), ("x-api-key", key)]).await, 401);
        let refresh = json!({ "refresh_token": key });
        app.anonymous().post("/auth/refresh", refresh).await.refused(401, "unauthorized");
        eventually("the last use", async || {
            let listed = ana.get("/auth/keys").await.is(200);
            if listed[0]["last_used_at"].is_string() { Ok(()) } else { Err(listed) }
        })
        .await;
        app.stop().await;
    }

    async fn a_revoked_key_is_refused_at_once(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let (made, program) = new_key(&ana, "notebook").await;
        let (_, other) = new_key(&ana, "pipeline").await;
        program.get("/projects").await.is(200);
        let path = format!("/auth/keys/{}", id(&made));
        ana.delete(&path).await.is(204);
        program.get("/projects").await.refused(401, "unauthorized");
        other.get("/projects").await.is(200);
        ana.delete(&path).await.refused(404, "not_found");
        assert_eq!(ana.get("/auth/keys").await.is(200).as_array().unwrap().len(), 1);
        app.stop().await;
    }

    async fn nobody_else_revokes_a_key(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, bob) = (app.register().await, app.register().await);
        let (made, program) = new_key(&ana, "notebook").await;
        let path = format!("/auth/keys/{}", id(&made));
        let refused = bob.delete(&path).await.refused(404, "not_found");
        let unknown = bob.delete("/auth/keys/00000000-0000-7000-8000-000000000000").await.refused(404, "not_found");
        assert_eq!(refused["detail"], unknown["detail"]);
        app.as_admin().await.delete(&path).await.refused(404, "not_found");
        app.anonymous().delete(&path).await.refused(401, "unauthorized");
        program.get("/projects").await.is(200);
        app.stop().await;
    }

    async fn a_key_manages_no_keys(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let (made, program) = new_key(&ana, "notebook").await;
        program.post("/auth/keys", json!({ "name": "another" })).await.refused(403, "forbidden");
        program.get("/auth/keys").await.refused(403, "forbidden");
        program.delete(&format!("/auth/keys/{}", id(&made))).await.refused(403, "forbidden");
        assert_eq!(ana.get("/auth/keys").await.is(200).as_array().unwrap().len(), 1);
        for (body, pointer, code) in [
            (json!({ "name": "" }), "/name", "type"),
            (json!({ "name": "n", "user_id": id(&made) }), "/user_id", "field.unknown"),
            (json!({ "name": "n", "secret": "sfr_mine" }), "/secret", "field.unknown"),
            (json!({}), "/name", "required"),
        ] {
            let refused = ana.post("/auth/keys", body).await.refused(422, "body.invalid");
            assert_eq!(first_error(&refused), (pointer, code), "{refused}");
        }
        app.stop().await;
    }

    async fn a_user_has_fifty_keys_at_most_even_when_many_are_made_at_once(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, bob) = (app.register().await, app.register().await);
        let body = || json!({ "name": "notebook" });
        let made = join_all((0..60).map(|_| ana.post("/auth/keys", body()))).await;
        assert_eq!(made.iter().filter(|answer| answer.status == 201).count(), 50);
        for refused in made.into_iter().filter(|answer| answer.status != 201) {
            refused.refused(409, "keys.too_many");
        }
        let listed = ana.get("/auth/keys").await.is(200);
        assert_eq!(listed.as_array().unwrap().len(), 50);
        bob.post("/auth/keys", body()).await.is(201);
        ana.delete(&format!("/auth/keys/{}", id(&listed[0]))).await.is(204);
        ana.post("/auth/keys", body()).await.is(201);
        ana.post("/auth/keys", body()).await.refused(409, "keys.too_many");
        app.stop().await;
    }

    async fn neither_log_nor_metrics_nor_problems_show_a_token_a_key_or_a_password(database: &TestDatabase) {
        const ADMIN_PASSWORD: &str = "canary of the administrator";
        const WRONG: &str = "canary of a wrong password";
        const BOGUS: &str = "canary-of-a-bogus-token";
        let mut program = Program::start(database, ADMIN_PASSWORD);
        let nobody = Client::of(program.base.clone());
        let credentials = |password: &str| json!({ "email": "canary@safire.local", "password": password });
        let first = nobody.post("/auth/login", credentials(ADMIN_PASSWORD)).await.is(200);
        let mut told = vec![nobody.post("/auth/login", credentials(WRONG)).await.is(401)];
        told.push(nobody.post("/auth/register", json!({ "email": "x@y", "name": "", "password": WRONG })).await.is(422));
        told.push(nobody.post("/auth/login", json!({ "email": "x@y", "password": [WRONG] })).await.is(422));
        let token = |tokens: &Value, name: &str| tokens[name].as_str().unwrap().to_owned();
        let refresh = |token: &str| json!({ "refresh_token": token });
        let second = nobody.post("/auth/refresh", refresh(&token(&first, "refresh_token"))).await.is(200);
        let third = nobody.post("/auth/refresh", refresh(&token(&second, "refresh_token"))).await.is(200);
        nobody.post("/auth/refresh", refresh(&token(&first, "refresh_token"))).await.refused(401, "refresh.reused");
        told.push(nobody.post("/auth/refresh", refresh(BOGUS)).await.is(401));
        nobody.post("/auth/logout", refresh(&token(&third, "refresh_token"))).await.is(204);
        told.push(nobody.with_token(BOGUS).get("/projects").await.is(401));
        told.push(nobody.get("/health").await.is(200));
        let admin = nobody.with_token(&token(&second, "access_token"));
        let (made, notebook) = new_key(&admin, "notebook").await;
        notebook.project().await;
        admin.delete(&format!("/auth/keys/{}", id(&made))).await.is(204);
        notebook.get("/projects").await.is(401);

        let metrics = reqwest::get(format!("http://{}/metrics", program.metrics)).await.unwrap().text().await.unwrap();
        assert!(metrics.contains("/api/v1/auth/keys"), "{metrics}");
        let log = program.end();
        assert!(log.contains("/api/v1/auth/keys") && log.contains("a refresh token was used twice"), "{log}");
        let mut secrets = vec![SECRET.into(), ADMIN_PASSWORD.into(), WRONG.into(), BOGUS.into(), secret(&made).to_owned()];
        for tokens in [&first, &second, &third] {
            secrets.extend([token(tokens, "access_token"), token(tokens, "refresh_token")]);
        }
        let told: String = told.iter().map(|answer| format!("{answer}\n")).collect();
        for secret in secrets {
            let line = [&log, &metrics, &told].into_iter().flat_map(|text| text.lines()).find(|line| line.contains(&secret));
            assert_eq!(line, None, "{secret} is told");
        }
    }
}

/// The program, serving and saying all it has to say; killed when dropped.
pub struct Program {
    child: Child,
    pub base: String,
    /// Where it tells its metrics.
    metrics: String,
    log: Option<std::thread::JoinHandle<String>>,
    _files: tempfile::TempDir,
}

impl Program {
    pub fn start(database: &TestDatabase, admin_password: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut command = safire(files.path());
        command.args([
            "--port",
            "0",
            "--set",
            "metrics.port=0",
            "--set",
            "auth.argon2_memory_kib=64",
            "--set",
            "log.filter=trace",
            // Nobody is there: what is said of that is looked through, too.
            "--set",
            "traces.endpoint=http://127.0.0.1:1",
            "--set",
            "feed.brokers=127.0.0.1:1",
        ]);
        command.env("DATABASE_URL", database.url()).env("SAFIRE_JWT_SECRET", SECRET);
        command.env("SAFIRE_ADMIN_EMAIL", "canary@safire.local").env("SAFIRE_ADMIN_PASSWORD", admin_password);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, address) = std::sync::mpsc::channel();
        let log = std::thread::spawn(move || {
            lines.map_while(Result::ok).fold(String::new(), |log, line| {
                let entry: Value = serde_json::from_str(&line).unwrap_or_default();
                if let (Some("safire is ready"), Some(address)) = (entry["message"].as_str(), entry["address"].as_str())
                {
                    let metrics = entry["metrics"].as_str().unwrap_or_default();
                    let _ = sender.send((address.to_owned(), metrics.to_owned()));
                }
                log + &line + "\n"
            })
        });
        let address = address.recv_timeout(crate::app::PATIENCE);
        let ready = address.is_ok();
        let (address, metrics) = address.unwrap_or_default();
        let program = Self { child, base: format!("http://{address}"), metrics, log: Some(log), _files: files };
        assert!(ready, "never ready");
        program
    }

    /// Ends it, and returns all that it logged.
    pub fn end(&mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.take().expect("it ends once").join().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
