//! What every actor is given: time, the name of this process, and the points at which a test may
//! make it fail.

use std::{fmt, sync::Arc, time::Duration};

use safire_domain::{Clock, NodeId};
use safire_metrics::Metrics;

/// Shared by all actors of one process.
#[derive(Clone)]
pub struct Context {
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// This life of this process: the owner of the runs that it works on.
    pub node: NodeId,
    /// How long a run stays with a process that gives no sign of life.
    pub lease: Duration,
    /// Where it is counted what happens.
    pub metrics: Arc<Metrics>,
    /// Where tests break things; `None` in production.
    pub faults: Option<Arc<dyn Faults>>,
}

/// Breaks things on purpose.
pub trait Faults: Send + Sync + 'static {
    /// Called when an actor begins to handle a message; may panic.
    fn strike(&self, point: &'static str);
}

/// How long a lease is unless something else is configured.
pub const LEASE: Duration = Duration::from_secs(15);

impl Context {
    /// A context without faults, in which nothing is counted.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let node = NodeId::new(clock.now());
        Self { clock, node, lease: LEASE, metrics: Arc::new(Metrics::silent()), faults: None }
    }

    pub(crate) fn pass(&self, point: &'static str) {
        if let Some(faults) = &self.faults {
            faults.strike(point);
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("node", &self.node).finish_non_exhaustive()
    }
}
