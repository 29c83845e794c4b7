//! The sign of life of this process: its lease on the runs that it works on is renewed, whatever the
//! load.
//!
//! On PostgreSQL a thread of its own does it, over a connection of its own: neither busy workers nor a
//! pool without a free connection delay it. A second connection hears hints of other processes, a third
//! asks for signs of life, so that a database that hangs is noticed within two seconds. On SQLite, which
//! one process owns, there is nothing to renew and nobody to hear.
//!
//! What the thread knows is read through [`Hold`]: others' runs may be taken over only after a full
//! lease in touch with the database, so that owners that lived through an outage renew first.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use safire_store::{
    Connection, Engine, Target, operations,
    runs::{self, Hints},
};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    context::Context,
    database::{Database, Link},
    scenarios::lease,
    slot::Slot,
    supervisor::Child,
};

/// How many signs of life a lease has room for: two may be lost.
pub(crate) const BEATS: u32 = 3;

/// How often the database is asked for a sign of life …
const PROBE: Duration = Duration::from_millis(250);

/// … how long it may take over it before that is noted …
const PROBE_PATIENCE: Duration = PROBE;

/// … and after how many times that it is asked on a new connection.
const PROBE_TURNS: u32 = 40;

/// The wait before a lost connection is tried again, at most.
const RETRY: Duration = Duration::from_millis(500);

/// What this process knows about its hold on its runs.
#[derive(Clone)]
pub struct Hold {
    known: Arc<Mutex<Known>>,
    look: Arc<Notify>,
    lease: Duration,
    engine: Engine,
}

struct Known {
    /// Since when the database has answered without a break.
    in_touch: Option<Instant>,
    /// Whether a sign of life failed since.
    failed: bool,
    /// When the lease was renewed last, or the process began.
    renewed: Instant,
    /// Whether a whole lease has passed since.
    lapsed: bool,
}

impl Hold {
    fn new(engine: Engine, lease: Duration) -> Self {
        let known = Known { in_touch: None, failed: false, renewed: Instant::now(), lapsed: false };
        Self { known: Arc::new(Mutex::new(known)), look: Arc::default(), lease, engine }
    }

    /// Whether the lease of every owner that lives has been renewed, so that what has ended is
    /// abandoned. On SQLite, others are gone by definition.
    pub fn may_take_over(&self) -> bool {
        let in_touch = self.known().in_touch;
        self.engine == Engine::Sqlite || in_touch.is_some_and(|since| since.elapsed() >= self.lease)
    }

    /// Whether this process gave no sign of life for a full lease: others may have taken its runs.
    pub fn has_lapsed(&self) -> bool {
        self.known().lapsed
    }

    /// Returns when there is a reason to look for runs before it is time to.
    pub async fn hinted(&self) {
        self.look.notified().await;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease was renewed by a statement that began then.
    fn renewed(&self, begun: Instant) {
        let mut known = self.known();
        let returns = std::mem::take(&mut known.failed);
        known.in_touch.get_or_insert(begun);
        // A process that was paused did not notice the time.
        let lapsed = known.lapsed || known.renewed + self.lease < begun;
        (known.renewed, known.lapsed) = (begun, false);
        drop(known);
        if lapsed {
            tracing::warn!("the lease had ended; runs that others took over are let go");
        }
        if returns || lapsed {
            self.look.notify_one();
        }
    }

    fn failed(&self, why: &str) {
        let mut known = self.known();
        known.failed = true;
        if known.in_touch.take().is_some() {
            tracing::warn!(why, "the lease was not renewed; trying again");
        }
        if !known.lapsed && known.renewed.elapsed() >= self.lease {
            known.lapsed = true;
            tracing::error!("no sign of life for a full lease: others may take this process's runs over");
        }
    }
}

/// The handle on what is known, and the actor that keeps it true.
pub(crate) fn heartbeat(target: &Target, context: &Context, database: &Database) -> (Hold, Child) {
    let hold = Hold::new(target.engine(), context.lease);
    let slot = Slot::new("heartbeat", 1, RETRY);
    let pulse = Pulse { target: target.clone(), context: context.clone(), hold: hold.clone(), link: database.link() };
    (hold, Child::new(slot, move || (Heartbeat(pulse.clone()), ())))
}

enum Message {
    ThreadEnded,
}

struct Heartbeat(Pulse);

impl Actor for Heartbeat {
    type Msg = Message;
    /// Dropped with the actor, it ends the thread.
    type State = Option<DropGuard>;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Message>, (): ()) -> Result<Self::State, ActorProcessingErr> {
        if self.0.target.engine() == Engine::Sqlite {
            return Ok(None);
        }
        let stop = CancellationToken::new();
        self.0.clone().spawn(stop.clone(), myself)?;
        Ok(Some(stop.drop_guard()))
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::ThreadEnded => Err("the thread of the heartbeat ended".into()),
        }
    }
}

/// What the thread works with.
#[derive(Clone)]
struct Pulse {
    target: Target,
    context: Context,
    hold: Hold,
    link: Arc<Link>,
}

/// Says so when the thread ends, also when it panics.
struct SayEnded(ActorRef<Message>, Arc<Link>);

impl Drop for SayEnded {
    fn drop(&mut self) {
        // Silence that nobody watches would last for ever.
        self.1.probed(true);
        // An actor that has stopped knows.
        let _ = self.0.cast(Message::ThreadEnded);
    }
}

impl Pulse {
    fn spawn(self, stop: CancellationToken, actor: ActorRef<Message>) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("heartbeat".into()).spawn(move || {
            let _said = SayEnded(actor, Arc::clone(&self.link));
            runtime.block_on(async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.renew() => {}
                    () = self.listen() => {}
                    () = self.probe() => {}
                }
            });
        })?;
        Ok(())
    }

    fn interval(&self) -> Duration {
        self.context.lease / BEATS
    }

    async fn renew(&self) {
        let interval = self.interval();
        let mut connection = None;
        loop {
            let begun = Instant::now();
            let pause = match timeout(interval, self.beat(&mut connection)).await {
                Ok(Ok(())) => {
                    self.hold.renewed(begun);
                    interval
                }
                Ok(Err(error)) => {
                    connection = None;
                    self.hold.failed(&error.to_string());
                    interval.min(RETRY)
                }
                Err(_) => {
                    connection = None;
                    self.hold.failed("timed out");
                    interval.min(RETRY)
                }
            };
            tokio::time::sleep(pause.saturating_sub(begun.elapsed())).await;
        }
    }

    async fn beat(&self, connection: &mut Option<Connection>) -> safire_store::Result<()> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(self.target.connect().await?),
        };
        runs::renew(connection, lease(&self.context)).await?;
        operations::renew(connection, lease(&self.context)).await
    }

    async fn probe(&self) {
        let mut connection = None;
        loop {
            if !self.is_answered(&mut connection).await {
                connection = None;
            }
            tokio::time::sleep(PROBE).await;
        }
    }

    /// Asks once, and says every while that there is no answer yet. A server that hangs is not asked again
    /// and again: once it goes on, it would find nothing but questions of those who have left.
    async fn is_answered(&self, connection: &mut Option<Connection>) -> bool {
        let mut answer = std::pin::pin!(self.ping(connection));
        for _ in 0..PROBE_TURNS {
            if let Ok(answer) = timeout(PROBE_PATIENCE, &mut answer).await {
                // A refusal, too, is an answer.
                self.link.probed(true);
                return answer.is_ok();
            }
            self.link.probed(false);
        }
        false
    }

    async fn ping(&self, connection: &mut Option<Connection>) -> safire_store::Result<()> {
        match connection {
            Some(connection) => connection.ping().await,
            None => {
                *connection = Some(self.target.connect().await?);
                Ok(())
            }
        }
    }

    async fn listen(&self) {
        loop {
            if let Err(error) = self.hear().await {
                tracing::debug!(%error, "no hints are heard");
            }
            tokio::time::sleep(self.interval()).await;
        }
    }

    async fn hear(&self) -> safire_store::Result<()> {
        let Some(mut hints) = Hints::listen(&self.target).await? else { return Ok(()) };
        loop {
            hints.next().await?;
            self.hold.look.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn known(hold: &Hold, ago: Duration) {
        let then = Instant::now().checked_sub(ago).expect("the machine has run for that long");
        hold.renewed(then);
    }

    #[test]
    fn others_runs_are_taken_over_only_after_a_full_lease_in_touch() {
        let hold = Hold::new(Engine::Postgres, LEASE);
        assert!(!hold.may_take_over(), "nothing is known yet");
        known(&hold, Duration::from_secs(14));
        assert!(!hold.may_take_over());
        let hold = Hold::new(Engine::Postgres, LEASE);
        known(&hold, LEASE);
        assert!(hold.may_take_over());
        hold.failed("an outage");
        assert!(!hold.may_take_over());
        hold.renewed(Instant::now());
        assert!(!hold.may_take_over(), "owners that lived through the outage renew first");
    }

    #[test]
    fn a_process_alone_takes_over_at_once() {
        assert!(Hold::new(Engine::Sqlite, LEASE).may_take_over());
    }

    #[test]
    fn a_lease_that_was_not_renewed_lapses_and_is_held_again_once_it_is() {
        let hold = Hold::new(Engine::Postgres, Duration::ZERO);
        assert!(!hold.has_lapsed());
        hold.failed("an outage");
        assert!(hold.has_lapsed());
        hold.renewed(Instant::now());
        assert!(!hold.has_lapsed());
    }
}
