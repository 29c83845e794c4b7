//! Tools from PyPI, for the tests that use them.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

/// The interpreter that has tests/python/requirements.txt.
pub fn python() -> PathBuf {
    let python = std::env::var("SAFIRE_PYTHON").expect("SAFIRE_PYTHON names the tests' Python: run ./test");
    PathBuf::from(python)
}

/// What a script of tests/python prints; it has to succeed.
pub fn run_script(name: &str, arguments: &[&str]) -> String {
    let script = format!("{}/tests/python/{name}", env!("CARGO_MANIFEST_DIR"));
    succeeds(Command::new(python()).arg(script).args(arguments).env("NO_PROXY", "*").output().expect("Python runs"))
}

/// What a program that has succeeded printed.
#[track_caller]
pub fn succeeds(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}
