//! The service under thousands of requests that are made from its description, right ones and wrong ones:
//! no 5xx, and every answer is what the description says.

use std::{
    process::{Command, Output},
    time::Duration,
};

use safire::config::{Limits, SecretUrl};
use safire_test_support::{TestRedis, on_both_engines};
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::{
    app::{Client, PASSWORD, TestApp},
    python::python,
    users::make_zone,
};

/// How long each caller's requests go on.
const TIME: Duration = Duration::from_secs(50);

const SEED: &str = "20261120";

/// Enough for every request to reach its handler, which still tells what is left.
const WIDE: Limits = Limits {
    login_per_minute: 1_000_000,
    register_per_hour: 1_000_000,
    refresh_per_minute: 1_000_000,
    calculate_per_minute: 1_000_000,
    quick_per_minute: 1_000_000,
    requests_per_minute: 1_000_000,
};

fn run(base: &str, token: &str) -> Output {
    let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/schemathesis.toml");
    let files = tempfile::tempdir().expect("a temporary directory");
    Command::new(python())
        .current_dir(files.path())
        .args(["-m", "schemathesis.cli", "--config-file", settings, "--no-color", "run"])
        .args([&format!("{base}/openapi.json"), "--header", &format!("Authorization: Bearer {token}")])
        .args(["--seed", SEED, "--max-time", &TIME.as_secs().to_string()])
        .env("SCHEMATHESIS_HOOKS", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/hooks.py"))
        .envs([("NO_PROXY", "*"), ("PYTHONDONTWRITEBYTECODE", "1")])
        .output()
        .expect("Python runs")
}

async fn conforms(base: String, who: &str, client: Client) {
    let token = client.token.expect("a token");
    let output = spawn_blocking(move || run(&base, &token)).await.expect("it does not panic");
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, summary) = text.split_once("= SUMMARY =").unwrap_or(("", &text));
    println!("schemathesis as {who}: {summary}");
    assert!(output.status.success(), "as {who}: {text}{}", String::from_utf8_lossy(&output.stderr));
}

on_both_engines! {
    needs "needs Python: run ./test"
    async fn every_answer_is_what_the_description_says(database: &TestDatabase) {
        let redis = database.url().starts_with("postgres").then(TestRedis::start);
        let app = TestApp::with(database, |config, parts| {
            config.cache.redis_url = redis.as_ref().map(|redis| SecretUrl::from(redis.url()));
            config.limits = WIDE;
            parts.compute = safire_actors::calculations::base_analysis();
        })
        .await;
        let base = format!("http://{}", app.service().address());
        let (admin, nobody) = (app.as_admin().await, app.anonymous());
        // What the examples name.
        make_zone(&admin, "north").await;
        let ana = json!({ "email": "ana@example.com", "name": "Ana", "password": PASSWORD });
        nobody.post("/auth/register", ana).await.is(201);
        let ana = nobody.login("ana@example.com", PASSWORD).await;
        tokio::join!(
            conforms(base.clone(), "administrator", admin),
            conforms(base, "analyst", ana),
        );
        nobody.get("/health/ready").await.is(200);
        app.drain().await;
    }
}
