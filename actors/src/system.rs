//! All actors of one process, started back to front and stopped front to back.

use std::{sync::Arc, time::Duration};

use ractor::{Actor, ActorRef, SpawnErr};
use tokio_util::sync::CancellationToken;

use crate::{
    cache::{self, Cache},
    calculations::{self, Calculations},
    context::Context,
    database::{self, Database},
    events::{self, Events},
    feed::{self, Feed},
    heartbeat::{Hold, heartbeat},
    imports::{self, Imports},
    scenarios::{self, Drained, Scenarios},
    slot::{Places, Slot, Unavailable},
    supervisor::{Message, Policy, Supervisor},
};

/// Everything that the actors are told once.
#[derive(Clone)]
pub struct Settings {
    /// The database.
    pub database: database::Settings,
    /// The cache.
    pub cache: cache::Settings,
    /// The calculation pool.
    pub calculations: calculations::Settings,
    /// The registry of scenarios.
    pub scenarios: scenarios::Settings,
    /// The events.
    pub events: events::Settings,
    /// The feed, where there is one.
    pub feed: Option<feed::Settings>,
    /// Imports.
    pub imports: imports::Settings,
    /// How failed actors are restarted.
    pub policy: Policy,
}

/// The running actors.
pub struct System {
    /// The database.
    pub database: Database,
    /// The cache.
    pub cache: Cache,
    /// The calculation pool.
    pub calculations: Calculations,
    /// The registry of scenarios.
    pub scenarios: Scenarios,
    /// The events.
    pub events: Events,
    /// The feed, where there is one.
    pub feed: Option<Feed>,
    /// The imports.
    pub imports: Imports,
    /// What is known about the lease on this process's runs.
    pub hold: Hold,
    supervisor: Slot<Message>,
    exhausted: CancellationToken,
}

impl System {
    /// Starts all actors under a supervisor.
    pub async fn start(settings: Settings, context: &Context) -> Result<Self, SpawnErr> {
        let (database, mut children) = Database::new(&settings.database, context);
        let (hold, child) = heartbeat(&settings.database.target, context, &database);
        children.push(child);
        let (cache, child) = Cache::new(&settings.cache, context);
        children.push(child);
        let (calculations, child) = Calculations::new(&settings.calculations, context);
        children.push(child);
        let (events, child) = Events::new(settings.events, context, &database, &hold);
        children.push(child);
        let feed = settings.feed.map(|settings| Feed::new(settings, context, &database, &cache, &events));
        let feed = feed.map(|(feed, child)| {
            children.push(child);
            feed
        });
        let (scenarios, child) = Scenarios::new(settings.scenarios, context, &database, &calculations, &hold, &events);
        children.push(child);
        let (imports, child) =
            Imports::new(&settings.imports, context, &database, &calculations, &scenarios, &events, &hold);
        children.push(child);

        let exhausted = CancellationToken::new();
        let root =
            Supervisor { policy: settings.policy, exhausted: exhausted.clone(), metrics: Arc::clone(&context.metrics) };
        let (actor, _): (ActorRef<Message>, _) = Actor::spawn(None, root, children).await?;
        let supervisor = Slot::new("supervisor", 1, STOP_DEADLINE);
        supervisor.fill(actor);
        Ok(Self { database, cache, calculations, scenarios, events, feed, imports, hold, supervisor, exhausted })
    }

    /// Cancelled when an actor has failed more often than restarting can cure: the process should
    /// drain and end.
    pub fn exhausted(&self) -> CancellationToken {
        self.exhausted.clone()
    }

    /// Whether the supervisor is there to restart what fails.
    pub fn is_supervised(&self) -> bool {
        !self.exhausted.is_cancelled() && self.supervisor.actor().is_some()
    }

    /// How many requests each actor has admitted.
    pub fn places(&self) -> Vec<Places> {
        let events = self.events.places();
        let others =
            [self.cache.places(), self.calculations.places(), events, self.scenarios.places(), self.imports.places()];
        self.database.places().into_iter().chain(others).collect()
    }

    /// Takes no new calculations, lets the ones in motion finish for `patience`, and gives back the
    /// rest.
    pub async fn drain(&self, patience: Duration) -> Result<Drained, Unavailable> {
        // What an import does not begin need not be given back.
        if let Err(unavailable) = self.imports.drain().await {
            tracing::warn!(%unavailable, "imports were not given back; their lease will end");
        }
        self.scenarios.drain(patience).await
    }

    /// Stops all actors, front to back.
    pub async fn stop(&self) -> Result<(), Unavailable> {
        self.supervisor.call(Message::Stop).await
    }
}

/// How long stopping all actors may take.
const STOP_DEADLINE: Duration = Duration::from_secs(2);
