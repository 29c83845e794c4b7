//! The registry of scenarios in motion: one actor each, made when something is asked of a scenario
//! and let go when it rests.
//!
//! The registry also keeps this process's promise to the database: it renews the lease on its runs,
//! takes over runs that nobody works on, begins again what a failed actor had in hand, and gives back
//! what is unfinished when the process stops.

use std::{
    collections::HashMap,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use chrono::TimeDelta;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use safire_domain::{
    RunId, ScenarioId, Timestamp,
    engine::{Analysis, Invalid},
    run::Run,
    user::Access,
};
use safire_store::{
    Engine,
    idempotency::Key,
    runs::{self, Assignment, Cancelled, Claim, Lease},
};

use crate::{
    calculations::{Calculations, Place},
    context::Context,
    database::{Database, DatabaseError},
    scenario::{self, ScenarioActor},
    slot::{Reply, Slot, Unavailable, Why},
    supervisor::Child,
};

/// How long a run stays with a process that gives no sign of life.
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// How often a process gives one, and looks for runs that others have left.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The answer to a request for a calculation.
#[expect(clippy::large_enum_variant, reason = "one at a time for each request: moved, never kept in numbers")]
#[derive(Debug)]
pub enum CalculateAnswer {
    /// The run that computes, or has computed, what was asked.
    Run(Run),
    /// A run with other inputs is in motion.
    Busy(RunId),
    /// The scenario's inputs cannot be calculated.
    Invalid(Invalid),
    /// What was asked cannot be answered for these inputs.
    InvalidAnalysis(Invalid),
    /// The user may see the scenario but not change it.
    Forbidden,
    /// For the user there is no such scenario.
    Unknown,
    /// The user sent another request under this key.
    OtherRequest,
    /// The same request is being accepted at this moment, by another process.
    InProgress,
    /// The database gave no answer; nothing was accepted.
    Failed(DatabaseError),
}

/// Who asks for which calculation and, if they named their request, under which key.
#[derive(Debug, Clone)]
pub struct Asker {
    /// What they may see and change.
    pub access: Access,
    /// The key: a request that was accepted under it is answered with the same run.
    pub key: Option<Key>,
    /// What they want to know.
    pub analysis: Analysis,
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
}

impl Scenarios {
    /// The handle and the actor behind it.
    pub fn new(
        settings: Settings,
        context: &Context,
        database: &Database,
        calculations: &Calculations,
    ) -> (Self, Child) {
        let slot = Slot::new("scenarios", settings.queue, settings.deadline);
        let (context, database, pool) = (context.clone(), database.clone(), calculations.clone());
        let lived = AtomicBool::new(false);
        let child = Child::new(slot.clone(), move || {
            let registry = Registry {
                context: context.clone(),
                database: database.clone(),
                calculations: pool.clone(),
                lived_before: lived.swap(true, Ordering::Relaxed),
            };
            (registry, ())
        });
        (Self { slot, calculations: calculations.clone() }, child)
    }

    /// Has a scenario calculated. A place in the pool is taken first: what is accepted finds room.
    pub async fn calculate(&self, asker: Asker, scenario: ScenarioId) -> Result<CalculateAnswer, Unavailable> {
        let place = self.calculations.admit(asker.access.user)?;
        self.slot.call(|reply| Message::Calculate { asker, scenario, place, reply }).await
    }

    /// Calls off a scenario's run in motion.
    pub async fn cancel(&self, access: Access, scenario: ScenarioId) -> Result<CancelAnswer, Unavailable> {
        self.slot.call(|reply| Message::Cancel { access, scenario, reply }).await
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

#[expect(clippy::large_enum_variant, reason = "one at a time for each request: moved, never kept in numbers")]
enum Message {
    Calculate { asker: Asker, scenario: ScenarioId, place: Place, reply: Reply<CalculateAnswer> },
    Cancel { access: Access, scenario: ScenarioId, reply: Reply<CancelAnswer> },
    Wait { scenario: ScenarioId, run: RunId, reply: Reply<()> },
    AtRest { scenario: ScenarioId, actor: ActorId, handled: u64 },
    Heartbeat,
    Held(Vec<ScenarioId>),
    Claimed(Vec<Assignment>),
    Drain(Duration, Reply<Drained>),
    DrainEnds,
}

struct Registry {
    context: Context,
    database: Database,
    calculations: Calculations,
    /// Whether this process had a registry before, which may have had runs in hand.
    lived_before: bool,
}

#[derive(Default)]
struct State {
    scenarios: HashMap<ScenarioId, Entry>,
    draining: Option<Reply<Drained>>,
}

struct Entry {
    actor: ActorRef<scenario::Message>,
    /// Messages forwarded so far: the actor may go when it has handled as many.
    forwarded: u64,
}

impl Actor for Registry {
    type Msg = Message;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Message>, (): ()) -> Result<State, ActorProcessingErr> {
        self.claim(&myself, self.lived_before, None);
        myself.send_interval(HEARTBEAT, || Message::Heartbeat);
        Ok(State::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        self.context.pass("scenarios");
        match message {
            Message::Calculate { reply, .. } if state.draining.is_some() => reply.refuse(Why::Down),
            Message::Calculate { asker, scenario, place, reply } => {
                let message = scenario::Message::Calculate { asker, place, reply };
                self.forward(&myself, state, scenario, message).await?;
            }
            Message::Cancel { access, scenario, reply } => {
                self.forward(&myself, state, scenario, scenario::Message::Cancel { access, reply }).await?;
            }
            Message::Wait { scenario, run, reply } => match state.scenarios.contains_key(&scenario) {
                true => self.forward(&myself, state, scenario, scenario::Message::Wait { run, reply }).await?,
                false => reply.send(()),
            },
            Message::AtRest { scenario, actor, handled } => state.let_go(scenario, actor, handled),
            Message::Heartbeat => self.beat(&myself),
            Message::Held(scenarios) => self.reclaim(&myself, state, scenarios),
            Message::Claimed(assignments) => {
                for assignment in assignments {
                    let scenario = assignment.scenario;
                    self.forward(&myself, state, scenario, scenario::Message::Resume(assignment)).await?;
                }
            }
            Message::Drain(patience, reply) => {
                state.draining = Some(reply);
                myself.send_after(patience, || Message::DrainEnds);
            }
            Message::DrainEnds => self.hand_back(state),
        }
        if state.scenarios.is_empty() {
            self.hand_back(state);
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(cell, why) = event {
            self.begin_again(&myself, state, &cell, &why);
        }
        Ok(())
    }
}

impl State {
    /// Lets a resting scenario go, unless something was forwarded to it in the meantime.
    fn let_go(&mut self, scenario: ScenarioId, actor: ActorId, handled: u64) {
        let rests = |entry: &Entry| entry.actor.get_id() == actor && entry.forwarded == handled;
        if self.scenarios.get(&scenario).is_some_and(rests)
            && let Some(entry) = self.scenarios.remove(&scenario)
        {
            entry.actor.stop(None);
        }
    }
}

impl Registry {
    async fn forward(
        &self,
        myself: &ActorRef<Message>,
        state: &mut State,
        scenario: ScenarioId,
        message: scenario::Message,
    ) -> Result<(), ActorProcessingErr> {
        let entry = match state.scenarios.entry(scenario) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let actor = self.spawn(myself, scenario).await?;
                entry.insert(Entry { actor, forwarded: 0 })
            }
        };
        entry.forwarded += 1;
        // A scenario that has just failed drops the message; its caller is told, and its run is
        // claimed again.
        let _ = entry.actor.cast(message);
        Ok(())
    }

    async fn spawn(
        &self,
        myself: &ActorRef<Message>,
        id: ScenarioId,
    ) -> Result<ActorRef<scenario::Message>, ActorProcessingErr> {
        let registry = myself.clone();
        let on_rest = Box::new(move |scenario, actor, handled| {
            let _ = registry.cast(Message::AtRest { scenario, actor, handled });
        });
        let actor = ScenarioActor {
            id,
            context: self.context.clone(),
            database: self.database.clone(),
            calculations: self.calculations.clone(),
            on_rest,
        };
        Ok(Actor::spawn_linked(None, actor, (), myself.get_cell()).await?.0)
    }

    /// A scenario's actor failed: what it had in hand is claimed and begun again.
    fn begin_again(&self, myself: &ActorRef<Message>, state: &mut State, cell: &ActorCell, why: &ActorProcessingErr) {
        let failed = state.scenarios.iter().find(|(_, entry)| entry.actor.get_id() == cell.get_id());
        let Some(scenario) = failed.map(|(&scenario, _)| scenario) else { return };
        tracing::error!(scenario.id = %scenario, %why, "a scenario failed and begins again");
        state.scenarios.remove(&scenario);
        self.claim(myself, true, Some(scenario));
    }

    fn beat(&self, myself: &ActorRef<Message>) {
        let (context, database, registry) = (self.context.clone(), self.database.clone(), myself.clone());
        tokio::spawn(async move {
            let lease = lease(&context);
            let held = database.write(move |c| {
                Box::pin(async move {
                    runs::renew(c, lease).await?;
                    runs::held(c, lease.owner).await
                })
            });
            match held.await {
                Ok(scenarios) => drop(registry.cast(Message::Held(scenarios))),
                Err(error) => tracing::warn!(%error, "the lease was not renewed"),
            }
        });
        self.claim(myself, false, None);
    }

    /// Begins again the runs that this process holds and nobody in it works on: they were accepted
    /// just when their actor failed.
    fn reclaim(&self, myself: &ActorRef<Message>, state: &State, scenarios: Vec<ScenarioId>) {
        for scenario in scenarios {
            if !state.scenarios.contains_key(&scenario) {
                self.claim(myself, true, Some(scenario));
            }
        }
    }

    /// Claims runs beside the actor and reports what it got. Until the database answers, a claim of
    /// what a failed actor had in hand is tried again; the next heartbeat repeats any other. A run
    /// accepted meanwhile may be claimed with them: its first attempt is then refused at its end.
    fn claim(&self, myself: &ActorRef<Message>, own: bool, scenario: Option<ScenarioId>) {
        let (context, database, myself) = (self.context.clone(), self.database.clone(), myself.clone());
        let limit = i64::try_from(self.calculations.capacity()).unwrap_or(i64::MAX);
        tokio::spawn(async move {
            loop {
                let now = context.clock.now();
                let abandoned_before = abandoned_before(database.engine(), now);
                let claim = Claim { lease: lease(&context), abandoned_before, own, scenario, limit, now };
                match database.write(move |c| Box::pin(runs::claim(c, claim))).await {
                    Ok(assignments) if assignments.is_empty() => return,
                    Ok(assignments) => {
                        tracing::info!(runs = assignments.len(), "taken over");
                        let _ = myself.cast(Message::Claimed(assignments));
                        return;
                    }
                    Err(error) if own && error.is_passing() => tokio::time::sleep(RETRY).await,
                    Err(error) => return tracing::warn!(%error, "abandoned runs were not looked for"),
                }
            }
        });
    }

    /// Answers the drain: what has not ended goes back, so that a late result of it is refused, and
    /// whoever waits for it is told that there is none here.
    fn hand_back(&self, state: &mut State) {
        let Some(reply) = state.draining.take() else { return };
        let unfinished = std::mem::take(&mut state.scenarios);
        let (node, database) = (self.context.node, self.database.clone());
        tokio::spawn(async move {
            let handed_back = database.write(move |c| Box::pin(runs::hand_back(c, node))).await;
            let handed_back = handed_back.unwrap_or_else(|error| {
                tracing::error!(%error, "unfinished runs were not handed back; their lease will end");
                0
            });
            for entry in unfinished.into_values() {
                entry.actor.stop(None);
            }
            reply.send(Drained { handed_back });
        });
    }
}

/// How soon a claim that must succeed is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// This process's hold on a run, from now.
pub(crate) fn lease(context: &Context) -> Lease {
    let until = context.clock.now() + TimeDelta::from_std(LEASE).unwrap_or_default();
    Lease { owner: context.node, until }
}

/// When another process's lease must have ended for its runs to be free. SQLite has one process: any
/// other is gone.
fn abandoned_before(engine: Engine, now: Timestamp) -> Timestamp {
    match engine {
        Engine::Postgres => now,
        Engine::Sqlite => now + TimeDelta::days(36_500),
    }
}

impl fmt::Debug for Scenarios {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scenarios")
    }
}
