//! A client that a generator makes from the description does the main job.

use std::process::Command;

use safire_test_support::on_both_engines;
use tokio::task::spawn_blocking;

use crate::{
    app::{PASSWORD, TestApp},
    python::{python, succeeds},
};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/use_client.py");

on_both_engines! {
    needs "needs Python: run ./test"
    async fn a_generated_client_signs_in_calculates_and_reads_a_typed_result(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let base = format!("http://{}", app.service().address());
        let used = spawn_blocking(move || {
            let files = tempfile::tempdir().expect("a temporary directory");
            // ruff, which tidies what is generated, stands beside the interpreter.
            let path = python().parent().expect("a directory").to_owned();
            let generate = Command::new(python())
                .env("PATH", path)
                .current_dir(files.path())
                .args(["-m", "openapi_python_client", "generate", "--path", DOCUMENT, "--meta", "none"])
                .args(["--output-path", "safire_client", "--fail-on-warning"])
                .output();
            succeeds(generate.expect("Python runs"));
            let mut script = Command::new(python());
            script.current_dir(files.path()).env("PYTHONPATH", files.path()).env("NO_PROXY", "*");
            succeeds(script.args([SCRIPT, &base, PASSWORD]).output().expect("Python runs"))
        });
        let used = used.await.expect("it does not panic");
        assert_eq!(used.lines().last(), Some("LCOP 1495.81 USD/t"), "{used}");
        app.stop().await;
    }
}
