//! The registry of scenarios in motion: one actor each, made when something is asked of a scenario
//! and let go when it rests.
//!
//! The registry also keeps this process's promise to the database: it takes over runs that nobody works
//! on, begins again what a failed actor had in hand, lets go what others have taken over, and gives back
//! what is unfinished when the process stops. The lease itself is renewed by the [heartbeat].
//!
//! [heartbeat]: crate::heartbeat

mod registry;
mod scenario;
mod work;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use safire_domain::{
    RunId, ScenarioId,
    engine::{InputDocument, Invalid},
    lifecycle::RunState,
    run::Run,
    user::Access,
};
use safire_store::{
    idempotency::Key,
    runs::{Accepted, Ask, Cancelled, Lease},
};
use tokio_util::task::TaskTracker;

use crate::{
    calculations::Calculations,
    context::Context,
    database::{Database, DatabaseError},
    events::Events,
    heartbeat::Hold,
    ongoing::Ongoing,
    slot::{Places, Slot, Unavailable, Why},
    supervisor::Child,
};
use registry::{Message, Registry};

/// The answer to a request for a calculation.
#[derive(Debug)]
pub enum CalculateAnswer {
    /// The run that computes, or has computed, what was asked.
    Run(Box<Run>),
    /// A run of the same kind with other inputs is in motion.
    Busy(RunId),
    /// The scenario has none of the versions that the request may be of.
    Changed,
    /// The scenario's inputs cannot be calculated.
    Invalid(Invalid),
    /// What was asked cannot be answered for these inputs.
    InvalidAnalysis(Invalid),
    /// The user may see the scenario but not change it.
    Forbidden,
    /// For the user there is no such scenario.
    Unknown,
    /// The scenario has no such run.
    UnknownRun,
    /// The run that is to be tried again has not failed.
    NotFailed(RunState),
    /// The user sent another request under this key.
    OtherRequest,
    /// The same request is being accepted at this moment, by another process.
    InProgress,
    /// The database gave no answer; nothing was accepted.
    Failed(DatabaseError),
}

impl From<Result<Accepted, DatabaseError>> for CalculateAnswer {
    fn from(answer: Result<Accepted, DatabaseError>) -> Self {
        match answer {
            Ok(Accepted::New(run, _) | Accepted::Same(run)) => Self::Run(Box::new(run)),
            Ok(Accepted::Busy(run)) => Self::Busy(run),
            Ok(Accepted::Changed) => Self::Changed,
            Ok(Accepted::Invalid(invalid)) => Self::Invalid(invalid),
            Ok(Accepted::InvalidAnalysis(invalid)) => Self::InvalidAnalysis(invalid),
            Ok(Accepted::Forbidden) => Self::Forbidden,
            Ok(Accepted::Unknown) => Self::Unknown,
            Ok(Accepted::UnknownRun) => Self::UnknownRun,
            Ok(Accepted::NotFailed(state)) => Self::NotFailed(state),
            Ok(Accepted::OtherRequest) => Self::OtherRequest,
            Ok(Accepted::InProgress) => Self::InProgress,
            Err(error) => Self::Failed(error),
        }
    }
}

/// Who asks for which calculation and, if they named their request, under which key.
#[derive(Debug, Clone)]
pub struct Asker {
    /// What they may see and change.
    pub access: Access,
    /// The key: a request that was accepted under it is answered with the same run.
    pub key: Option<Key>,
    /// What they want to know.
    pub ask: Ask,
    /// Inputs that are stored and calculated, instead of those that the scenario has.
    pub inputs: Option<Box<InputDocument>>,
    /// The versions of the scenario of which the request may be; of any when there are none.
    pub versions: Option<Vec<i64>>,
}

impl Asker {
    /// Somebody who asks this of the scenario as it is.
    pub fn new(access: Access, key: Option<Key>, ask: Ask) -> Self {
        Self { access, key, ask, inputs: None, versions: None }
    }
}

/// The answer to a request to call a calculation off.
pub type CancelAnswer = Result<Cancelled, DatabaseError>;

/// How the registry stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Runs given back unfinished; another process, or the next start, takes them up.
    pub handed_back: u64,
}

/// How many requests the registry admits and how long they may take.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Requests at once.
    pub queue: usize,
    /// How long one may wait for its answer.
    pub deadline: Duration,
}

/// A handle on the registry.
#[derive(Clone)]
pub struct Scenarios {
    slot: Slot<Message>,
    calculations: Calculations,
    in_motion: Ongoing,
}

impl Scenarios {
    /// The handle and the actor behind it.
    pub fn new(
        settings: Settings,
        context: &Context,
        database: &Database,
        calculations: &Calculations,
        hold: &Hold,
        events: &Events,
    ) -> (Self, Child) {
        let slot = Slot::new("scenarios", settings.queue, settings.deadline);
        let events = events.clone();
        let (context, database, pool, hold) = (context.clone(), database.clone(), calculations.clone(), hold.clone());
        let in_motion = Ongoing::default();
        let (runs, lived) = (in_motion.clone(), AtomicBool::new(false));
        let metrics = Arc::clone(&context.metrics);
        let child = Child::resilient(slot.clone(), &metrics, move || {
            let registry = Registry {
                context: context.clone(),
                database: database.clone(),
                calculations: pool.clone(),
                hold: hold.clone(),
                events: events.clone(),
                in_motion: runs.clone(),
                claims: TaskTracker::new(),
                lived_before: lived.swap(true, Ordering::Relaxed),
            };
            (registry, ())
        });
        (Self { slot, calculations: calculations.clone(), in_motion }, child)
    }

    /// Runs that this process calculates.
    pub fn in_motion(&self) -> &Ongoing {
        &self.in_motion
    }

    /// How many requests are admitted.
    pub fn places(&self) -> Places {
        self.slot.places()
    }

    /// Has a scenario calculated. A place in the pool is taken first: what is accepted finds room.
    pub async fn calculate(&self, asker: Asker, scenario: ScenarioId) -> Result<CalculateAnswer, Unavailable> {
        let place = self.calculations.admit(asker.access.user)?;
        self.slot.call(|reply| Message::Calculate { asker, scenario, place, reply }).await
    }

    /// Cancels a scenario's run in motion: the one that is named, else that of the base analysis, else the newest.
    pub async fn cancel(
        &self,
        access: Access,
        scenario: ScenarioId,
        run: Option<RunId>,
    ) -> Result<CancelAnswer, Unavailable> {
        self.slot.call(|reply| Message::Cancel { access, scenario, run, reply }).await
    }

    /// Returns when `run` is no longer in motion in this process, or when `deadline` has passed: then
    /// its row says how it stands.
    pub async fn wait(&self, scenario: ScenarioId, run: RunId, deadline: Duration) -> Result<(), Unavailable> {
        match self.slot.call_within(deadline, |reply| Message::Wait { scenario, run, reply }).await {
            Err(Unavailable { why: Why::Late, .. }) => Ok(()),
            answer => answer,
        }
    }

    /// Takes no new calculations, lets the ones in motion finish for `patience`, and gives back the
    /// rest.
    pub async fn drain(&self, patience: Duration) -> Result<Drained, Unavailable> {
        let deadline = patience + DRAIN_GRACE;
        self.slot.call_within(deadline, |reply| Message::Drain(patience, reply)).await
    }
}

/// What giving back may take beyond the drain's patience.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// This process's hold on a run, from now.
pub(crate) fn lease(context: &Context) -> Lease {
    Lease { owner: context.node, length: context.lease }
}

impl fmt::Debug for Scenarios {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scenarios")
    }
}
