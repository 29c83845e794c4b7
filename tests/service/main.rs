//! The service as its users meet it: over HTTP, in process on port 0, on a database of its own; and a
//! few times as the program that is installed.

mod analyses;
mod app;
mod auth;
mod bodies;
mod calculation;
mod cli;
mod client;
mod comparison;
mod description;
mod drain;
mod faults;
mod health;
mod injection;
mod keys;
mod limits;
mod master_data;
mod matrix;
mod motion;
mod ownership;
mod process;
mod projects;
mod python;
mod python_client;
mod redis;
mod refusals;
mod repeats;
mod requests;
mod scenarios;
mod schemathesis;
mod sessions;
mod users;
mod versions;
mod zones;
