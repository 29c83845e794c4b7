//! The workers of the pool: each gives slices of calculations to a thread of its own and waits for them.
//!
//! A slice is over in milliseconds. One that is not holds up nobody: the worker leaves it to its thread and
//! goes on with a new one.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use ractor::{
    ActorProcessingErr,
    factory::{Factory, FactoryArguments, FactoryMessage, FactoryRef, Job, Worker, WorkerBuilder, WorkerId},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::{
    OnProgress, Settings, cancelled, panicked,
    routing::Routing,
    thread::{End, Slice, Thread, Work},
    too_long,
    turns::{Turn, Turns},
};
use crate::{
    context::Context,
    ongoing::{Begun, Ongoing},
    priority::Priority,
    slot::Reply,
};

/// After how long a worker does not wait for a slice any more.
const SOON: Duration = Duration::from_millis(25);

/// After how long a slice is one that may never end. On a machine that is too busy all of them take long.
const STUCK: Duration = Duration::from_millis(250);

/// How long a cancelled calculation has to notice.
const GRACE: Duration = Duration::from_millis(250);

// A slice that is over by then has noticed: see [`slice`].
const _: () = assert!(SOON.as_millis() < GRACE.as_millis());

pub(super) type ThreadFactory = Factory<Turn, Task, (), ThreadWorker, Routing, Turns<Task>>;
type ThreadArguments = FactoryArguments<Turn, Task, (), ThreadWorker, Routing, Turns<Task>>;

pub(super) fn arguments(builder: &Builder) -> ThreadArguments {
    let threads = builder.settings.threads;
    FactoryArguments::builder()
        .worker_builder(Box::new(builder.clone()))
        .num_initial_workers(threads + 1)
        .queue(Turns::default())
        .router(Routing::of(threads))
        .build()
}

/// A calculation on its way through the pool.
pub(super) struct Task {
    pub work: Work,
    pub errand: Errand,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Task")
    }
}

/// For whom a calculation is done, and what it has cost so far.
pub(super) struct Errand {
    /// What is calculated, for the metrics.
    pub kind: &'static str,
    /// As what it counts: first as waiting, then as running.
    pub counted: Begun,
    /// What it is done for: entered on the thread.
    pub span: Span,
    pub cancel: CancellationToken,
    pub on_progress: Option<OnProgress>,
    /// How long it has been on a thread.
    pub spent: Duration,
    pub reply: Reply<End>,
}

impl Errand {
    fn is_off(&self) -> bool {
        self.cancel.is_cancelled() || self.reply.is_abandoned()
    }

    fn tell(&self, work: &Work) {
        if let Some(on_progress) = &self.on_progress {
            on_progress(work.progress());
        }
    }
}

#[derive(Clone)]
pub(super) struct Builder {
    pub settings: Settings,
    pub context: Context,
    pub running: Ongoing,
}

impl WorkerBuilder<ThreadWorker, ()> for Builder {
    fn build(&mut self, worker: WorkerId) -> (ThreadWorker, ()) {
        let priority = if worker < self.settings.threads { Priority::Long } else { Priority::Short };
        (ThreadWorker { builder: self.clone(), priority }, ())
    }
}

pub(super) struct ThreadWorker {
    builder: Builder,
    priority: Priority,
}

impl Worker for ThreadWorker {
    type Key = Turn;
    type Message = Task;
    type Arguments = ();
    type State = Option<Thread>;

    async fn pre_start(
        &self,
        _: WorkerId,
        _: &FactoryRef<Turn, Task>,
        (): (),
    ) -> Result<Option<Thread>, ActorProcessingErr> {
        Ok(None)
    }

    async fn handle(
        &self,
        _: WorkerId,
        factory: &FactoryRef<Turn, Task>,
        job: Job<Turn, Task>,
        thread: &mut Option<Thread>,
    ) -> Result<Turn, ActorProcessingErr> {
        let (turn, Task { work, mut errand }) = (job.key, job.msg);
        if errand.is_off() {
            errand.reply.send(Err(cancelled()));
            return Ok(turn);
        }
        self.builder.context.pass("calculations");
        errand.tell(&work);
        if !turn.long {
            errand.counted = self.builder.running.begin();
        }
        let own = match thread.take() {
            Some(own) if own.is_there() => own,
            _ => Thread::spawn(Arc::clone(&self.builder.settings.compute), self.priority)?,
        };
        let ends = Ends { turn, factory: factory.clone(), context: self.builder.context.clone() };
        let mut slice = Box::pin(slice(&own, work, errand, self.builder.settings.deadline));
        match timeout(SOON, &mut slice).await {
            Ok((slice, errand)) => {
                *thread = Some(own);
                ends.settle(slice, errand);
            }
            Err(_) => {
                tokio::spawn(async move {
                    let (slice, errand) = match timeout(STUCK, &mut slice).await {
                        Ok(end) => end,
                        Err(_) => {
                            own.be_left_behind();
                            slice.await
                        }
                    };
                    ends.settle(slice, errand);
                });
            }
        }
        Ok(turn)
    }
}

/// One slice, and whom it is for. That it ends before [`SOON`] means that the thread is free again, since what is
/// called off has longer than that to notice.
fn slice(
    thread: &Thread,
    work: Work,
    errand: Errand,
    deadline: Duration,
) -> impl Future<Output = (Slice, Errand)> + use<> {
    // A child, so that a deadline ends the calculation without calling off the run.
    let (inner, begun) = (errand.cancel.child_token(), Instant::now());
    let mut slice = thread.submit(work, errand.span.clone(), inner.clone());
    async move {
        let end = tokio::select! {
            slice = &mut slice => Ok(slice.unwrap_or_else(|_| Slice::failed(panicked()))),
            () = tokio::time::sleep(deadline.saturating_sub(errand.spent)) => Err(too_long(deadline)),
            () = errand.cancel.cancelled() => Err(cancelled()),
        };
        let end = match end {
            Ok(slice) => slice,
            Err(failure) => {
                inner.cancel();
                let _ = timeout(GRACE, slice).await;
                Slice::failed(failure)
            }
        };
        (end, Errand { spent: errand.spent + begun.elapsed(), ..errand })
    }
}

/// Where a slice leads.
struct Ends {
    turn: Turn,
    factory: FactoryRef<Turn, Task>,
    context: Context,
}

impl Ends {
    fn settle(self, slice: Slice, errand: Errand) {
        match slice {
            Slice::Done(end) => {
                let Errand { kind, counted, spent, reply, .. } = errand;
                self.context.metrics.calculation.of(kind).record(spent);
                drop(counted);
                reply.send(*end);
            }
            Slice::More(work) => {
                errand.tell(&work);
                let turn = Turn { long: true, ..self.turn };
                // A factory that is no more drops the rest, and its caller hears of it.
                let _ = self.factory.cast(FactoryMessage::Dispatch(Job::new(turn, Task { work, errand })));
            }
        }
    }
}
