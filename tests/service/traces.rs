//! What is logged about one request, wherever it was worked on.

use reqwest::Client;
use safire_test_support::on_both_engines;
use serde_json::Value;

use crate::{app::ADMIN, keys::Program};

on_both_engines! {
    async fn what_is_done_for_a_request_and_its_run_is_logged_under_their_names(database: &TestDatabase) {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        let mut program = Program::start(database, ADMIN.1);
        let ana = crate::app::Client::of(program.base.clone()).register().await;
        let scenario = ana.plant(500_000.0).await;
        let path = format!("{}/api/v1/scenarios/{scenario}/calculate/sync", program.base);
        let asked = Client::new().post(path).bearer_auth(ana.token.as_ref().expect("a token"));
        let asked = asked.header("x-request-id", "notebook-7").header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
        let run: Value = asked.send().await.expect("an answer").json().await.expect("a run");
        let log = program.end();
        let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let said = |message: &str| {
            let of_it = |line: &&Value| line["message"] == message && line["span"]["request.id"] == "notebook-7";
            let line = lines.iter().find(of_it).unwrap_or_else(|| panic!("{message} is not logged for the request: {log}"));
            assert_eq!(line["span"]["trace_id"], TRACE);
            line["span"].clone()
        };
        assert_eq!(said("answered")["route"], "/api/v1/scenarios/{id}/calculate/sync");
        let span = said("the run has ended");
        assert_eq!((&span["name"], &span["scenario.id"]), (&"run".into(), &scenario.as_str().into()));
        assert_eq!(span["run.id"], run["run_id"]);
    }
}
