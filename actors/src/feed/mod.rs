//! The feed actor: tells Kafka what happened here, and takes in what others say there.
//!
//! - *Out.* The table of events is the outbox: what is committed is published, in the order of each scenario, whatever
//!   becomes of the broker or of this process. One process publishes at a time. A message may be published twice, when
//!   a process ends between the broker's word and its own; its id says so.
//! - *In.* A batch of messages takes effect in one transaction, which also notes how far each partition was taken in;
//!   only then is Kafka told. A message that comes again is passed over. What is not understood goes to a topic of its
//!   own, with the reason.
//!
//! A broker that is away holds up nobody: requests never wait for it. Both loops stop at once with the actor.

mod inward;
mod kafka;
mod outward;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio_util::task::AbortOnDropHandle;

use crate::{cache::Cache, context::Context, database::Database, events::Events, slot::Slot, supervisor::Child};

/// Where what happens here is told.
pub const SCENARIOS: &str = "safire.scenarios";

/// Where prices of feedstocks, utilities and products come from.
pub const PRICES: &str = "safire.prices";

/// Where alerts come from.
pub const ALERTS: &str = "safire.alerts";

/// Where messages go that are not understood.
pub const DEAD_LETTERS: &str = "safire.dead-letters";

/// Events that may wait to be published; of more, the oldest are given up.
pub const OUTBOX: i64 = 1_000_000;

/// How the feed is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Kafka's brokers, `host:port`, separated by commas.
    pub brokers: String,
    /// The consumer group of all replicas.
    pub group: String,
}

/// How the feed has served since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Whether a broker is connected, and takes within seconds what is published.
    pub is_up: bool,
    /// Events that wait to be published, as of the last look.
    pub outbox: i64,
    /// Events published.
    pub published: u64,
    /// Events given up because too many waited.
    pub given_up: u64,
    /// Messages taken in.
    pub taken_in: u64,
    /// Messages that had been taken in before.
    pub repeated: u64,
    /// Messages that were not understood.
    pub dead_letters: u64,
    /// Messages that wait to be taken in here, as of a second ago.
    pub waiting: i64,
}

#[derive(Default)]
struct Figures {
    is_connected: AtomicBool,
    is_late: AtomicBool,
    outbox: AtomicI64,
    published: AtomicU64,
    given_up: AtomicU64,
    taken_in: AtomicU64,
    repeated: AtomicU64,
    dead_letters: AtomicU64,
    waiting: AtomicI64,
}

/// A handle on the feed.
#[derive(Clone)]
pub struct Feed(Arc<Figures>);

/// What the loops work with.
#[derive(Clone)]
struct Parts {
    settings: Settings,
    context: Context,
    database: Database,
    cache: Cache,
    events: Events,
    figures: Arc<Figures>,
}

impl Feed {
    /// The handle and the actor behind it.
    pub fn new(
        settings: Settings,
        context: &Context,
        database: &Database,
        cache: &Cache,
        events: &Events,
    ) -> (Self, Child) {
        let figures = Arc::<Figures>::default();
        let parts = Parts {
            settings,
            context: context.clone(),
            database: database.clone(),
            cache: cache.clone(),
            events: events.clone(),
            figures: Arc::clone(&figures),
        };
        let slot = Slot::new("feed", 1, Duration::from_secs(1));
        (Self(figures), Child::new(slot, move || (FeedActor(parts.clone()), ())))
    }

    /// How the feed has served. Waits for nothing.
    pub fn stats(&self) -> Stats {
        let Figures { is_connected, is_late, outbox, published, given_up, taken_in, repeated, dead_letters, waiting } =
            &*self.0;
        Stats {
            is_up: is_connected.load(Ordering::Relaxed) && !is_late.load(Ordering::Relaxed),
            outbox: outbox.load(Ordering::Relaxed),
            published: published.load(Ordering::Relaxed),
            given_up: given_up.load(Ordering::Relaxed),
            taken_in: taken_in.load(Ordering::Relaxed),
            repeated: repeated.load(Ordering::Relaxed),
            dead_letters: dead_letters.load(Ordering::Relaxed),
            waiting: waiting.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Feed").field(&self.stats()).finish()
    }
}

/// A loop has ended, which it never should.
struct Ended(String);

struct FeedActor(Parts);

impl Actor for FeedActor {
    type Msg = Ended;
    /// Dropped with the actor, they end the loops.
    type State = [AbortOnDropHandle<()>; 2];
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Ended>, (): ()) -> Result<Self::State, ActorProcessingErr> {
        let watch = |name: &'static str, end: tokio::task::JoinHandle<Result<(), String>>| {
            let (actor, end) = (myself.clone(), AbortOnDropHandle::new(end));
            AbortOnDropHandle::new(tokio::spawn(async move {
                let why = match end.await {
                    Ok(Ok(())) => "it ended".to_owned(),
                    Ok(Err(why)) => why,
                    Err(panic) => panic.to_string(),
                };
                let _ = actor.cast(Ended(format!("{name}: {why}")));
            }))
        };
        let (out, into) = (self.0.clone(), self.0.clone());
        Ok([
            watch("publishing", tokio::spawn(async move { outward::publish(&out).await })),
            watch("taking in", tokio::spawn(async move { inward::take_in(&into).await })),
        ])
    }

    async fn handle(
        &self,
        _: ActorRef<Ended>,
        Ended(why): Ended,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Err(why.into())
    }
}
