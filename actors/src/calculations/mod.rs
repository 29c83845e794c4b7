//! The calculation pool: a bounded factory whose workers each own a thread.
//!
//! A calculation is admitted before it is accepted ([`Calculations::admit`]), so that what was
//! accepted always finds room. On its thread it cannot hold up the requests; a panic in it fails
//! that calculation alone, and one that outlives its deadline is cancelled and, if it does not
//! listen, left behind with its thread.
//!
//! A long analysis is calculated in slices. Between two of them others have their turn (`turns`):
//! a base analysis waits for one slice at most, and many long analyses go on side by side.

mod shares;
mod thread;
mod turns;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use ractor::{
    ActorProcessingErr,
    factory::{
        Factory, FactoryArguments, FactoryMessage, FactoryRef, Job, Worker, WorkerBuilder, WorkerId,
        routing::QueuerRouting,
    },
};
use safire_domain::{
    UserId,
    engine::{self, BaseAnalysis, Failure, Inputs, Progress},
    run::{Kind, Order, Outcome},
};
use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::{
    context::Context,
    ongoing::{Begun, Ongoing},
    slot::{Places, Reply, Slot, Unavailable},
    supervisor::Child,
};
use shares::Shares;
use thread::{End, Slice, Thread, Work};
use turns::{Turn, Turns};

pub use shares::Place;

/// What a worker computes first: the base analysis, or in fault tests something that misbehaves.
pub type Compute = dyn Fn(&Inputs, &CancellationToken) -> Result<BaseAnalysis, Failure> + Send + Sync;

/// The engine's base analysis.
pub fn base_analysis() -> Arc<Compute> {
    Arc::new(|inputs, _| engine::analyse(inputs, &mut engine::Plain))
}

/// The size of the pool.
#[derive(Clone)]
pub struct Settings {
    /// Calculations at once.
    pub threads: usize,
    /// Calculations that may wait.
    pub queue: usize,
    /// How long one may take on its thread, all its slices together.
    pub deadline: Duration,
    /// What is computed.
    pub compute: Arc<Compute>,
}

/// A handle on the calculation pool.
#[derive(Clone)]
pub struct Calculations {
    slot: Slot<FactoryMessage<Turn, Task>>,
    shares: Shares,
    capacity: usize,
    waiting: Ongoing,
    running: Ongoing,
}

/// Told when a calculation leaves the queue, and after each of its slices.
pub type OnProgress = Box<dyn Fn(Progress) + Send>;

impl Calculations {
    /// The handle and the actor behind it.
    pub fn new(settings: &Settings, context: &Context) -> (Self, Child) {
        let capacity = settings.threads + settings.queue;
        // No deadline at the slot: a place in the queue is worth waiting in, and the worker bounds
        // the calculation itself.
        let slot = Slot::new("calculations", capacity, Duration::MAX);
        let shares = Shares::of(capacity);
        let (waiting, running) = (Ongoing::default(), Ongoing::default());
        let builder = Builder { settings: settings.clone(), context: context.clone(), running: running.clone() };
        let child = Child::new(slot.clone(), move || (ThreadFactory::default(), arguments(&builder)));
        (Self { slot, shares, capacity, waiting, running }, child)
    }

    /// A place for one calculation, or the word that all are taken, or all that one user may have.
    pub fn admit(&self, user: UserId) -> Result<Place, Unavailable> {
        let share = self.shares.take(user).ok_or(self.slot.full())?;
        Ok(Place { permit: self.slot.reserve()?, share: Some(share) })
    }

    /// A place for a calculation that was accepted before, perhaps by another process.
    pub async fn admit_when_free(&self) -> Result<Place, Unavailable> {
        Ok(Place { permit: self.slot.reserve_when_free().await?, share: None })
    }

    /// Calculates; ends early when `cancel` is cancelled.
    pub async fn run(
        &self,
        place: Place,
        order: Arc<Order>,
        cancel: CancellationToken,
        on_progress: Option<OnProgress>,
    ) -> Result<Outcome, Unavailable> {
        let kind = Kind::of(&order.analysis).as_str();
        let end = self.dispatch(place, (kind, Work::new(order)), cancel, on_progress).await?;
        Ok(end.and_then(|findings| findings.ok_or_else(panicked)))
    }

    /// Answers a question in small steps, the last of which gives the answer; others have their turn between them.
    pub async fn ask<T: Send + 'static>(
        &self,
        place: Place,
        cancel: CancellationToken,
        mut step: impl FnMut() -> Option<T> + Send + 'static,
    ) -> Result<Result<T, Failure>, Unavailable> {
        let (sender, mut answer) = oneshot::channel();
        let mut sender = Some(sender);
        let work = Work::Question(Box::new(move || {
            let Some(found) = step() else { return true };
            // Who does not wait any more does not want the answer.
            let _ = sender.take().map(|sender| sender.send(found));
            false
        }));
        let end = self.dispatch(place, ("question", work), cancel, None).await?;
        Ok(end.and_then(|_| answer.try_recv().map_err(|_| panicked())))
    }

    async fn dispatch(
        &self,
        place: Place,
        (kind, work): (&'static str, Work),
        cancel: CancellationToken,
        on_progress: Option<OnProgress>,
    ) -> Result<End, Unavailable> {
        let Place { permit, share } = place;
        let turn = Turn { user: share.as_ref().map(|share| share.user()), long: false };
        let (counted, span) = (self.waiting.begin(), Span::current());
        let task = |reply| Task { work, kind, counted, span, cancel, on_progress, spent: Duration::ZERO, reply };
        let answer =
            self.slot.call_reserved(permit, |reply| FactoryMessage::Dispatch(Job::new(turn, task(reply)))).await;
        drop(share);
        answer
    }

    /// Calculations that the pool holds at most, running and waiting.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Calculations that wait for a thread and have not begun.
    pub fn waiting(&self) -> &Ongoing {
        &self.waiting
    }

    /// Calculations that have begun and not ended.
    pub fn running(&self) -> &Ongoing {
        &self.running
    }

    /// How many calculations are admitted.
    pub fn places(&self) -> Places {
        self.slot.places()
    }

    /// Calculations that could be admitted now.
    pub fn free(&self) -> usize {
        self.slot.free()
    }
}

struct Task {
    work: Work,
    /// What is calculated, for the metrics.
    kind: &'static str,
    /// As what it counts: first as waiting, then as running.
    counted: Begun,
    /// What it is done for: entered on the thread.
    span: Span,
    cancel: CancellationToken,
    on_progress: Option<OnProgress>,
    /// How long it has been on a thread.
    spent: Duration,
    reply: Reply<End>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Task")
    }
}

type ThreadFactory = Factory<Turn, Task, (), ThreadWorker, QueuerRouting<Turn, Task>, Turns<Task>>;
type ThreadArguments = FactoryArguments<Turn, Task, (), ThreadWorker, QueuerRouting<Turn, Task>, Turns<Task>>;

fn arguments(builder: &Builder) -> ThreadArguments {
    FactoryArguments::builder()
        .worker_builder(Box::new(builder.clone()))
        .num_initial_workers(builder.settings.threads)
        .queue(Turns::default())
        .router(QueuerRouting::default())
        .build()
}

#[derive(Clone)]
struct Builder {
    settings: Settings,
    context: Context,
    running: Ongoing,
}

impl WorkerBuilder<ThreadWorker, ()> for Builder {
    fn build(&mut self, _: WorkerId) -> (ThreadWorker, ()) {
        (ThreadWorker(self.clone()), ())
    }
}

struct ThreadWorker(Builder);

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
        let Task { work, kind, mut counted, span, cancel, on_progress, spent, reply } = job.msg;
        if cancel.is_cancelled() || reply.is_abandoned() {
            reply.send(Err(cancelled()));
            return Ok(job.key);
        }
        self.0.context.pass("calculations");
        if let Some(on_progress) = &on_progress {
            on_progress(work.progress());
        }
        let own = match thread {
            Some(own) => own,
            None => thread.insert(Thread::spawn(Arc::clone(&self.0.settings.compute))?),
        };
        if !job.key.long {
            counted = self.0.running.begin();
        }
        let begun = Instant::now();
        let left = self.0.settings.deadline.saturating_sub(spent);
        let (slice, listens) = self.slice(own, (work, &span), &cancel, left).await;
        if !listens {
            *thread = None;
        }
        let spent = spent + begun.elapsed();
        match slice {
            Slice::Done(outcome) => {
                self.0.context.metrics.calculation.of(kind).record(spent);
                drop(counted);
                reply.send(*outcome);
            }
            Slice::More(work) => {
                if let Some(on_progress) = &on_progress {
                    on_progress(work.progress());
                }
                let turn = Turn { long: true, ..job.key };
                let rest = Task { work, kind, counted, span, cancel, on_progress, spent, reply };
                // A factory that is no more drops the rest, and its caller hears of it.
                let _ = factory.cast(FactoryMessage::Dispatch(Job::new(turn, rest)));
            }
        }
        Ok(job.key)
    }
}

/// How long a cancelled calculation has to notice.
const GRACE: Duration = Duration::from_millis(250);

impl ThreadWorker {
    /// One slice, and whether the thread can be used again.
    async fn slice(
        &self,
        thread: &Thread,
        (work, span): (Work, &Span),
        cancel: &CancellationToken,
        left: Duration,
    ) -> (Slice, bool) {
        // A child, so that a deadline ends the calculation without calling off the run.
        let inner = cancel.child_token();
        let mut slice = thread.submit(work, span.clone(), inner.clone());
        let first = tokio::select! {
            first = timeout(left, &mut slice) => first,
            () = cancel.cancelled() => {
                let listens = timeout(GRACE, slice).await.is_ok_and(|end| end.is_ok());
                return (Slice::failed(cancelled()), listens);
            }
        };
        match first {
            Ok(Ok(slice)) => (slice, true),
            Ok(Err(_)) => (Slice::failed(panicked()), false),
            Err(_) => {
                inner.cancel();
                let listens = timeout(GRACE, slice).await.is_ok_and(|end| end.is_ok());
                (Slice::failed(too_long(self.0.settings.deadline)), listens)
            }
        }
    }
}

fn cancelled() -> Failure {
    Failure::new("run.cancelled", "the calculation was called off")
}

fn panicked() -> Failure {
    Failure::new("engine.panicked", "the engine met a defect of its own; the inputs are kept for its developers")
}

fn too_long(deadline: Duration) -> Failure {
    Failure::new("run.deadline_exceeded", format!("the calculation took longer than {} s", deadline.as_secs_f64()))
}
