//! A worker and the one connection that it owns.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ractor::{
    ActorProcessingErr,
    factory::{FactoryRef, Job, Worker, WorkerBuilder, WorkerId},
};
use rand::RngExt;
use safire_store::{Connection, Engine, Target};
use tokio::{sync::Mutex, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Keep, Key,
    figures::{Counted, Figures},
    link::Link,
    work::Work,
};
use crate::{context::Context, slot::Why};

/// What all workers of one factory are given.
#[derive(Clone)]
pub(super) struct Builder {
    pub target: Target,
    pub context: Context,
    pub link: Arc<Link>,
    pub figures: Figures,
    /// Workers with a lower number keep their connection.
    pub kept: usize,
    pub keep: Keep,
    pub acquire_timeout: Duration,
    /// After that, nobody waits for a job any more.
    pub deadline: Duration,
}

impl WorkerBuilder<ConnectionWorker, ()> for Builder {
    fn build(&mut self, id: WorkerId) -> (ConnectionWorker, ()) {
        (ConnectionWorker { shared: self.clone(), keeps: id < self.kept }, ())
    }
}

pub(super) struct ConnectionWorker {
    shared: Builder,
    /// Whether the connection is kept when it is idle.
    keeps: bool,
}

/// An open connection.
struct Open {
    connection: Connection,
    used: Instant,
    /// When it is to be replaced by a new one.
    ends: Instant,
    _counted: (Counted, Option<Counted>),
}

impl Open {
    async fn close(self) {
        // Politeness: the server notices anyway.
        let _ = timeout(FAREWELL, self.connection.close()).await;
    }
}

/// How long a farewell or a test of a connection may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// The worker's connection. The lock is held for a job; nobody but [`close_when_idle`] contends for it.
type Place = Arc<Mutex<Option<Open>>>;

/// A worker's memory.
pub(super) struct State {
    place: Place,
    _closer: Option<AbortOnDropHandle<()>>,
}

impl Worker for ConnectionWorker {
    type Key = Key;
    type Message = Work;
    type Arguments = ();
    type State = State;

    // A worker that fails to start takes the whole factory down, so it connects when it must.
    async fn pre_start(&self, _: WorkerId, _: &FactoryRef<Key, Work>, (): ()) -> Result<State, ActorProcessingErr> {
        let place = Place::default();
        let after = self.shared.keep.overflow_idle;
        let closer = (!self.keeps).then(|| tokio::spawn(close_when_idle(Arc::clone(&place), after)));
        Ok(State { place, _closer: closer.map(AbortOnDropHandle::new) })
    }

    async fn handle(
        &self,
        _: WorkerId,
        _: &FactoryRef<Key, Work>,
        Job { key, msg: mut work, .. }: Job<Key, Work>,
        state: &mut State,
    ) -> Result<Key, ActorProcessingErr> {
        let Some((task, since)) = work.take() else { return Ok(key) };
        self.shared.context.pass("database");
        let mut place = state.place.lock().await;
        let open = match self.usable(place.take(), since + self.shared.acquire_timeout).await {
            Ok(open) => place.insert(open),
            Err(Some(error)) => {
                task.fail(error);
                return Ok(key);
            }
            Err(None) => {
                task.refuse(Why::Down);
                return Ok(key);
            }
        };
        self.shared.context.metrics.database_acquire.record(since.elapsed());
        let checked_out = self.shared.figures.checked_out.count();
        // The beginning, not the end: the caller goes on before this worker does.
        open.used = Instant::now();
        let _asked = self.shared.link.asked(open.used);
        let job = task.perform(&mut open.connection, &self.shared.link, checked_out);
        // A server that is cut off says nothing for ever, and the worker is needed.
        let broken = timeout(self.shared.deadline, job).await.unwrap_or_else(|_| {
            self.shared.link.broke();
            true
        });
        if broken {
            *place = None;
        }
        Ok(key)
    }

    async fn post_stop(
        &self,
        _: WorkerId,
        _: &FactoryRef<Key, Work>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(open) = state.place.lock().await.take() {
            open.close().await;
        }
        Ok(())
    }
}

impl ConnectionWorker {
    /// The connection, if it is young and answers; otherwise a new one.
    async fn usable(&self, open: Option<Open>, deadline: Instant) -> Result<Open, Option<safire_store::Error>> {
        let Some(mut open) = open else { return self.connect(deadline).await };
        if self.shared.target.engine() == Engine::Sqlite {
            return Ok(open);
        }
        if open.ends <= Instant::now() {
            open.close().await;
            return self.connect(deadline).await;
        }
        if open.used.elapsed() < self.shared.keep.test_after && !self.shared.link.broke_since(open.used) {
            return Ok(open);
        }
        match timeout(FAREWELL.min(left(deadline)), open.connection.ping()).await {
            Ok(Ok(())) => Ok(open),
            Ok(Err(_)) | Err(_) => {
                drop(open);
                self.connect(deadline).await
            }
        }
    }

    /// Opens a connection, unless one was tried in vain a moment ago.
    async fn connect(&self, deadline: Instant) -> Result<Open, Option<safire_store::Error>> {
        let Builder { target, link, figures, keep, .. } = &self.shared;
        if !link.may_try() {
            return Err(None);
        }
        match timeout(left(deadline), target.connect()).await {
            Ok(Ok(connection)) => {
                link.succeeded();
                let now = Instant::now();
                // Connections that were opened together do not end together.
                let ends = now + keep.recycle.mul_f64(rand::rng().random_range(0.9..=1.0));
                let counted = (figures.open.count(), (!self.keeps).then(|| figures.overflow.count()));
                Ok(Open { connection, used: now, ends, _counted: counted })
            }
            Ok(Err(error)) => {
                link.failed(&error);
                Err(Some(error))
            }
            Err(_) => {
                link.failed(&"timed out");
                Err(None)
            }
        }
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100))
}

/// Closes a connection that had nothing to do for `after`.
async fn close_when_idle(place: Place, after: Duration) {
    loop {
        tokio::time::sleep(after / 2).await;
        // A place that is taken is not idle.
        let Ok(mut taken) = place.try_lock() else { continue };
        if let Some(open) = taken.take_if(|open| open.used.elapsed() >= after) {
            open.close().await;
        }
    }
}
