//! What Safire talks about, free of I/O: ids, time, users, zones, projects, scenarios, their runs and the
//! rules by which they change.
//!
//! The rules are total functions ([`lifecycle`]) whose whole tables are tests; everything that
//! stores, sends or serves lives in crates to the right of this one.

pub mod breakeven;
pub mod clock;
pub mod comparison;
pub mod details;
pub mod draft;
pub mod event;
pub mod ids;
pub mod key;
pub mod lifecycle;
pub mod master_data;
pub mod name;
pub mod number;
pub mod operation;
pub mod price;
pub mod project;
pub mod reading;
pub mod run;
pub mod scenario;
pub mod table;
pub mod trace;
pub mod user;
pub mod usual;
pub mod zone;

pub use clock::{Clock, Timestamp};
pub use ids::{AlertId, KeyId, NodeId, OperationId, ProjectId, RunId, ScenarioId, SessionId, UserId};
pub use safire_engine as engine;
