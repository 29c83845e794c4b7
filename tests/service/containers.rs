//! What starts the service in containers, as far as it can be checked without any.

use std::process::Command;

use crate::python::python;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[track_caller]
fn succeeds(command: &mut Command) {
    let output = command.current_dir(ROOT).output().expect("it can be run");
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(output.status.success(), "{out}{err}");
}

#[test]
#[ignore = "needs Python: run ./test"]
fn the_compose_file_is_well_formed_and_agrees_with_the_configuration() {
    let check = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/check_compose.py");
    succeeds(Command::new(python()).args([check, env!("CARGO_BIN_EXE_safire")]));
}

#[test]
#[ignore = "needs Python: run ./test"]
fn the_dockerfile_has_no_lint() {
    let hadolint = python().parent().expect("a directory").join("hadolint");
    succeeds(Command::new(hadolint).arg("Dockerfile"));
}
