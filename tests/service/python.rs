//! Tools from PyPI, for the tests that use them.

use std::path::PathBuf;

/// The interpreter that has tests/python/requirements.txt.
pub fn python() -> PathBuf {
    let python = std::env::var("SAFIRE_PYTHON").expect("SAFIRE_PYTHON names the tests' Python: run ./test");
    PathBuf::from(python)
}
