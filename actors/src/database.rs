//! The database actor: a factory whose workers each own one connection.
//!
//! A caller sends a job, a closure over a connection, and awaits its value. Jobs wait in one bounded
//! queue; a panic or a broken connection costs one job. PostgreSQL has one factory; SQLite has two,
//! a single writer and several readers, because it allows one writer at a time.
//!
//! Workers connect when they have something to do, and say so when they cannot: an absent database
//! is a state, not a crash.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use ractor::{
    ActorProcessingErr,
    factory::{
        DiscardHandler, DiscardReason, Factory, FactoryArguments, FactoryMessage, FactoryRef, Job, JobOptions, Worker,
        WorkerBuilder, WorkerId, queues::DefaultQueue, routing::QueuerRouting,
    },
};
use safire_store::{Connection, Engine, Target};
use thiserror::Error;

use crate::{
    context::Context,
    slot::{Reply, Slot, Unavailable, Why},
    supervisor::Child,
};

/// How the database is reached and how much of it is used.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is.
    pub target: Target,
    /// Connections to PostgreSQL, or readers of SQLite.
    pub connections: usize,
    /// Jobs that may wait.
    pub queue: usize,
    /// How long a job may wait for a connection.
    pub acquire_timeout: Duration,
    /// How long a job may take once it has one.
    pub statement_timeout: Duration,
}

/// Why a job gave no value.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// No connection was free, or there is no database.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A statement failed.
    #[error(transparent)]
    Store(#[from] safire_store::Error),
}

impl DatabaseError {
    /// Whether the same job may succeed a little later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Store(safire_store::Error::Offline(_)))
    }
}

/// A handle on the database.
#[derive(Clone)]
pub struct Database {
    engine: Engine,
    read: Pool,
    write: Pool,
    link: Arc<Link>,
}

impl Database {
    /// The handle and the actors behind it.
    pub fn new(settings: &Settings, context: &Context) -> (Self, Vec<Child>) {
        let link = Arc::new(Link::default());
        let engine = settings.target.engine();
        let pool = |name, connections| Pool::new(name, connections, settings, context, &link);
        let (read, mut children) = pool("database", settings.connections);
        let write = match engine {
            Engine::Postgres => read.clone(),
            Engine::Sqlite => {
                let (write, writer) = pool("database writer", 1);
                children.extend(writer);
                write
            }
        };
        (Self { engine, read, write, link }, children)
    }

    /// Runs a job that only reads.
    pub async fn read<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, safire_store::Result<T>> + Send + 'static,
    {
        self.read.run(work).await
    }

    /// Runs a job that writes.
    pub async fn write<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, safire_store::Result<T>> + Send + 'static,
    {
        self.write.run(work).await
    }

    /// Which engine it is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Whether the last attempt to reach the database succeeded.
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }
}

#[derive(Clone)]
struct Pool {
    slot: Slot<FactoryMessage<(), Work>>,
    acquire_timeout: Duration,
}

impl Pool {
    fn new(
        name: &'static str,
        connections: usize,
        settings: &Settings,
        context: &Context,
        link: &Arc<Link>,
    ) -> (Self, Vec<Child>) {
        let deadline = settings.acquire_timeout + settings.statement_timeout;
        let slot = Slot::new(name, settings.queue + connections, deadline);
        let builder = Builder {
            target: settings.target.clone(),
            context: context.clone(),
            link: Arc::clone(link),
            connect_timeout: settings.acquire_timeout,
        };
        let child = Child::new(slot.clone(), move || (ConnectionFactory::default(), arguments(&builder, connections)));
        (Self { slot, acquire_timeout: settings.acquire_timeout }, vec![child])
    }

    async fn run<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, safire_store::Result<T>> + Send + 'static,
    {
        let ttl = JobOptions::new(Some(self.acquire_timeout));
        let dispatch = |reply| FactoryMessage::Dispatch(Job::with_options((), Work::new(work, reply), ttl));
        Ok(self.slot.call(dispatch).await??)
    }
}

type ConnectionFactory = Factory<(), Work, (), ConnectionWorker, QueuerRouting<(), Work>, DefaultQueue<(), Work>>;
type ConnectionArguments =
    FactoryArguments<(), Work, (), ConnectionWorker, QueuerRouting<(), Work>, DefaultQueue<(), Work>>;

fn arguments(builder: &Builder, connections: usize) -> ConnectionArguments {
    FactoryArguments::builder()
        .worker_builder(Box::new(builder.clone()))
        .num_initial_workers(connections)
        .queue(DefaultQueue::default())
        .router(QueuerRouting::default())
        .discard_handler(Arc::new(Refuse))
        .build()
}

/// A job on its way to a connection. It is taken out once, to be done or refused.
struct Work(Option<Box<dyn Task>>);

impl Work {
    fn new<T, W>(work: W, reply: Reply<safire_store::Result<T>>) -> Self
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, safire_store::Result<T>> + Send + 'static,
    {
        Self(Some(Box::new(Typed { work, reply })))
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Work")
    }
}

trait Task: Send {
    /// Does the job; `true` when the connection broke.
    fn perform<'c>(self: Box<Self>, connection: &'c mut Connection) -> BoxFuture<'c, bool>;
    fn fail(self: Box<Self>, error: safire_store::Error);
    fn refuse(self: Box<Self>, why: Why);
    fn is_abandoned(&self) -> bool;
}

struct Typed<T, W> {
    work: W,
    reply: Reply<safire_store::Result<T>>,
}

impl<T, W> Task for Typed<T, W>
where
    T: Send + 'static,
    W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, safire_store::Result<T>> + Send + 'static,
{
    fn perform<'c>(self: Box<Self>, connection: &'c mut Connection) -> BoxFuture<'c, bool> {
        Box::pin(async move {
            let Self { work, reply } = *self;
            let result = work(connection).await;
            let broken = result.as_ref().is_err_and(safire_store::Error::breaks_connection);
            reply.send(result);
            broken
        })
    }

    fn fail(self: Box<Self>, error: safire_store::Error) {
        self.reply.send(Err(error));
    }

    fn refuse(self: Box<Self>, why: Why) {
        self.reply.refuse(why);
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned()
    }
}

/// A job that the factory drops is answered: its caller waits.
struct Refuse;

impl DiscardHandler<(), Work> for Refuse {
    fn discard(&self, reason: DiscardReason, job: &mut Job<(), Work>) {
        let why = match reason {
            DiscardReason::TtlExpired => Why::Late,
            DiscardReason::Loadshed | DiscardReason::RateLimited => Why::Full,
            DiscardReason::Shutdown => Why::Down,
        };
        if let Some(task) = job.msg.0.take() {
            task.refuse(why);
        }
    }
}

#[derive(Clone)]
struct Builder {
    target: Target,
    context: Context,
    link: Arc<Link>,
    connect_timeout: Duration,
}

impl WorkerBuilder<ConnectionWorker, ()> for Builder {
    fn build(&mut self, _: WorkerId) -> (ConnectionWorker, ()) {
        (ConnectionWorker(self.clone()), ())
    }
}

struct ConnectionWorker(Builder);

impl Worker for ConnectionWorker {
    type Key = ();
    type Message = Work;
    type Arguments = ();
    type State = Option<Connection>;

    // A worker that fails to start takes the whole factory down, so it connects when it must.
    async fn pre_start(
        &self,
        _: WorkerId,
        _: &FactoryRef<(), Work>,
        (): (),
    ) -> Result<Option<Connection>, ActorProcessingErr> {
        Ok(None)
    }

    async fn handle(
        &self,
        _: WorkerId,
        _: &FactoryRef<(), Work>,
        job: Job<(), Work>,
        connection: &mut Option<Connection>,
    ) -> Result<(), ActorProcessingErr> {
        let Some(task) = job.msg.0.filter(|task| !task.is_abandoned()) else { return Ok(()) };
        self.0.context.pass("database");
        let open = match connection {
            Some(open) => open,
            None => match self.connect().await {
                Ok(open) => connection.insert(open),
                Err(absent) => {
                    match absent {
                        Some(error) => task.fail(error),
                        None => task.refuse(Why::Down),
                    }
                    return Ok(());
                }
            },
        };
        if task.perform(open).await {
            *connection = None;
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _: WorkerId,
        _: &FactoryRef<(), Work>,
        connection: &mut Option<Connection>,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(open) = connection.take() {
            let _ = open.close().await;
        }
        Ok(())
    }
}

impl ConnectionWorker {
    /// Opens a connection, unless one was tried in vain a moment ago.
    async fn connect(&self) -> Result<Connection, Option<safire_store::Error>> {
        let Builder { target, link, connect_timeout, .. } = &self.0;
        if !link.may_try() {
            return Err(None);
        }
        match tokio::time::timeout(*connect_timeout, target.connect()).await {
            Ok(Ok(connection)) => {
                link.succeeded();
                Ok(connection)
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

/// What is known about the way to the database, shared by all workers so that an outage is tried
/// against, and logged, at a measured pace.
#[derive(Default)]
struct Link(Mutex<LinkState>);

#[derive(Default)]
struct LinkState {
    failures: u32,
    retry_at: Option<Instant>,
}

/// The longest that an absent database is left alone.
const LONGEST_RETRY: Duration = Duration::from_secs(2);

impl Link {
    fn state(&self) -> std::sync::MutexGuard<'_, LinkState> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn is_up(&self) -> bool {
        self.state().failures == 0
    }

    /// Whether it is time to try; of many who ask during an outage, one is let through.
    fn may_try(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        if state.retry_at.is_some_and(|at| now < at) {
            return false;
        }
        if state.failures > 0 {
            state.retry_at = Some(now + LONGEST_RETRY);
        }
        true
    }

    fn succeeded(&self) {
        let mut state = self.state();
        if state.failures > 0 {
            tracing::info!(attempts = state.failures, "the database is back");
        }
        *state = LinkState::default();
    }

    fn failed(&self, why: &dyn fmt::Display) {
        let mut state = self.state();
        if state.failures == 0 {
            tracing::error!(%why, "the database cannot be reached; retrying");
        }
        state.failures += 1;
        let wait = Duration::from_millis(100).saturating_mul(2_u32.saturating_pow(state.failures.min(10)));
        state.retry_at = Some(Instant::now() + wait.min(LONGEST_RETRY));
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("engine", &self.engine).finish_non_exhaustive()
    }
}
