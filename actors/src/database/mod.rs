//! The database actor: a factory whose workers each own one connection.
//!
//! A caller sends a job, a closure over a connection, and awaits its value. Jobs wait in one bounded
//! queue, in which those who ask take turns and none may have all places; a panic or a broken connection
//! costs one job. PostgreSQL has one factory; SQLite has two, a single writer and several readers, because
//! it allows one writer at a time.
//!
//! Workers connect when they have something to do, and say so when they cannot: an absent database
//! is a state, not a crash.

mod figures;
mod link;
mod routing;
mod work;
mod worker;

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use ractor::factory::{Factory, FactoryArguments, FactoryMessage, Job, JobOptions};
use safire_store::{Connection, Engine, Target};
use thiserror::Error;
use tokio::sync::Notify;

use crate::{
    context::Context,
    limits::Subject,
    origin::Origin,
    shares::Shares,
    slot::{Places, Slot, Unavailable, Why},
    supervisor::Child,
    turns::Lane,
};
use figures::Figures;
pub(crate) use link::Link;
use routing::LowestFirst;
use work::{Refuse, Work};
use worker::{Builder, ConnectionWorker};

pub use figures::Stats;

/// How the database is reached and how much of it is used.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is.
    pub target: Target,
    /// Connections to PostgreSQL that are kept, or readers of SQLite.
    pub connections: usize,
    /// What becomes of connections over time.
    pub keep: Keep,
    /// Jobs that may wait.
    pub queue: usize,
    /// How long a job may wait for a connection.
    pub acquire_timeout: Duration,
    /// How long a job may take once it has one.
    pub statement_timeout: Duration,
}

/// What becomes of connections to PostgreSQL over time.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Connections opened beyond those that are kept, when all of these are busy.
    pub overflow: usize,
    /// How long such a connection may be idle before it is closed.
    pub overflow_idle: Duration,
    /// The age at which a connection is replaced.
    pub recycle: Duration,
    /// A connection that was idle for so long is tested before it is used.
    pub test_after: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            overflow: 10,
            overflow_idle: Duration::from_secs(5),
            recycle: Duration::from_secs(3600),
            test_after: Duration::from_secs(1),
        }
    }
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
        use safire_store::Error::{Contended, Full, Offline};
        matches!(self, Self::Unavailable(_) | Self::Store(Offline(_) | Full(_) | Contended))
    }
}

/// A handle on the database.
#[derive(Clone)]
pub struct Database {
    engine: Engine,
    read: Pool,
    write: Pool,
    link: Arc<Link>,
    figures: Figures,
    /// Told of every write.
    written: Arc<Notify>,
}

impl Database {
    /// The handle and the actors behind it.
    pub fn new(settings: &Settings, context: &Context) -> (Self, Vec<Child>) {
        let link = Arc::new(Link::default());
        let figures = Figures::default();
        let engine = settings.target.engine();
        let pool = |name, connections| Pool::new(name, connections, settings, context, &link, &figures);
        let (read, mut children) = pool("database", settings.connections);
        let write = match engine {
            Engine::Postgres => read.clone(),
            Engine::Sqlite => {
                let (write, writer) = pool("database writer", 1);
                children.extend(writer);
                write
            }
        };
        (Self { engine, read, write, link, figures, written: Arc::default() }, children)
    }

    /// Runs a job that only reads.
    ///
    /// A job is given one connection and no way to another: a transaction cannot wait for a second one, so
    /// that jobs never wait for each other in a circle.
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
        let done = self.write.run(work).await;
        self.written.notify_one();
        done
    }

    /// Returns when this process has written something, for the one who tells of it.
    pub(crate) async fn written(&self) {
        self.written.notified().await;
    }

    /// Which engine it is.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The way to the database, for whoever watches over it.
    pub(crate) fn link(&self) -> Arc<Link> {
        Arc::clone(&self.link)
    }

    /// How the connections are used. Waits for nothing.
    pub fn stats(&self) -> Stats {
        self.figures.stats()
    }

    /// How many jobs are admitted, by those who read and those who write where they are not the same.
    pub fn places(&self) -> Vec<Places> {
        let write = (self.engine == Engine::Sqlite).then(|| self.write.slot.places());
        [self.read.slot.places()].into_iter().chain(write).collect()
    }

    /// Whether the last attempt to reach the database succeeded.
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }
}

/// Whose job it is.
type Key = Option<Subject>;

#[derive(Clone)]
struct Pool {
    slot: Slot<FactoryMessage<Key, Work>>,
    shares: Shares,
    acquire_timeout: Duration,
    figures: Figures,
    link: Arc<Link>,
}

impl Pool {
    fn new(
        name: &'static str,
        connections: usize,
        settings: &Settings,
        context: &Context,
        link: &Arc<Link>,
        figures: &Figures,
    ) -> (Self, Vec<Child>) {
        let overflow = match settings.target.engine() {
            Engine::Postgres => settings.keep.overflow,
            Engine::Sqlite => 0,
        };
        let workers = connections + overflow;
        let deadline = settings.acquire_timeout + settings.statement_timeout;
        let capacity = settings.queue + workers;
        let (slot, shares) = (Slot::new(name, capacity, deadline), Shares::of(capacity));
        let builder = Builder {
            target: settings.target.clone(),
            context: context.clone(),
            link: Arc::clone(link),
            figures: figures.clone(),
            kept: connections,
            keep: settings.keep,
            acquire_timeout: settings.acquire_timeout,
            deadline,
        };
        let child = Child::new(slot.clone(), move || (ConnectionFactory::default(), arguments(&builder, workers)));
        let (acquire_timeout, figures, link) = (settings.acquire_timeout, figures.clone(), Arc::clone(link));
        (Self { slot, shares, acquire_timeout, figures, link }, vec![child])
    }

    async fn run<T, W>(&self, work: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, safire_store::Result<T>> + Send + 'static,
    {
        let asker = Origin::asker();
        let permit = match asker {
            Some(who) => self.slot.reserve_for(who, &self.shares)?,
            None => self.slot.reserve()?,
        };
        let ttl = JobOptions::new(Some(self.acquire_timeout));
        let waiting = self.figures.waiting.count();
        let dispatch = |reply| FactoryMessage::Dispatch(Job::with_options(asker, Work::new(work, reply, waiting), ttl));
        tokio::select! {
            biased;
            answer = self.slot.call_on(permit, dispatch) => Ok(answer??),
            () = self.link.silence() => Err(Unavailable { resource: self.slot.resource(), why: Why::Late }.into()),
        }
    }
}

type ConnectionFactory = Factory<Key, Work, (), ConnectionWorker, LowestFirst, Lane<Key, Work>>;
type ConnectionArguments = FactoryArguments<Key, Work, (), ConnectionWorker, LowestFirst, Lane<Key, Work>>;

fn arguments(builder: &Builder, workers: usize) -> ConnectionArguments {
    FactoryArguments::builder()
        .worker_builder(Box::new(builder.clone()))
        .num_initial_workers(workers)
        .queue(Lane::default())
        .router(LowestFirst::default())
        .discard_handler(Arc::new(Refuse))
        .build()
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("engine", &self.engine).finish_non_exhaustive()
    }
}
