//! The events actor: tells every subscriber what happened, in order, as soon as the database has it.
//!
//! The table of events is the truth. One reader per process follows it, woken by this process's own writes, by hints
//! of other processes, and by the clock, and puts what is new into the subscribers' mailboxes, which are
//! bounded. A subscriber that falls behind, or comes again with the id that it saw last, reads from the table
//! ([`Stream`]). So no event is lost by a stream that is cut, a slow reader, a restart of the actor or of the process.
//!
//! Progress is not stored as events: the newest of each operation goes to whoever is there. That of other processes
//! is read from the rows of runs and operations once a second.

mod mailbox;
mod progress;
mod stream;
mod teller;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use safire_domain::{
    event::{About, Event, Filter, Place, ResetMessage, Topic, Viewer},
    run::Advance,
};
use safire_store::events::{self, Mark};
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

use crate::{
    context::Context,
    database::{Database, DatabaseError},
    heartbeat::Hold,
    slot::{Places, Slot, Unavailable},
    supervisor::Child,
};
use mailbox::Mailbox;
use teller::{Ask, Joined, Teller};

pub use mailbox::Message;
pub use stream::Stream;

/// Streams that one user may have in one process.
pub const STREAMS_PER_USER: usize = 10;

/// A subscriber that takes nothing for so long is cut.
pub const STALLED: Duration = Duration::from_secs(30);

/// What the actor is told once.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Requests at once.
    pub queue: usize,
    /// How long one may wait.
    pub deadline: Duration,
    /// Whether events are published: they are kept until they were.
    pub published: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { queue: 4096, deadline: Duration::from_secs(5), published: false }
    }
}

/// Somebody who wants to be told.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Who, and what they may see.
    pub viewer: Viewer,
    /// What they ask for: whatever one of these matches.
    pub filters: Vec<Filter>,
    /// What they were told last; without it they are told what happens from now on.
    pub after: Option<Place>,
}

/// Why there is no stream.
#[derive(Debug)]
pub enum NoStream {
    /// The user has as many as they may.
    TooMany,
    /// The actor did not answer.
    Unavailable(Unavailable),
    /// The database did not.
    Database(DatabaseError),
}

/// How the actor has served since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Streams that are open.
    pub subscribers: usize,
    /// Events read from the table.
    pub events: u64,
    /// Updates of progress passed on.
    pub updates: u64,
    /// Streams that were cut because they took nothing.
    pub cut: u64,
    /// For how long the table has not been read to its end: nothing older has not been told.
    pub lag: Duration,
}

struct Figures {
    subscribers: AtomicUsize,
    events: AtomicU64,
    updates: AtomicU64,
    cut: AtomicU64,
    /// When the table was last read to its end; before, when the process began.
    caught_up: Mutex<Instant>,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            subscribers: AtomicUsize::default(),
            events: AtomicU64::default(),
            updates: AtomicU64::default(),
            cut: AtomicU64::default(),
            caught_up: Mutex::new(Instant::now()),
        }
    }
}

/// The newest progress of operations of this process that was not passed on yet.
#[derive(Default)]
struct Latest {
    updates: Mutex<HashMap<Uuid, (Option<About>, Advance)>>,
    news: Notify,
}

/// A handle on the actor.
#[derive(Clone)]
pub struct Events {
    slot: Slot<Ask>,
    database: Database,
    context: Context,
    latest: Arc<Latest>,
    figures: Arc<Figures>,
    /// Told of events that were read.
    news: Arc<Notify>,
}

impl Events {
    /// The handle and the actor behind it.
    pub fn new(settings: Settings, context: &Context, database: &Database, hold: &Hold) -> (Self, Child) {
        let events = Self {
            slot: Slot::new("events", settings.queue, settings.deadline),
            database: database.clone(),
            context: context.clone(),
            latest: Arc::default(),
            figures: Arc::default(),
            news: Arc::default(),
        };
        let child = Child::resilient(events.slot.clone(), &context.metrics, {
            let (events, hold) = (events.clone(), hold.clone());
            move || (Teller::new(&events, &hold, settings.published), ())
        });
        (events, child)
    }

    /// A stream of what the subscriber asks for.
    pub async fn subscribe(&self, subscription: Subscription) -> Result<Stream, NoStream> {
        let (after, is_known) = match subscription.after {
            Some(after) => self.known(after).await.map_err(NoStream::Database)?,
            None => (None, true),
        };
        let subscription = Subscription { after, ..subscription };
        let joined = self.slot.call(|reply| Ask::Join(Box::new(subscription), reply)).await;
        let Joined { id, mailbox, place } = joined.map_err(NoStream::Unavailable)?.ok_or(NoStream::TooMany)?;
        let mut stream = Stream { id, mailbox, events: self.clone(), place, read: VecDeque::new() };
        if !is_known {
            stream.reset(self.reset());
        }
        Ok(stream)
    }

    /// The place to go on from, and whether nothing is missing before it.
    async fn known(&self, after: Place) -> Result<(Option<Place>, bool), DatabaseError> {
        let (removed, head) = self
            .database
            .read(|c| Box::pin(async move { Ok((events::mark(c, Mark::Removed).await?, events::head(c).await?)) }))
            .await?;
        Ok(match stream::goes_on(after, removed, head) {
            true => (Some(after), true),
            // One that is ahead of all is of another database: what happens from now on.
            false => ((after < removed).then_some(removed), false),
        })
    }

    fn reset(&self) -> Message {
        let message = ResetMessage { topic: Topic::Reset, time: self.context.clock.now() };
        Message { place: None, topic: Topic::Reset, json: json(&message) }
    }

    /// How many requests the actor has admitted.
    pub fn places(&self) -> Places {
        self.slot.places()
    }

    /// Tells how far an operation of this process is; `about` may be left out for a run.
    pub fn progress(&self, operation: Uuid, about: Option<About>, advance: Advance) {
        let mut updates = self.latest.updates.lock().unwrap_or_else(PoisonError::into_inner);
        updates.insert(operation, (about, advance));
        self.latest.news.notify_one();
    }

    /// How the actor has served. Waits for nothing.
    pub fn stats(&self) -> Stats {
        let Figures { subscribers, events, updates, cut, caught_up } = &*self.figures;
        let caught_up = caught_up.lock().unwrap_or_else(PoisonError::into_inner);
        Stats {
            subscribers: subscribers.load(Ordering::Relaxed),
            events: events.load(Ordering::Relaxed),
            updates: updates.load(Ordering::Relaxed),
            cut: cut.load(Ordering::Relaxed),
            lag: caught_up.elapsed(),
        }
    }

    /// Returns when there are new events, for the one who publishes them.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    fn leave(&self, id: u64) {
        // An actor that is gone has forgotten it already.
        let _ = self.slot.cast(Ask::Leave(id));
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

/// A message of an event.
fn render(event: &Event) -> Message {
    Message { place: Some(event.place), topic: event.what.kind.topic(), json: json(&event.message()) }
}

fn json(message: &impl serde::Serialize) -> Arc<str> {
    // Texts, numbers and objects with text as keys: there is nothing that could not be written.
    serde_json::to_string(message).unwrap_or_default().into()
}
