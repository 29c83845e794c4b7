//! The events actor: tells every subscriber what happened, in order, as soon as the database has it.
//!
//! The table of events is the truth. One reader per process follows it, woken by this process's own writes, by hints
//! of other processes, and by the clock, and puts what is new into the subscribers' mailboxes, which are
//! bounded. A subscriber that falls behind, or comes again with the id that it saw last, reads from the table
//! ([`Stream`]). So no event is lost by a stream that is cut, a slow reader, a restart of the actor or of the process.
//!
//! Progress is not stored as events: the newest of each operation goes to whoever is there. That of other processes
//! is read from their runs' rows once a second.

mod mailbox;
mod stream;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use safire_domain::{
    RunId, UserId,
    event::{About, Event, Filter, Place, ProgressMessage, ResetMessage, Topic, Viewer},
    run::Advance,
};
use safire_store::{
    events::{self, Batch, Mark},
    hints::{self, Hint},
    streams,
};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::{
    context::Context,
    database::{Database, DatabaseError},
    heartbeat::Hold,
    slot::{Places, Reply, Slot, Unavailable},
    supervisor::Child,
};
use mailbox::Mailbox;

pub use mailbox::Message;
pub use stream::Stream;

/// Streams that one user may have in one process.
pub const STREAMS_PER_USER: usize = 10;

/// How long events are kept for those who come again.
pub const REPLAYED: TimeDelta = TimeDelta::hours(2);

/// A subscriber that takes nothing for so long is cut.
pub const STALLED: Duration = Duration::from_secs(30);

/// Events read at once.
const WINDOW: i64 = 500;

/// The table is read this often at most, and at least.
const PACE: Duration = Duration::from_millis(10);
const TICK: Duration = Duration::from_secs(1);

/// How soon it is read again when a transaction that still runs holds events back.
const HELD_BACK: Duration = Duration::from_millis(20);

/// Runs whose progress is followed.
const RUNS: i64 = 1000;

/// How often old events are removed, and how many at once.
const CLEAN_UP: Duration = Duration::from_secs(60);
const REMOVED_AT_ONCE: i64 = 5000;

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
    /// How old the newest event was when it was told, in milliseconds.
    pub lag_ms: i64,
}

#[derive(Default)]
struct Figures {
    subscribers: AtomicUsize,
    events: AtomicU64,
    updates: AtomicU64,
    cut: AtomicU64,
    lag_ms: AtomicI64,
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
        let child = Child::new(events.slot.clone(), {
            let (events, hold) = (events.clone(), hold.clone());
            move || (Teller { events: events.clone(), hold: hold.clone(), published: settings.published }, ())
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
        let Figures { subscribers, events, updates, cut, lag_ms } = &*self.figures;
        Stats {
            subscribers: subscribers.load(Ordering::Relaxed),
            events: events.load(Ordering::Relaxed),
            updates: updates.load(Ordering::Relaxed),
            cut: cut.load(Ordering::Relaxed),
            lag_ms: lag_ms.load(Ordering::Relaxed),
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

/// What the actor is told.
enum Ask {
    Join(Box<Subscription>, Reply<Option<Joined>>),
    Leave(u64),
    /// There may be new events; whether it was this process that wrote them.
    Look {
        own: bool,
    },
    Headed(Result<Place, DatabaseError>),
    Read(Result<Batch, DatabaseError>),
    /// Operations of this process have advanced.
    Advanced,
    /// Runs are being calculated, somewhere.
    Running(Vec<(About, Advance)>),
    Tick,
    CleanUp,
}

struct Joined {
    id: u64,
    mailbox: Arc<Mailbox>,
    place: Place,
}

struct Teller {
    events: Events,
    hold: Hold,
    published: bool,
}

#[derive(Default)]
struct State {
    /// How far the table was read; nothing before it is known where it ends.
    place: Option<Place>,
    reading: bool,
    /// Whether to read again when the answer is there.
    again: bool,
    /// Whether this process may have written what is read next.
    own: bool,
    subscribers: Subscribers,
    /// Who waits until it is known where the table ends.
    waiting: Vec<(Box<Subscription>, Reply<Option<Joined>>)>,
    /// What the runs in motion are about.
    runs: HashMap<RunId, About>,
    /// Operations of this process, and when they last advanced.
    own_operations: HashMap<Uuid, Instant>,
    _woken: Option<AbortOnDropHandle<()>>,
}

/// All who are told. When the actor fails they are told so, and come again.
#[derive(Default)]
struct Subscribers {
    last: u64,
    all: HashMap<u64, (UserId, Arc<Mailbox>)>,
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        self.all.values().for_each(|(_, mailbox)| mailbox.end());
    }
}

impl Actor for Teller {
    type Msg = Ask;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Ask>, (): ()) -> Result<State, ActorProcessingErr> {
        let woken = tokio::spawn(wake(self.events.clone(), self.hold.clone(), myself.clone()));
        let mut state = State { _woken: Some(AbortOnDropHandle::new(woken)), ..State::default() };
        self.count(&state);
        self.look(&myself, &mut state);
        myself.send_after(TICK, || Ask::Tick);
        myself.send_after(CLEAN_UP, || Ask::CleanUp);
        Ok(state)
    }

    async fn handle(&self, myself: ActorRef<Ask>, ask: Ask, state: &mut State) -> Result<(), ActorProcessingErr> {
        self.events.context.pass("events");
        match ask {
            Ask::Join(subscription, reply) => self.join(state, subscription, reply),
            Ask::Leave(id) => self.leave(state, id),
            Ask::Look { own } => {
                state.own |= own;
                self.look(&myself, state);
            }
            Ask::Headed(Ok(place)) => self.begin(&myself, state, place),
            Ask::Read(Ok(batch)) => self.tell(&myself, state, batch),
            Ask::Headed(Err(error)) | Ask::Read(Err(error)) => {
                state.reading = false;
                tracing::debug!(%error, "events were not read");
            }
            Ask::Advanced => self.advance(state),
            Ask::Running(running) => self.follow(state, running),
            Ask::Tick => self.tick(&myself, state),
            Ask::CleanUp => self.clean_up(&myself),
        }
        Ok(())
    }
}

/// Wakes the actor when there may be something to tell.
async fn wake(events: Events, hold: Hold, actor: ActorRef<Ask>) {
    loop {
        let ask = tokio::select! {
            () = events.database.written() => Ask::Look { own: true },
            () = hold.told() => Ask::Look { own: false },
            () = events.latest.news.notified() => Ask::Advanced,
        };
        let _ = actor.cast(ask);
        tokio::time::sleep(PACE).await;
    }
}

impl Teller {
    fn join(&self, state: &mut State, subscription: Box<Subscription>, reply: Reply<Option<Joined>>) {
        let Some(place) = state.place else { return state.waiting.push((subscription, reply)) };
        let Subscription { viewer, filters, after } = *subscription;
        let user = viewer.user;
        if reply.is_abandoned() {
            return;
        }
        if state.subscribers.all.values().filter(|(of, _)| *of == user).count() == STREAMS_PER_USER {
            return reply.send(None);
        }
        let mailbox = Arc::new(Mailbox::new(viewer, filters, place, after.is_some()));
        state.subscribers.last += 1;
        let id = state.subscribers.last;
        state.subscribers.all.insert(id, (user, Arc::clone(&mailbox)));
        self.count(state);
        reply.send(Some(Joined { id, mailbox, place: after.unwrap_or(place) }));
    }

    fn leave(&self, state: &mut State, id: u64) {
        state.subscribers.all.remove(&id);
        self.count(state);
    }

    fn count(&self, state: &State) {
        self.events.figures.subscribers.store(state.subscribers.all.len(), Ordering::Relaxed);
    }

    /// Reads what is new, beside the actor, one window at a time.
    fn look(&self, myself: &ActorRef<Ask>, state: &mut State) {
        if state.reading {
            state.again = true;
            return;
        }
        (state.reading, state.again) = (true, false);
        let (database, myself, place) = (self.events.database.clone(), myself.clone(), state.place);
        tokio::spawn(async move {
            let found = match place {
                None => Ask::Headed(database.read(|c| Box::pin(events::head(c))).await),
                Some(place) => Ask::Read(database.read(move |c| Box::pin(events::after(c, None, place, WINDOW))).await),
            };
            let _ = myself.cast(found);
        });
    }

    fn begin(&self, myself: &ActorRef<Ask>, state: &mut State, place: Place) {
        (state.place, state.reading) = (Some(place), false);
        for (subscription, reply) in std::mem::take(&mut state.waiting) {
            self.join(state, subscription, reply);
        }
        self.look(myself, state);
    }

    fn tell(&self, myself: &ActorRef<Ask>, state: &mut State, batch: Batch) {
        state.reading = false;
        if let Some(last) = batch.events.last() {
            state.place = Some(last.place);
            self.note(state, &batch.events);
            let told: Vec<_> = batch.events.iter().map(|event| (event.about(), render(event))).collect();
            for (_, mailbox) in state.subscribers.all.values() {
                mailbox.tell(&told, last.place);
            }
            self.events.news.notify_one();
            if std::mem::take(&mut state.own) {
                self.hint();
            }
        }
        if batch.held_back {
            myself.send_after(HELD_BACK, || Ask::Look { own: false });
        }
        if state.again || batch.events.len() as i64 == WINDOW {
            self.look(myself, state);
        }
    }

    /// Notes the figures, and which runs are in motion.
    fn note(&self, state: &mut State, events: &[Event]) {
        let figures = &self.events.figures;
        figures.events.fetch_add(events.len() as u64, Ordering::Relaxed);
        for event in events {
            let Some(run) = event.what.run else { continue };
            if event.what.kind.topic() == Topic::OperationComplete {
                state.runs.remove(&run);
                state.own_operations.remove(&run.uuid());
            } else {
                state.runs.insert(run, event.about());
            }
        }
        if let Some(newest) = events.last() {
            let lag = self.events.context.clock.now() - newest.what.at;
            figures.lag_ms.store(lag.num_milliseconds(), Ordering::Relaxed);
        }
    }

    /// Tells other processes that there is something new.
    fn hint(&self) {
        let database = self.events.database.clone();
        tokio::spawn(async move {
            let sent = database.read(|c| Box::pin(hints::send(c, Hint::Events))).await;
            if let Err(error) = sent {
                tracing::debug!(%error, "other processes were not told of events");
            }
        });
    }

    /// Passes on how far this process's operations are.
    fn advance(&self, state: &mut State) {
        let latest = {
            let mut updates = self.events.latest.updates.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *updates)
        };
        for (operation, (about, advance)) in latest {
            // A run whose beginning was not told, or whose end was.
            let Some(about) = about.or_else(|| state.runs.get(&operation.into()).cloned()) else { continue };
            let about = About { topic: Some(Topic::ProgressUpdate), ..about };
            state.own_operations.insert(operation, Instant::now());
            self.update(state, operation, &about, &advance);
        }
    }

    /// Passes on how far the runs of other processes are; of this process's the actors of the scenarios tell.
    fn follow(&self, state: &mut State, running: Vec<(About, Advance)>) {
        for (about, advance) in running {
            let (Some(run), Some(operation)) = (about.run, about.operation) else { continue };
            state.runs.insert(run, about.clone());
            if !state.own_operations.contains_key(&operation) {
                self.update(state, operation, &about, &advance);
            }
        }
    }

    fn update(&self, state: &State, operation: Uuid, about: &About, advance: &Advance) {
        let message = ProgressMessage::new(about, advance, self.events.context.clock.now());
        let message = Message { place: None, topic: Topic::ProgressUpdate, json: json(&message) };
        for (_, mailbox) in state.subscribers.all.values() {
            mailbox.progress(operation, about, &message);
        }
        self.events.figures.updates.fetch_add(1, Ordering::Relaxed);
    }

    fn tick(&self, myself: &ActorRef<Ask>, state: &mut State) {
        myself.send_after(TICK, || Ask::Tick);
        state.own_operations.retain(|_, advanced| advanced.elapsed() < 3 * TICK);
        state.subscribers.all.retain(|_, (user, mailbox)| {
            let stalls = mailbox.has_stalled(STALLED);
            if stalls {
                tracing::info!(user.id = %user, "a stream whose reader takes nothing is cut");
                mailbox.end();
                self.events.figures.cut.fetch_add(1, Ordering::Relaxed);
            }
            !stalls
        });
        self.count(state);
        self.look(myself, state);
        if !state.subscribers.all.is_empty() {
            let (database, myself) = (self.events.database.clone(), myself.clone());
            tokio::spawn(async move {
                if let Ok(running) = database.read(|c| Box::pin(streams::running(c, RUNS))).await {
                    let _ = myself.cast(Ask::Running(running));
                }
            });
        }
    }

    /// Removes old events beside the actor, a piece at a time.
    fn clean_up(&self, myself: &ActorRef<Ask>) {
        myself.send_after(CLEAN_UP, || Ask::CleanUp);
        let (database, published) = (self.events.database.clone(), self.published);
        let until = self.events.context.clock.now() - REPLAYED;
        tokio::spawn(async move {
            loop {
                let removed =
                    database.write(move |c| Box::pin(events::remove_until(c, until, published, REMOVED_AT_ONCE))).await;
                match removed {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(error) => return tracing::debug!(%error, "old events were not removed"),
                }
            }
        });
    }
}
