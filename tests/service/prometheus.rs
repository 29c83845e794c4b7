//! Alerts and dashboards, before a real Prometheus that scrapes the real service.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use safire::config::SecretUrl;
use safire_test_support::{PATIENCE, TestDatabase, TestRedis, free_port};
use safire_web::thresholds::{POOL_CRITICAL, POOL_WARNING, REDIS_MEMORY_WARNING};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::{
    app::{Client, TestApp, eventually},
    metrics::scrape,
    python::python,
};

const GRAFANA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/grafana");
const CHECK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/check_grafana.py");

/// Prometheus with the alerts that are shipped, looking every half second; gone when dropped.
struct Prometheus {
    process: Child,
    base: String,
    files: TempDir,
}

impl Prometheus {
    fn watching(target: &str) -> Self {
        let files = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let config = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }}\n\
             rule_files: [{GRAFANA}/rules/*.yml]\n\
             scrape_configs: [{{ job_name: safire, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
        );
        let file = files.path().join("prometheus.yml");
        fs::write(&file, config).expect("written");
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", files.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(files.path().join("log")).expect("a log"))
            .spawn()
            .expect("prometheus is installed: run ./test");
        Self { process, base: format!("http://127.0.0.1:{port}"), files }
    }

    /// Waits until it has scraped the service.
    async fn sees_the_service(&self) {
        let url = format!("{}/api/v1/query?query=up==1", self.base);
        eventually("a scrape", async || {
            let answer = reqwest::get(&url).await.map_err(|error| error.to_string())?;
            let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
            let seen = answer["data"]["result"].as_array().is_some_and(|series| series.len() == 1);
            if seen { Ok(()) } else { Err(answer.to_string()) }
        })
        .await;
    }

    /// Whether this alert fires; nothing when Prometheus does not answer yet. No alert may fire that is not about
    /// Redis: that it is unsteady, when the errors of an outage have been many.
    async fn fires(&self, name: &str) -> Option<bool> {
        let answer = reqwest::get(format!("{}/api/v1/alerts", self.base)).await.ok()?;
        let answer: Value = answer.json().await.ok()?;
        let firing = answer["data"]["alerts"].as_array()?.iter().filter(|alert| alert["state"] == "firing");
        let names: Vec<_> = firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap_or_default()).collect();
        assert!(names.iter().all(|name| name.starts_with("Redis")), "{names:?}");
        Some(names.contains(&name))
    }

    /// Waits until this alert fires, or does not.
    async fn until(&self, name: &str, firing: bool, meanwhile: impl AsyncFn()) {
        let begun = Instant::now();
        while self.fires(name).await != Some(firing) {
            let log = fs::read_to_string(self.files.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < 2 * PATIENCE, "{name}: never firing = {firing}: {log}");
            meanwhile().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[track_caller]
fn succeeds(output: &Output) {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(output.status.success(), "{out}{err}");
}

fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool").current_dir(GRAFANA).args(arguments).output();
    succeeds(&output.expect("promtool, of the package prometheus: run ./test"));
}

#[test]
#[ignore = "needs Prometheus: run ./test"]
fn alerts_are_well_formed_and_each_fires_and_clears() {
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["test", "rules", "tests/alerts.yml"]);
}

#[test]
fn alerts_and_health_have_the_same_thresholds() {
    let rules = fs::read_to_string(Path::new(GRAFANA).join("rules/safire.yml")).expect("rules");
    let memory = REDIS_MEMORY_WARNING / 1_000_000;
    for expected in [
        format!("checked_out > {POOL_WARNING} and safire_database_connections_checked_out < {POOL_CRITICAL}\n"),
        format!("checked_out >= {POOL_CRITICAL}\n"),
        format!("safire_redis_memory_bytes > {memory}e6\n"),
    ] {
        assert!(rules.contains(&expected), "{expected}");
    }
}

/// Something of everything that a dashboard shows.
async fn use_it(ana: &Client, scenario: &str) {
    ana.get("/master-data").await.is(200);
    ana.get("/users-dict").await.is(200);
    ana.get("/projects/no-id").await;
    ana.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Prometheus: run ./test"]
async fn when_redis_dies_its_alert_fires_and_clears_and_dashboards_have_answers() {
    let mut redis = TestRedis::start();
    let database = TestDatabase::sqlite();
    let app = TestApp::with(&database, |config, _| {
        config.cache.redis_url = Some(SecretUrl::from(redis.url()));
    })
    .await;
    let ana = app.register().await;
    let scenario = ana.plant(500_000.0).await;
    let prometheus = Prometheus::watching(&app.service().metrics_address().expect("metrics are told").to_string());
    let using = async || use_it(&ana, &scenario).await;
    prometheus.sees_the_service().await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        using().await;
    }
    let (files, metrics, base) = (tempfile::tempdir().expect("files"), scrape(&app).await, prometheus.base.clone());
    let file = files.path().join("metrics");
    fs::write(&file, metrics).expect("written");
    let mut check = Command::new(python());
    check.arg(CHECK).arg(file).arg(base).env("NO_PROXY", "*");
    succeeds(&spawn_blocking(move || check.output()).await.expect("no panic").expect("Python runs"));

    let alert = "RedisConnectionErrors";
    assert_eq!(prometheus.fires(alert).await, Some(false));
    redis.kill();
    prometheus.until(alert, true, using).await;
    redis.restart();
    prometheus.until(alert, false, using).await;
    app.stop().await;
}
