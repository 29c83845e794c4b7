//! Who owns what: supervised actors, and the handles by which others reach them.
//!
//! Callers never hold an actor. They hold a handle ([`Database`], [`Cache`], [`Calculations`],
//! [`Scenarios`], [`Events`]) over a [`slot::Slot`] that survives restarts, admits a bounded number of requests
//! and answers every one of them: with a value, or with [`Unavailable`].
//!
//! Calls form a directed graph without cycles: scenarios call calculations and the database, the web
//! calls all of them, and nobody calls back; what has to come back is a message.

pub mod cache;
pub mod calculations;
pub mod context;
pub mod database;
pub mod events;
pub mod feed;
pub mod heartbeat;
pub mod imports;
pub mod limits;
pub mod ongoing;
pub mod origin;
mod pause;
mod priority;
mod resilient;
pub mod scenarios;
mod shares;
pub mod slot;
pub mod supervisor;
pub mod system;
mod turns;

pub use cache::Cache;
pub use calculations::Calculations;
pub use context::{Context, Faults};
pub use database::Database;
pub use events::Events;
pub use feed::Feed;
pub use imports::Imports;
pub use origin::Origin;
pub use scenarios::Scenarios;
pub use slot::Unavailable;
pub use system::{Settings, System};
