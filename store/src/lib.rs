//! SQL, and nothing else: one text for PostgreSQL and SQLite.
//!
//! Every function takes a [`Connection`] and plain values. Who owns connections, how many there are
//! and who waits for them is the business of the crate to the right.

pub mod access;
mod cause;
mod connection;
mod error;
pub mod events;
pub mod feed;
pub mod hints;
pub mod idempotency;
pub mod keys;
pub mod logins;
pub mod master_data;
pub mod obstacles;
pub mod operations;
pub mod projects;
pub mod runs;
pub mod scenarios;
pub mod schema;
pub mod sessions;
pub mod streams;
pub mod users;
pub mod window;
pub mod zones;

pub use cause::caused_by;
pub use connection::{Connection, Engine, Target};
pub use error::{Error, Result};
pub use window::Window;
