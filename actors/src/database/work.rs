//! A job as it travels to a connection.

use std::{fmt, time::Instant};

use futures::future::BoxFuture;
use ractor::factory::{DiscardHandler, DiscardReason, Job};
use safire_store::{Connection, caused_by};
use tracing::Instrument;

use super::{Key, figures::Counted, link::Link};
use crate::{
    origin::{Origin, span_for},
    slot::{Reply, Why},
};

/// A job on its way to a connection. It is taken out once, to be done or refused.
pub(super) struct Work(Option<Waiting>);

/// A job, counted as waiting until it is taken.
struct Waiting {
    task: Box<dyn Task>,
    since: Instant,
    _counted: Counted,
}

impl Work {
    pub fn new<T, W>(work: W, reply: Reply<safire_store::Result<T>>, counted: Counted) -> Self
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, safire_store::Result<T>> + Send + 'static,
    {
        let task = Box::new(Typed { work, reply });
        Self(Some(Waiting { task, since: Instant::now(), _counted: counted }))
    }

    /// The job, if somebody still waits for its value, and since when they do.
    pub fn take(&mut self) -> Option<(Box<dyn Task>, Instant)> {
        let Waiting { task, since, _counted } = self.0.take()?;
        (!task.is_abandoned()).then_some((task, since))
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Work")
    }
}

pub(super) trait Task: Send {
    /// Does the job and answers; `true` when the connection broke. Before whoever has the answer goes on,
    /// the connection counts as free, and the link knows what happened to it.
    fn perform<'c>(
        self: Box<Self>,
        connection: &'c mut Connection,
        link: &'c Link,
        checked_out: Counted,
    ) -> BoxFuture<'c, bool>;
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
    fn perform<'c>(
        self: Box<Self>,
        connection: &'c mut Connection,
        link: &'c Link,
        checked_out: Counted,
    ) -> BoxFuture<'c, bool> {
        Box::pin(async move {
            let Self { work, reply } = *self;
            let span = span_for!(debug_span, "database", reply.origin());
            let result = caused_by(reply.origin().map(Origin::cause), work(connection)).instrument(span).await;
            let broken = result.as_ref().is_err_and(safire_store::Error::breaks_connection);
            match broken {
                true => link.broke(),
                false => link.answered(),
            }
            drop(checked_out);
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
pub(super) struct Refuse;

impl DiscardHandler<Key, Work> for Refuse {
    fn discard(&self, reason: DiscardReason, job: &mut Job<Key, Work>) {
        let why = match reason {
            DiscardReason::TtlExpired => Why::Late,
            DiscardReason::Loadshed | DiscardReason::RateLimited => Why::Full,
            DiscardReason::Shutdown => Why::Down,
        };
        if let Some((task, _)) = job.msg.take() {
            task.refuse(why);
        }
    }
}
