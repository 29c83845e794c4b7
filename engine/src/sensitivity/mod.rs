//! Sensitivity: which inputs a result depends on, and how.

mod block;
mod bootstrap;
mod breakeven;
mod index_result;
mod indices;
mod rows;
mod scan;
mod spider;
mod sweep;
mod tornado;

pub use index_result::{IndexCounts, MetricIndices, SobolIndex, SobolResult};
pub use indices::{MAX_SOBOL_SAMPLES, Sobol};
pub use spider::{Line, MetricSpider, Spider, SpiderResult};
pub use sweep::{Axis, Breakeven, BreakevenLine, MAX_STEPS, MetricSweep, Sweep, SweepResult};
pub use tornado::{Bar, LowAndHigh, MetricTornado, Tornado, TornadoResult};
