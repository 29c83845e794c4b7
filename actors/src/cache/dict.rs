//! Dicts: texts by name, kept as a hash and rendered once as a JSON object.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::database::DatabaseError;

/// Texts by name.
pub type Dict = BTreeMap<String, String>;

/// A dict under construction.
pub type LoadDict = BoxFuture<'static, Result<Dict, DatabaseError>>;

/// The dict as a JSON object.
pub(super) fn render(dict: &Dict) -> Result<Bytes, serde_json::Error> {
    serde_json::to_vec(dict).map(Bytes::from)
}
