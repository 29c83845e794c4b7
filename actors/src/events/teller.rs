//! The actor: it follows the table of events and fills the subscribers' mailboxes.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use chrono::TimeDelta;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use safire_domain::{
    UserId,
    event::{About, Place, ProgressMessage, Topic},
    run::Advance,
};
use safire_store::{
    events::{self, Batch},
    hints::{self, Hint},
};
use tokio::time::{Instant, interval_at};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Events, Mailbox, Message, STALLED, STREAMS_PER_USER, Subscription, json,
    progress::{Motions, Told, running},
    render,
};
use crate::{database::DatabaseError, heartbeat::Hold, resilient::Resilient, slot::Reply};

/// How long events are kept for those who come again.
const REPLAYED: TimeDelta = TimeDelta::hours(2);

/// Events read at once.
const WINDOW: i64 = 500;

/// The table is read this often at most, and at least.
const PACE: Duration = Duration::from_millis(10);
const TICK: Duration = Duration::from_secs(1);

/// How soon it is read again when a transaction that still runs holds events back.
const HELD_BACK: Duration = Duration::from_millis(20);

/// How often progress is passed on at most.
const PROGRESS_PACE: Duration = Duration::from_millis(100);

/// How often old events are removed, and how many at once.
const CLEAN_UP: Duration = Duration::from_secs(60);
const REMOVED_AT_ONCE: i64 = 5000;

/// What the actor is told.
pub(super) enum Ask {
    Join(Box<Subscription>, Reply<Option<Joined>>),
    Leave(u64),
    /// There may be new events; whether it was this process that wrote them.
    Look {
        own: bool,
    },
    Headed(Result<Place, DatabaseError>),
    /// What comes after that place.
    Read(Place, Result<Batch, DatabaseError>),
    /// Operations of this process have advanced.
    Advanced,
    /// Operations are being worked on, somewhere.
    Running(Vec<(About, Advance)>),
    Tick,
    CleanUp,
}

pub(super) struct Joined {
    pub(super) id: u64,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) place: Place,
}

pub(super) struct Teller {
    events: Events,
    hold: Hold,
    published: bool,
}

#[derive(Default)]
pub(super) struct State {
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
    motions: Motions,
    _woken: Option<[AbortOnDropHandle<()>; 2]>,
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
        let woken = [
            tokio::spawn(wake(self.events.clone(), self.hold.clone(), myself.clone())),
            tokio::spawn(pass_on(self.events.clone(), myself.clone())),
        ];
        let mut state = State { _woken: Some(woken.map(AbortOnDropHandle::new)), ..State::default() };
        self.count(&state);
        self.look(&myself, &mut state);
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
            Ask::Headed(Ok(place)) if state.place.is_none() => self.begin(&myself, state, place),
            Ask::Read(place, Ok(batch)) if state.place == Some(place) => self.tell(&myself, state, batch),
            // It was read twice.
            Ask::Headed(Ok(_)) | Ask::Read(_, Ok(_)) => {}
            Ask::Headed(Err(error)) | Ask::Read(_, Err(error)) => {
                state.reading = false;
                tracing::debug!(%error, "events were not read");
            }
            Ask::Advanced => self.advance(state),
            Ask::Running(running) => self.follow(state, running),
            Ask::Tick => self.tick(&myself, state),
            Ask::CleanUp => self.clean_up(),
        }
        Ok(())
    }
}

impl Resilient for Teller {
    /// What was read is read again.
    fn make_up(&self, myself: &ActorRef<Ask>, state: &mut State) {
        state.reading = false;
        self.look(myself, state);
    }
}

/// Wakes the actor when there may be something to tell.
async fn wake(events: Events, hold: Hold, actor: ActorRef<Ask>) {
    let [mut ticks, mut clean_ups] = [TICK, CLEAN_UP].map(|period| interval_at(Instant::now() + period, period));
    loop {
        let ask = tokio::select! {
            () = events.database.written() => Ask::Look { own: true },
            () = hold.told() => Ask::Look { own: false },
            _ = ticks.tick() => Ask::Tick,
            _ = clean_ups.tick() => Ask::CleanUp,
        };
        let _ = actor.cast(ask);
        tokio::time::sleep(PACE).await;
    }
}

/// Wakes the actor when operations of this process have advanced.
async fn pass_on(events: Events, actor: ActorRef<Ask>) {
    loop {
        events.latest.news.notified().await;
        let _ = actor.cast(Ask::Advanced);
        tokio::time::sleep(PROGRESS_PACE).await;
    }
}

impl Teller {
    pub(super) fn new(events: &Events, hold: &Hold, published: bool) -> Self {
        Self { events: events.clone(), hold: hold.clone(), published }
    }

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
                Some(place) => {
                    Ask::Read(place, database.read(move |c| Box::pin(events::after(c, None, place, WINDOW))).await)
                }
            };
            let _ = myself.cast(found);
        });
    }

    fn caught_up(&self) {
        *self.events.figures.caught_up.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
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
            self.events.figures.events.fetch_add(batch.events.len() as u64, Ordering::Relaxed);
            batch.events.iter().for_each(|event| state.motions.note(event));
            let told: Vec<_> = batch.events.iter().map(|event| (event.about(), render(event))).collect();
            for (_, mailbox) in state.subscribers.all.values() {
                mailbox.tell(&told, last.place);
            }
            self.events.news.notify_one();
            if std::mem::take(&mut state.own) {
                self.hint();
            }
        }
        let is_full = batch.events.len() as i64 == WINDOW;
        if batch.held_back {
            myself.send_after(HELD_BACK, || Ask::Look { own: false });
        } else if !is_full {
            self.caught_up();
        }
        if state.again || is_full {
            self.look(myself, state);
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
        let told = state.motions.of_own(latest);
        self.update(state, told);
    }

    /// Passes on how far the operations of other processes are.
    fn follow(&self, state: &mut State, running: Vec<(About, Advance)>) {
        let told = state.motions.of_others(running);
        self.update(state, told);
    }

    fn update(&self, state: &State, told: Vec<Told>) {
        for (operation, about, advance) in told {
            let message = ProgressMessage::new(&about, &advance, self.events.context.clock.now());
            let message = Message { place: None, topic: Topic::ProgressUpdate, json: json(&message) };
            for (_, mailbox) in state.subscribers.all.values() {
                mailbox.progress(operation, &about, &message);
            }
            self.events.figures.updates.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn tick(&self, myself: &ActorRef<Ask>, state: &mut State) {
        state.motions.forget();
        state.subscribers.all.retain(|_, (user, mailbox)| {
            // A stream whose leave was lost is gone all the same.
            let is_there = Arc::strong_count(mailbox) > 1;
            let stalls = is_there && mailbox.has_stalled(STALLED);
            if stalls {
                tracing::info!(user.id = %user, "a stream whose reader takes nothing is cut");
                mailbox.end();
                self.events.figures.cut.fetch_add(1, Ordering::Relaxed);
            }
            is_there && !stalls
        });
        self.count(state);
        self.look(myself, state);
        if !state.subscribers.all.is_empty() {
            let (database, myself) = (self.events.database.clone(), myself.clone());
            tokio::spawn(async move {
                if let Ok(running) = database.read(|c| Box::pin(running(c))).await {
                    let _ = myself.cast(Ask::Running(running));
                }
            });
        }
    }

    /// Removes old events beside the actor, a piece at a time.
    fn clean_up(&self) {
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
