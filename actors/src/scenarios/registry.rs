//! The actor: which scenarios are in motion here, and which runs this process holds.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use rand::RngExt;
use safire_domain::{RunId, ScenarioId, user::Access};
use safire_store::runs::{self, Assignment, Claim, Held, Only};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{
    Asker, CalculateAnswer, CancelAnswer, Drained, lease,
    scenario::{self, Said, ScenarioActor},
};
use crate::{
    calculations::{Calculations, Place},
    context::Context,
    database::Database,
    events::Events,
    heartbeat::{BEATS, Hold},
    ongoing::Ongoing,
    resilient::Resilient,
    slot::{Reply, Why},
};

/// What the registry is told.
pub(super) enum Message {
    Calculate { asker: Asker, scenario: ScenarioId, place: Place, reply: Reply<CalculateAnswer> },
    Cancel { access: Access, scenario: ScenarioId, run: Option<RunId>, reply: Reply<CancelAnswer> },
    Wait { scenario: ScenarioId, run: RunId, reply: Reply<()> },
    AtRest { scenario: ScenarioId, actor: ActorId, handled: u64 },
    Orphaned(RunId),
    Look,
    Held(Instant, Vec<Held>),
    Claimed(Vec<Assignment>),
    Drain(Duration, Reply<Drained>),
    DrainEnds,
}

pub(super) struct Registry {
    pub context: Context,
    pub database: Database,
    pub calculations: Calculations,
    pub hold: Hold,
    pub events: Events,
    pub in_motion: Ongoing,
    /// Claims on their way to the database.
    pub claims: TaskTracker,
    /// Whether this process had a registry before, which may have had runs in hand.
    pub lived_before: bool,
}

#[derive(Default)]
pub(super) struct State {
    scenarios: HashMap<ScenarioId, Entry>,
    draining: Option<Reply<Drained>>,
    /// Whether the registry was told to drain: nothing more is taken over.
    closing: bool,
    /// Whether runs are left that nobody works on: they are looked for as soon as there is room.
    more: bool,
    /// Says when to look for runs.
    _looking: Option<AbortOnDropHandle<()>>,
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
        self.claim(&myself, if self.lived_before { Reason::Forgotten } else { Reason::Routine });
        let (hold, registry, lease) = (self.hold.clone(), myself.clone(), self.context.lease);
        let looking = tokio::spawn(async move {
            loop {
                // Three times a lease, not in step with other processes; and when they give a hint.
                let pause = (lease / BEATS).mul_f64(rand::rng().random_range(0.8..=1.2));
                let _ = tokio::time::timeout(pause, hold.hinted()).await;
                let _ = registry.cast(Message::Look);
            }
        });
        Ok(State { _looking: Some(AbortOnDropHandle::new(looking)), ..State::default() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        self.context.pass("scenarios");
        match message {
            Message::Calculate { reply, .. } if state.closing => reply.refuse(Why::Down),
            Message::Calculate { asker, scenario, place, reply } => {
                let message = scenario::Message::Calculate { asker, place, reply };
                self.forward(&myself, state, scenario, message).await?;
            }
            Message::Cancel { access, scenario, run, reply } => {
                self.forward(&myself, state, scenario, scenario::Message::Cancel { access, run, reply }).await?;
            }
            Message::Wait { scenario, run, reply } => match state.scenarios.contains_key(&scenario) {
                true => self.forward(&myself, state, scenario, scenario::Message::Wait { run, reply }).await?,
                false => reply.send(()),
            },
            Message::AtRest { scenario, actor, handled } => state.let_go(scenario, actor, handled),
            Message::Orphaned(_) if state.closing => {}
            Message::Orphaned(run) => self.claim(&myself, Reason::Orphaned(run)),
            Message::Look => self.look(&myself, state),
            Message::Held(asked, held) => self.compare(&myself, state, asked, held),
            Message::Claimed(assignments) => {
                // As many as are taken at once: there are likely to be more.
                state.more |= assignments.len() >= self.calculations.capacity();
                for assignment in assignments {
                    let scenario = assignment.scenario;
                    self.forward(&myself, state, scenario, scenario::Message::Resume(assignment)).await?;
                }
            }
            Message::Drain(patience, reply) => {
                (state.draining, state.closing) = (Some(reply), true);
                myself.send_after(patience, || Message::DrainEnds);
            }
            Message::DrainEnds => self.hand_back(state),
        }
        if state.more && state.scenarios.len() < self.calculations.capacity() / 2 {
            state.more = false;
            self.look(&myself, state);
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

impl Resilient for Registry {
    /// What this process holds is compared with what its scenarios have in hand: a scenario that rests says so again.
    fn make_up(&self, myself: &ActorRef<Message>, state: &mut State) {
        self.look(myself, state);
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
        let tell = Box::new(move |said| {
            let _ = registry.cast(match said {
                Said::AtRest { scenario, actor, handled } => Message::AtRest { scenario, actor, handled },
                Said::Orphaned(run) => Message::Orphaned(run),
            });
        });
        let actor = ScenarioActor {
            id,
            context: self.context.clone(),
            database: self.database.clone(),
            calculations: self.calculations.clone(),
            events: self.events.clone(),
            in_motion: self.in_motion.clone(),
            tell,
        };
        Ok(Actor::spawn_linked(None, actor, (), myself.get_cell()).await?.0)
    }

    /// A scenario's actor failed: what it had in hand is claimed and begun again.
    fn begin_again(&self, myself: &ActorRef<Message>, state: &mut State, cell: &ActorCell, why: &ActorProcessingErr) {
        let failed = state.scenarios.iter().find(|(_, entry)| entry.actor.get_id() == cell.get_id());
        let Some(scenario) = failed.map(|(&scenario, _)| scenario) else { return };
        tracing::error!(scenario.id = %scenario, %why, "a scenario failed and begins again");
        state.scenarios.remove(&scenario);
        self.claim(myself, Reason::Failed(scenario));
    }

    /// Looks beside the actor which runs this process holds, and for runs that nobody does.
    fn look(&self, myself: &ActorRef<Message>, state: &State) {
        if state.closing {
            return;
        }
        let (node, database, registry) = (self.context.node, self.database.clone(), myself.clone());
        tokio::spawn(async move {
            let asked = Instant::now();
            match database.read(move |c| Box::pin(runs::held(c, node))).await {
                Ok(held) => drop(registry.cast(Message::Held(asked, held))),
                Err(error) => tracing::debug!(%error, "it was not looked which runs are held"),
            }
        });
        self.claim(myself, Reason::Routine);
    }

    /// Lets go what this process holds no longer, and begins again what it holds and nobody in it works
    /// on: it was accepted just when its actor failed, or the database's answer was lost.
    fn compare(&self, myself: &ActorRef<Message>, state: &mut State, asked: Instant, held: Vec<Held>) {
        let mut of: HashMap<ScenarioId, Vec<(RunId, i64)>> = HashMap::new();
        for Held { scenario, run, attempt } in held {
            of.entry(scenario).or_default().push((run, attempt));
        }
        for (scenario, entry) in &mut state.scenarios {
            entry.forwarded += 1;
            let held = of.remove(scenario).unwrap_or_default();
            let _ = entry.actor.cast(scenario::Message::Held(asked, held));
        }
        if !state.closing {
            of.into_values().flatten().for_each(|(run, _)| self.claim(myself, Reason::Orphaned(run)));
        }
    }

    /// Claims runs beside the actor and reports what it got. Until the database answers, a claim of
    /// runs that this process holds is tried again; any other is repeated soon anyway. A run
    /// accepted meanwhile may be claimed with them: its first attempt is then refused at its end.
    fn claim(&self, myself: &ActorRef<Message>, reason: Reason) {
        let (context, database, myself) = (self.context.clone(), self.database.clone(), myself.clone());
        let hold = self.hold.clone();
        let limit = i64::try_from(self.calculations.capacity()).unwrap_or(i64::MAX);
        self.claims.spawn(async move {
            let own = !matches!(reason, Reason::Routine);
            loop {
                let claim = Claim {
                    lease: lease(&context),
                    abandoned: hold.may_take_over(),
                    own,
                    only: reason.only(),
                    blamed: matches!(reason, Reason::Failed(_)),
                    limit,
                    now: context.clock.now(),
                };
                match database.write(move |c| Box::pin(runs::claim(c, claim))).await {
                    Ok(assignments) if assignments.is_empty() => return,
                    Ok(assignments) => {
                        tracing::info!(runs = assignments.len(), "taken over");
                        let _ = myself.cast(Message::Claimed(assignments));
                        return;
                    }
                    Err(error) if own && error.is_passing() => tokio::time::sleep(RETRY).await,
                    Err(error) => return tracing::debug!(%error, "abandoned runs were not looked for"),
                }
            }
        });
    }

    /// Answers the drain: what has not ended goes back, so that a late result of it is refused, and
    /// whoever waits for it is told that there is none here.
    fn hand_back(&self, state: &mut State) {
        let Some(reply) = state.draining.take() else { return };
        let unfinished = std::mem::take(&mut state.scenarios);
        let (node, database, claims) = (self.context.node, self.database.clone(), self.claims.clone());
        tokio::spawn(async move {
            // What is being claimed at this moment goes back with the rest.
            claims.close();
            let _ = tokio::time::timeout(RETRY, claims.wait()).await;
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

/// Why runs are claimed.
#[derive(Debug, Clone, Copy)]
enum Reason {
    /// Perhaps others have left some.
    Routine,
    /// This process has forgotten all that it held.
    Forgotten,
    /// This process holds the run, and nobody in it works on it.
    Orphaned(RunId),
    /// The scenario's actor failed, perhaps because of its run.
    Failed(ScenarioId),
}

impl Reason {
    fn only(self) -> Option<Only> {
        match self {
            Self::Routine | Self::Forgotten => None,
            Self::Orphaned(run) => Some(Only::Run(run)),
            Self::Failed(scenario) => Some(Only::Scenario(scenario)),
        }
    }
}
