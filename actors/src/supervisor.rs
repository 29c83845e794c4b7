//! The root supervisor: starts the actors, restarts the one that fails, and knows when to give up.
//!
//! One-for-one: a failure concerns nobody but the one who failed. Restarts wait a little longer each
//! time; when there were more of them within the window than the budget allows, something is wrong
//! that restarting does not cure, and the supervisor says so by its `exhausted` token: the process
//! then drains and exits with a failing code.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use rand::RngExt;
use safire_metrics::Metrics;
use tokio_util::sync::CancellationToken;

use crate::{
    resilient::{Outlives, Resilient},
    slot::{Reply, Slot},
};

/// How restarts are spaced and how many are too many.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The wait before the first restart.
    pub first_delay: Duration,
    /// The longest wait.
    pub longest_delay: Duration,
    /// So many restarts are allowed …
    pub budget: usize,
    /// … within this time.
    pub window: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(100),
            longest_delay: Duration::from_secs(5),
            budget: 5,
            window: Duration::from_secs(10),
        }
    }
}

impl Policy {
    /// The wait before restart number `restart` (from 0) of a row, between half and all of the
    /// doubled delay so that several actors do not return in step.
    fn delay(&self, restart: u32) -> Duration {
        let doubled = self.first_delay.saturating_mul(2_u32.saturating_pow(restart));
        doubled.min(self.longest_delay).mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

type Start = dyn Fn(ActorCell) -> BoxFuture<'static, Result<ActorCell, SpawnErr>> + Send + Sync;

/// An actor under supervision.
#[derive(Clone)]
pub struct Child {
    name: &'static str,
    start: Arc<Start>,
}

impl Child {
    /// An actor that `make` builds for each of its lives and that is reached through `slot`.
    pub fn new<A, F>(slot: Slot<A::Msg>, make: F) -> Self
    where
        A: Actor,
        F: Fn() -> (A, A::Arguments) + Send + Sync + 'static,
    {
        let name = slot.resource();
        let start = move |supervisor| {
            let (actor, arguments) = make();
            let slot = slot.clone();
            async move {
                let (actor, _) = Actor::spawn_linked(None, actor, arguments, supervisor).await?;
                slot.fill(actor.clone());
                Ok(actor.get_cell())
            }
            .boxed()
        };
        Self { name, start: Arc::new(start) }
    }

    /// Likewise, and a panic costs the actor no more than the message that met it.
    pub(crate) fn resilient<A, F>(slot: Slot<A::Msg>, metrics: &Metrics, make: F) -> Self
    where
        A: Resilient,
        F: Fn() -> (A, A::Arguments) + Send + Sync + 'static,
    {
        let name = slot.resource();
        let lost = metrics.actor_lost_messages.of(name).clone();
        Self::new(slot, move || {
            let (actor, arguments) = make();
            (Outlives { actor, name, lost: lost.clone() }, arguments)
        })
    }
}

/// What the supervisor is told.
pub enum Message {
    /// Start the child again.
    Restart(usize),
    /// Stop the children, last started first, and answer when they have stopped.
    Stop(Reply<()>),
}

/// The root supervisor.
pub struct Supervisor {
    /// How it restarts.
    pub policy: Policy,
    /// Cancelled when the budget is spent.
    pub exhausted: CancellationToken,
    /// Where restarts are counted.
    pub metrics: Arc<Metrics>,
}

/// The supervisor's memory.
pub struct State {
    children: Vec<Supervised>,
    restarts: VecDeque<Instant>,
    stopping: bool,
}

struct Supervised {
    child: Child,
    cell: ActorCell,
    started: Instant,
    failures_in_a_row: u32,
}

impl Actor for Supervisor {
    type Msg = Message;
    type State = State;
    type Arguments = Vec<Child>;

    async fn pre_start(&self, myself: ActorRef<Message>, children: Vec<Child>) -> Result<State, ActorProcessingErr> {
        let mut supervised = Vec::with_capacity(children.len());
        for child in children {
            let cell = (child.start)(myself.get_cell()).await?;
            supervised.push(Supervised { child, cell, started: Instant::now(), failures_in_a_row: 0 });
        }
        Ok(State { children: supervised, restarts: VecDeque::new(), stopping: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Restart(index) if !state.stopping => self.restart(&myself, state, index).await,
            Message::Restart(_) => {}
            Message::Stop(reply) => {
                state.stopping = true;
                stop(state).await;
                reply.send(());
                myself.stop(None);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, why) = match event {
            SupervisionEvent::ActorFailed(cell, error) => (cell, error.to_string()),
            SupervisionEvent::ActorTerminated(cell, _, reason) => (cell, reason.unwrap_or_default()),
            _ => return Ok(()),
        };
        let failed = state.children.iter().position(|child| child.cell.get_id() == cell.get_id());
        if let (Some(index), false) = (failed, state.stopping) {
            self.plan_restart(&myself, state, index, &why);
        }
        Ok(())
    }
}

impl Supervisor {
    fn plan_restart(&self, myself: &ActorRef<Message>, state: &mut State, index: usize, why: &str) {
        let now = Instant::now();
        state.restarts.push_back(now);
        while state.restarts.front().is_some_and(|&first| now - first > self.policy.window) {
            state.restarts.pop_front();
        }
        let child = &mut state.children[index];
        if state.restarts.len() > self.policy.budget {
            tracing::error!(actor = child.child.name, why, "the restart budget is spent");
            self.exhausted.cancel();
            return;
        }
        if now - child.started > self.policy.window {
            child.failures_in_a_row = 0;
        }
        let delay = self.policy.delay(child.failures_in_a_row);
        child.failures_in_a_row += 1;
        tracing::error!(actor = child.child.name, why, ?delay, "an actor failed and will be restarted");
        myself.send_after(delay, move || Message::Restart(index));
    }

    async fn restart(&self, myself: &ActorRef<Message>, state: &mut State, index: usize) {
        let child = &mut state.children[index];
        match (child.child.start)(myself.get_cell()).await {
            Ok(cell) => {
                child.cell = cell;
                child.started = Instant::now();
                self.metrics.actor_restarts.of(child.child.name).increment(1);
                tracing::info!(actor = child.child.name, "restarted");
            }
            Err(error) => self.plan_restart(myself, state, index, &error.to_string()),
        }
    }
}

/// How long one child may take to finish what it has begun.
const STOP_TIMEOUT: Duration = Duration::from_millis(400);

async fn stop(state: &State) {
    for child in state.children.iter().rev() {
        if child.cell.stop_and_wait(None, Some(STOP_TIMEOUT)).await.is_err() {
            tracing::warn!(actor = child.child.name, "did not stop in time");
        }
    }
}
