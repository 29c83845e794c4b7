//! HTTP: parse, ask, answer.
//!
//! A handler extracts domain types, makes one call on a typed handle and renders one view or one
//! [`Problem`]. Statuses for errors live in [`problem`]; nothing here knows SQL or messages.

mod app;
pub mod auth;
mod base_path;
mod body;
mod client;
mod conditional;
mod directory;
mod document;
mod extract;
mod files;
mod idempotency;
pub mod limits;
mod live;
mod observe;
mod pace;
mod page;
mod prefer;
pub mod problem;
mod roles;
mod routes;
pub mod thresholds;
mod upload;

pub use app::{App, Settings};
pub use client::Peer;
pub use limits::Limits;
pub use problem::Problem;
pub use routes::{Service, openapi, operations, service};
