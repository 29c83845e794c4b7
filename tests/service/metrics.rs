//! The service as Prometheus sees it.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

use futures::future::join_all;
use safire::config::Limits;
use safire_metrics::{DECLARED, Kind};
use safire_test_support::on_both_engines;
use serde_json::json;

use crate::app::{ENDLESS, TestApp, eventually, of_capacity};

/// The metrics as text.
pub async fn scrape(app: &TestApp) -> String {
    let at = app.service().metrics_address().expect("metrics are told");
    let answer = reqwest::get(format!("http://{at}/metrics")).await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    answer.error_for_status().expect("200").text().await.expect("a text")
}

/// The value of a series, named as it is written.
pub fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no series {series}")).parse().expect("a number")
}

fn series(metrics: &str) -> BTreeSet<&str> {
    let lines = metrics.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect()
}

/// What Prometheus's own tool finds wrong with the text.
fn lint(metrics: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool, of the package prometheus: run ./test");
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

on_both_engines! {
    needs "needs Prometheus: run ./test"
    async fn every_series_is_there_from_the_start_and_stays_the_same_under_use(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let at_first = scrape(&app).await;
        lint(&at_first);
        for declared in DECLARED {
            let kind = match declared.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let (name, help) = (declared.name, declared.help.trim());
            assert!(at_first.contains(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")), "{name}");
        }
        for operation in safire_web::operations() {
            let (method, route) = (operation.method, operation.route);
            let counted = |status| format!("safire_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}");
            for status in ["2xx", "3xx", "4xx", "5xx"] {
                assert_eq!(value(&at_first, &counted(status)), 0.0);
            }
        }

        let ana = app.register().await;
        let scenario = ana.plant(500_000.0).await;
        ana.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
        ana.get("/master-data").await.is(200);
        ana.get("/projects/no-id").await;
        ana.get("/nothing-here").await;
        let later = scrape(&app).await;
        lint(&later);
        assert_eq!(series(&at_first), series(&later));
        assert!(series(&later).len() <= 2000, "{} series", series(&later).len());

        let requests = |method, route, status| {
            value(&later, &format!("safire_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}"))
        };
        assert_eq!(requests("POST", "/api/v1/scenarios/{id}/calculate/sync", "2xx"), 1.0);
        assert_eq!(requests("GET", "/api/v1/projects/{id}", "4xx"), 1.0);
        assert_eq!(requests("any", "unmatched", "4xx"), 1.0);
        let took = r#"safire_http_request_duration_seconds_bucket{method="GET",route="/api/v1/master-data",le="+Inf"}"#;
        assert_eq!(value(&later, took), 1.0);
        assert_eq!(value(&later, r#"safire_cache_misses_total{cache="master-data"}"#), 1.0);
        assert_eq!(value(&later, r#"safire_runs_total{outcome="succeeded"}"#), 1.0);
        assert_eq!(value(&later, r#"safire_calculation_duration_seconds_count{kind="base"}"#), 1.0);
        assert!(value(&later, "safire_database_acquire_duration_seconds_count") > 5.0);
        assert_eq!(value(&later, "safire_database_up"), 1.0);
        assert_eq!(value(&later, "safire_redis_enabled"), 0.0);
        assert_eq!(value(&later, "safire_runs_in_motion"), 0.0);
        app.stop().await;
    }

    async fn calculations_that_run_and_wait_are_seen_with_their_age(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.calculations.threads = 1).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let mut plants = Vec::new();
        // A worker waits for a while, and then leaves each of them to its thread.
        for _ in 0..60 {
            plants.push(ana.scenario(&project, of_capacity(ENDLESS)).await);
        }
        let ask = async |scenario: &String| ana.post(&format!("/scenarios/{scenario}/calculate"), None).await.is(202);
        join_all(plants.iter().map(ask)).await;
        eventually("some run and some wait, for a while", async || {
            let seen = scrape(&app).await;
            let figures = ["safire_calculations_running", "safire_calculations_waiting", "safire_runs_in_motion"];
            let [running, waiting, in_motion] = figures.map(|series| value(&seen, series));
            let all = running + waiting == 60.0 && in_motion == 60.0;
            let ages = ["safire_calculations_oldest_waiting_seconds", "safire_runs_oldest_in_motion_seconds"];
            let old = ages.iter().all(|series| value(&seen, series) > 0.05);
            let taken = value(&seen, r#"safire_actor_permits_in_use{actor="calculations"}"#);
            if running > 0.0 && waiting > 0.0 && all && old && taken == 60.0 { Ok(()) } else { Err(seen) }
        })
        .await;
        for scenario in plants {
            ana.delete(&format!("/scenarios/{scenario}/calculate")).await;
        }
        eventually("all are called off", async || {
            let seen = scrape(&app).await;
            let figures = [r#"safire_runs_total{outcome="cancelled"}"#, "safire_calculations_running", "safire_runs_in_motion"];
            let figures = figures.map(|series| value(&seen, series));
            if figures == [60.0, 0.0, 0.0] { Ok(()) } else { Err(figures) }
        })
        .await;
        app.stop().await;
    }

    async fn refusals_of_rate_limits_are_counted_by_limit_and_route(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| {
            config.limits = Limits { login_per_minute: 1, ..Limits::OFF };
        })
        .await;
        let wrong = json!({ "email": "nobody@example.com", "password": "no password at all" });
        for status in [401, 429, 429] {
            assert_eq!(app.anonymous().post("/auth/login", wrong.clone()).await.status, status);
        }
        let seen = scrape(&app).await;
        let refused = r#"safire_rate_limit_refusals_total{limit="login",route="/api/v1/auth/login"}"#;
        assert_eq!(value(&seen, refused), 2.0);
        app.stop().await;
    }

    async fn metrics_can_be_switched_off(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.metrics.enabled = false).await;
        assert_eq!(app.service().metrics_address(), None);
        app.register().await.get("/master-data").await.is(200);
        assert_eq!(app.anonymous().get("/metrics").await.status, 404);
        app.stop().await;
    }
}
