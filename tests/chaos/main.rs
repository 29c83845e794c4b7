//! Breaking things on purpose: real servers are killed, frozen, cut off and starved while people work, and
//! one checker proves from the history of requests and from the database that nothing accepted was lost and
//! nothing ran twice.
//!
//! `SAFIRE_CHAOS=full` takes the full doses; without it they are small. Every test prints its seed and
//! figures; `SAFIRE_CHAOS_SEED` repeats one. The history of each is kept beside the build, one request a line.

mod checker;
mod clients;
mod disk;
mod drain;
mod driver;
mod feed;
mod history;
mod imports;
mod kills;
mod outages;
mod overload;
mod panics;
mod poison;
mod proxy;
mod queries;
mod redis;
mod replicas;
mod server;
mod storm;
mod world;
