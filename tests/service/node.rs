//! Packages from npm, for the tests that use them.

use std::{path::PathBuf, process::Command};

/// Node, about to run that file of tests/node/package.json's packages.
pub fn node(file: &str) -> Command {
    let modules =
        std::env::var("SAFIRE_NODE_MODULES").expect("SAFIRE_NODE_MODULES names the tests' packages: run ./test");
    let mut command = Command::new("node");
    command.arg(PathBuf::from(modules).join(file));
    command
}
