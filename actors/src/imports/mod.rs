//! Imports: files of scenarios become scenarios, a bounded number of files at a time.
//!
//! The actor decides which files this process works on: those that nobody does, those of processes that are gone, as
//! many as there is room for. Each is worked on by a task of its own (`work`), chunk by chunk; whatever dies, what
//! was stored is not done again and what was not stored is. The actor forgets nothing that matters: everything is in
//! the database.

mod reading;
mod work;

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use rand::RngExt;
use safire_domain::{OperationId, UserId};
use safire_store::operations::{self, Claim, Grip};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, info_span};

use crate::{
    calculations::Calculations,
    context::Context,
    database::Database,
    events::Events,
    heartbeat::{BEATS, Hold},
    limits::Subject,
    ongoing::Ongoing,
    origin::Origin,
    scenarios::{Scenarios, lease},
    shares::{Share, Shares},
    slot::{Places, Reply, Slot, Unavailable},
    supervisor::Child,
};

pub use reading::{Dialect, Limits, Reading, Refusal, Separator, Spool};
use work::Work;

/// What imports may take.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Files that are worked on at once, and files that are read at once.
    pub at_once: usize,
    /// Rows of a file.
    pub rows: u64,
    /// Bytes that a workbook may unpack to.
    pub unpacked: u64,
    /// Where files are kept while they are read. They have no names there, and are gone with the process.
    pub directory: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self { at_once: 5, rows: 100_000, unpacked: 512 << 20, directory: std::env::temp_dir() }
    }
}

/// A handle on the imports.
#[derive(Clone)]
pub struct Imports {
    slot: Slot<Message>,
    limits: Limits,
    readers: Arc<Semaphore>,
    shares: Shares,
    at_once: usize,
    running: Ongoing,
}

impl Imports {
    /// The handle and the actor behind it.
    pub fn new(
        settings: &Settings,
        context: &Context,
        database: &Database,
        calculations: &Calculations,
        scenarios: &Scenarios,
        events: &Events,
        hold: &Hold,
    ) -> (Self, Child) {
        let slot = Slot::new("imports", 1, STOPPING);
        let work = Work {
            context: context.clone(),
            database: database.clone(),
            calculations: calculations.clone(),
            scenarios: scenarios.clone(),
            events: events.clone(),
        };
        let (hold, at_once, lived) = (hold.clone(), settings.at_once, AtomicBool::new(false));
        let running = Ongoing::default();
        let begun = running.clone();
        let child = Child::new(slot.clone(), move || {
            let lived_before = lived.swap(true, Ordering::Relaxed);
            let (work, hold, running) = (work.clone(), hold.clone(), begun.clone());
            (Desk { work, hold, at_once, running, lived_before }, ())
        });
        let Settings { rows, unpacked, directory, .. } = settings.clone();
        let limits = Limits { rows, unpacked, directory };
        let (readers, shares) = (Arc::new(Semaphore::new(at_once)), Shares::of(at_once));
        (Self { slot, limits, readers, shares, at_once, running }, child)
    }

    /// Imports that this process works on.
    pub fn running(&self) -> &Ongoing {
        &self.running
    }

    /// How many files are sent and read at once.
    pub fn places(&self) -> Places {
        let taken = self.at_once.saturating_sub(self.readers.available_permits());
        Places { actor: self.slot.resource(), capacity: self.at_once, taken }
    }

    /// A file without a name, to be filled and read: it is gone with whoever holds it.
    pub fn blank(&self) -> std::io::Result<File> {
        tempfile::tempfile_in(&self.limits.directory)
    }

    /// A turn to send and read a file; there are only so many at once, and one user leaves a place to others.
    pub fn turn(&self, user: UserId) -> Result<Turn, Unavailable> {
        let permit = Arc::clone(&self.readers).try_acquire_owned();
        let taken = permit.ok().zip(self.shares.take(Subject::User(user)));
        let (permit, share) = taken.ok_or_else(|| self.slot.full())?;
        Ok(Turn { limits: self.limits.clone(), _place: (permit, share) })
    }

    /// Says that there may be something to take up.
    pub fn look(&self) {
        // An actor that is away looks when it is back.
        let _ = self.slot.cast(Message::Look);
    }

    /// Says that an operation was called off.
    pub fn let_go(&self, operation: OperationId) {
        // Without the word, its next step finds out.
        let _ = self.slot.cast(Message::LetGo(operation));
    }

    /// Takes nothing more up, and gives back what is in hand.
    pub async fn drain(&self) -> Result<(), Unavailable> {
        self.slot.call(Message::Drain).await
    }
}

/// How long it is kept what became of a file, after its end.
pub const KEPT: TimeDelta = TimeDelta::days(30);

/// How often what is older is removed, and how many rows at once.
const CLEAN_UP: Duration = Duration::from_secs(600);
const REMOVED_AT_ONCE: i64 = 1000;

/// How long giving back may take.
const STOPPING: Duration = Duration::from_secs(2);

/// A turn to send and read a file.
#[derive(Debug)]
pub struct Turn {
    limits: Limits,
    _place: (tokio::sync::OwnedSemaphorePermit, Share),
}

impl Turn {
    /// Reads a file from its beginning.
    pub async fn read(&self, file: File, dialect: Dialect) -> Result<Reading, Refusal> {
        reading::read(file, dialect, self.limits.clone()).await
    }
}

enum Message {
    Look,
    LookAgain,
    Claimed(Vec<Grip>),
    /// The work on an operation has ended, and whether the operation has.
    Ended(OperationId, bool),
    LetGo(OperationId),
    CleanUp,
    Drain(Reply<()>),
}

struct Desk {
    work: Work,
    hold: Hold,
    at_once: usize,
    running: Ongoing,
    /// Whether this process had such an actor before, which may have had operations in hand.
    lived_before: bool,
}

#[derive(Default)]
struct State {
    /// What is worked on; dropped, it ends.
    running: HashMap<OperationId, tokio_util::sync::DropGuard>,
    /// Everything that works on something, to be waited for.
    tasks: TaskTracker,
    /// What was worked on and has not ended: it is given back before anything is taken up.
    unfinished: Vec<OperationId>,
    looking: bool,
    /// Whether it was told to look while it was looking.
    again: bool,
    closing: bool,
}

impl Actor for Desk {
    type Msg = Message;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Message>, (): ()) -> Result<State, ActorProcessingErr> {
        let mut state = State::default();
        self.look(&myself, &mut state, self.lived_before);
        self.clean_up(&myself);
        myself.send_after(self.interval(), || Message::LookAgain);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        self.work.context.pass("imports");
        match message {
            Message::Look => self.look(&myself, state, false),
            Message::LookAgain => {
                self.look(&myself, state, false);
                myself.send_after(self.interval(), || Message::LookAgain);
            }
            Message::Claimed(grips) => {
                state.looking = false;
                for grip in grips {
                    self.begin(&myself, state, grip);
                }
                if std::mem::take(&mut state.again) {
                    self.look(&myself, state, false);
                }
            }
            Message::Ended(operation, finished) => {
                state.running.remove(&operation);
                if !finished {
                    state.unfinished.push(operation);
                }
                self.look(&myself, state, false);
            }
            Message::LetGo(operation) => drop(state.running.remove(&operation)),
            Message::CleanUp => self.clean_up(&myself),
            Message::Drain(reply) => self.close(state, reply),
        }
        Ok(())
    }
}

impl Desk {
    /// When to look again: three times a lease, and not in step with other processes.
    fn interval(&self) -> Duration {
        (self.work.context.lease / BEATS).mul_f64(rand::rng().random_range(0.8..=1.2))
    }

    /// Looks beside the actor for something to take up, once at a time. What a former life had in hand is given back
    /// first.
    fn look(&self, myself: &ActorRef<Message>, state: &mut State, everything: bool) {
        let room = self.at_once.saturating_sub(state.running.len());
        if state.looking {
            state.again = true;
            return;
        }
        if state.closing || room == 0 {
            return;
        }
        state.looking = true;
        let (work, hold, myself) = (self.work.clone(), self.hold.clone(), myself.clone());
        let unfinished = std::mem::take(&mut state.unfinished).into_iter().map(Some);
        let given_back: Vec<_> = if everything { vec![None] } else { unfinished.collect() };
        state.tasks.spawn(async move {
            for operation in given_back {
                work.give_back(operation).await;
            }
            let claim = Claim {
                lease: lease(&work.context),
                abandoned: hold.may_take_over(),
                limit: i64::try_from(room).unwrap_or(i64::MAX),
                now: work.context.clock.now(),
            };
            let claimed = work.database.write(move |c| Box::pin(operations::claim(c, claim))).await;
            let grips = claimed.unwrap_or_else(|error| {
                tracing::debug!(%error, "operations were not looked for");
                Vec::new()
            });
            let _ = myself.cast(Message::Claimed(grips));
        });
    }

    fn begin(&self, myself: &ActorRef<Message>, state: &mut State, grip: Grip) {
        if state.closing {
            return;
        }
        let cancel = CancellationToken::new();
        state.running.insert(grip.operation, cancel.clone().drop_guard());
        let ended = SayEnded { actor: myself.clone(), operation: grip.operation, finished: false };
        let (work, running) = (self.work.clone(), self.running.begin());
        let origin = Origin::of_work(grip.operation.uuid(), grip.attempt, None);
        let span = info_span!(
            parent: None, "import", operation.id = %grip.operation, attempt = grip.attempt,
            trace_id = origin.trace(), span_id = %origin.cause().span
        );
        let worked = async move {
            let _running = running;
            let mut ended = ended;
            ended.finished = work.run(grip, cancel).await;
        };
        state.tasks.spawn(origin.scope(worked).instrument(span));
    }

    /// Removes beside the actor what ended long ago, a piece at a time.
    fn clean_up(&self, myself: &ActorRef<Message>) {
        myself.send_after(CLEAN_UP, || Message::CleanUp);
        let (database, until) = (self.work.database.clone(), self.work.context.clock.now() - KEPT);
        tokio::spawn(async move {
            loop {
                let removed =
                    database.write(move |c| Box::pin(operations::remove_until(c, until, REMOVED_AT_ONCE))).await;
                match removed {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(error) => return tracing::debug!(%error, "old operations were not removed"),
                }
            }
        });
    }

    fn close(&self, state: &mut State, reply: Reply<()>) {
        state.closing = true;
        state.running.clear();
        state.tasks.close();
        let (work, tasks) = (self.work.clone(), state.tasks.clone());
        tokio::spawn(async move {
            tasks.wait().await;
            work.give_back(None).await;
            reply.send(());
        });
    }
}

/// Says so when the work on an operation ends, also when it panics.
struct SayEnded {
    actor: ActorRef<Message>,
    operation: OperationId,
    finished: bool,
}

impl Drop for SayEnded {
    fn drop(&mut self) {
        // An actor that has stopped works on nothing.
        let _ = self.actor.cast(Message::Ended(self.operation, self.finished));
    }
}

impl fmt::Debug for Imports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Imports")
    }
}
