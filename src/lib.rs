//! The wiring of Safire: configuration, start, serving, stopping, and the command line.
//!
//! What is wired lives in the crates to the left: engine, domain, store, actors, web.

pub mod cli;
pub mod config;
mod exposition;
mod file_lock;
mod listener;
pub mod memory;
pub mod report;
pub mod service;
mod shutdown;
pub mod telemetry;
