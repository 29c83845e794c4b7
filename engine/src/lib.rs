//! The calculation behind Safire: what a sustainable-aviation-fuel plant costs, earns and emits.
//!
//! The crate is pure: the same [`Inputs`] give the same bytes, and it knows no clock, randomness, files,
//! network, log or thread. Numbers enter through one door and leave through one door:
//!
//! 1. [`InputDocument`] is what a user wrote: [`Quantity`]s with units, anything left out.
//! 2. [`resolve`] merges it over the defaults, converts it to base units, checks it against the physical
//!    ranges of [`inputs::fields`] and the balances, and reports *every* [`Violation`] at once.
//! 3. [`analyse`] turns the validated [`Inputs`] into a [`BaseAnalysis`], or a [`Failure`] when a number
//!    leaves the range of finite ones. A value that does not exist is an [`Answer`] with a reason, never 0.
//!
//! The formulas live in [`plant`], [`carbon`] and [`finance`], one function each. [`base`] strings them
//! together once, generic over a [`Recorder`]: with [`Plain`] nothing is recorded and nothing is paid, with
//! [`Trace`] every step is kept with its formula and operands.
//!
//! ```
//! use safire_engine::{InputDocument, Plain, Trace, analyse, resolve};
//!
//! let example: serde_json::Value =
//!     serde_json::from_str(include_str!("../../examples/hefa-uco-usa.json")).unwrap();
//! let given: InputDocument = serde_json::from_value(example["inputs"].clone()).unwrap();
//!
//! let resolved = resolve(&given, None).unwrap();
//! let result = analyse(&resolved.inputs, &mut Plain).unwrap();
//! assert_eq!(format!("{:.2}", result.lcop_usd_per_t), "1495.81");
//!
//! let mut trace = Trace::default();
//! assert_eq!(analyse(&resolved.inputs, &mut trace).unwrap(), result);
//! assert_eq!(trace.steps[0].name, "tci");
//! ```

pub mod analysis;
pub mod answer;
pub mod balances;
pub mod base;
pub mod breakeven;
pub mod carbon;
pub mod cash_flow;
pub mod compare;
pub mod failure;
pub mod finance;
pub mod inputs;
mod lanes;
pub mod metric;
pub mod plant;
pub mod policy;
pub mod prices;
pub mod sensitivity;
pub mod solve;
pub mod trace;
pub mod uncertainty;
pub mod units;

pub use analysis::{Analysis, AnalysisResult, Job, Progress};
pub use answer::{Answer, Interval};
pub use balances::{Balances, balances};
pub use base::{BaseAnalysis, analyse};
pub use breakeven::{Breakeven, BreakevenQuestion, BreakevenRefused, breakeven};
pub use cash_flow::{CashFlowTable, CashFlowYear, cash_flow};
pub use compare::{Comparing, Comparison, compare};
pub use failure::Failure;
pub use inputs::{Allowed, InputDocument, Inputs, Invalid, Resolved, ResolvedInput, Source, Violation, resolve};
pub use metric::Metric;
pub use policy::{PolicyReport, policy};
pub use prices::{Prices, prices};
pub use trace::{Operand, Plain, Recorder, Step, Trace};
pub use units::{Group, Quantity, Unit};

/// The version of the formulas, part of the fingerprint of a run: a stored result is only reused while
/// this is unchanged. Raised with every change after which some inputs give other bits.
pub const ENGINE_VERSION: &str = "2";
