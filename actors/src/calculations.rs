//! The calculation pool: a bounded factory whose workers each own a thread.
//!
//! A calculation is admitted before it is accepted ([`Calculations::admit`]), so that what was
//! accepted always finds room. On its thread it cannot hold up the requests; a panic in it fails
//! that calculation alone, and one that outlives its deadline is cancelled and, if it does not
//! listen, left behind with its thread.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    time::Duration,
};

use ractor::{
    ActorProcessingErr,
    factory::{
        Factory, FactoryArguments, FactoryMessage, FactoryRef, Job, Worker, WorkerBuilder, WorkerId,
        queues::DefaultQueue, routing::QueuerRouting,
    },
};
use safire_domain::{
    engine::{self, Failure, Inputs},
    run::Outcome,
};
use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    context::Context,
    slot::{Permit, Reply, Slot, Unavailable},
    supervisor::Child,
};

/// What a worker computes: the engine, or in fault tests something that misbehaves.
pub type Compute = dyn Fn(&Inputs, &CancellationToken) -> Outcome + Send + Sync;

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
    /// How long one may take.
    pub deadline: Duration,
    /// What is computed.
    pub compute: Arc<Compute>,
}

/// A handle on the calculation pool.
#[derive(Clone)]
pub struct Calculations {
    slot: Slot<FactoryMessage<(), Task>>,
    capacity: usize,
}

/// Told when a calculation leaves the queue.
pub type OnStart = Box<dyn FnOnce() + Send>;

impl Calculations {
    /// The handle and the actor behind it.
    pub fn new(settings: &Settings, context: &Context) -> (Self, Child) {
        let capacity = settings.threads + settings.queue;
        // No deadline at the slot: a place in the queue is worth waiting in, and the worker bounds
        // the calculation itself.
        let slot = Slot::new("calculations", capacity, Duration::MAX);
        let builder = Builder { settings: settings.clone(), context: context.clone() };
        let child = Child::new(slot.clone(), move || (ThreadFactory::default(), arguments(&builder)));
        (Self { slot, capacity }, child)
    }

    /// A place for one calculation, or the word that all are taken.
    pub fn admit(&self) -> Result<Permit, Unavailable> {
        self.slot.reserve()
    }

    /// A place for a calculation that was accepted before, perhaps by another process.
    pub async fn admit_when_free(&self) -> Result<Permit, Unavailable> {
        self.slot.reserve_when_free().await
    }

    /// Calculates; ends early when `cancel` is cancelled.
    pub async fn run(
        &self,
        permit: Permit,
        inputs: Arc<Inputs>,
        cancel: CancellationToken,
        on_start: Option<OnStart>,
    ) -> Result<Outcome, Unavailable> {
        let task = |reply| FactoryMessage::Dispatch(Job::new((), Task { inputs, cancel, on_start, reply }));
        self.slot.call_reserved(permit, task).await
    }

    /// Calculations that the pool holds at most, running and waiting.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Calculations that could be admitted now.
    pub fn free(&self) -> usize {
        self.slot.free()
    }
}

struct Task {
    inputs: Arc<Inputs>,
    cancel: CancellationToken,
    on_start: Option<OnStart>,
    reply: Reply<Outcome>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Task")
    }
}

type ThreadFactory = Factory<(), Task, (), ThreadWorker, QueuerRouting<(), Task>, DefaultQueue<(), Task>>;
type ThreadArguments = FactoryArguments<(), Task, (), ThreadWorker, QueuerRouting<(), Task>, DefaultQueue<(), Task>>;

fn arguments(builder: &Builder) -> ThreadArguments {
    FactoryArguments::builder()
        .worker_builder(Box::new(builder.clone()))
        .num_initial_workers(builder.settings.threads)
        .queue(DefaultQueue::default())
        .router(QueuerRouting::default())
        .build()
}

#[derive(Clone)]
struct Builder {
    settings: Settings,
    context: Context,
}

impl WorkerBuilder<ThreadWorker, ()> for Builder {
    fn build(&mut self, _: WorkerId) -> (ThreadWorker, ()) {
        (ThreadWorker(self.clone()), ())
    }
}

struct ThreadWorker(Builder);

impl Worker for ThreadWorker {
    type Key = ();
    type Message = Task;
    type Arguments = ();
    type State = Option<Thread>;

    async fn pre_start(
        &self,
        _: WorkerId,
        _: &FactoryRef<(), Task>,
        (): (),
    ) -> Result<Option<Thread>, ActorProcessingErr> {
        Ok(None)
    }

    async fn handle(
        &self,
        _: WorkerId,
        _: &FactoryRef<(), Task>,
        job: Job<(), Task>,
        thread: &mut Option<Thread>,
    ) -> Result<(), ActorProcessingErr> {
        let Task { inputs, cancel, on_start, reply } = job.msg;
        if cancel.is_cancelled() || reply.is_abandoned() {
            reply.send(Err(cancelled()));
            return Ok(());
        }
        self.0.context.pass("calculations");
        if let Some(on_start) = on_start {
            on_start();
        }
        let own = match thread {
            Some(own) => own,
            None => thread.insert(Thread::spawn(Arc::clone(&self.0.settings.compute))?),
        };
        let (outcome, listens) = self.compute(own, inputs, cancel).await;
        if !listens {
            *thread = None;
        }
        reply.send(outcome);
        Ok(())
    }
}

/// How long a cancelled calculation has to notice.
const GRACE: Duration = Duration::from_millis(250);

impl ThreadWorker {
    /// The outcome, and whether the thread can be used again.
    async fn compute(&self, thread: &Thread, inputs: Arc<Inputs>, cancel: CancellationToken) -> (Outcome, bool) {
        let deadline = self.0.settings.deadline;
        // A child, so that a deadline ends the calculation without calling off the run.
        let inner = cancel.child_token();
        let mut outcome = thread.submit(inputs, inner.clone());
        let first = tokio::select! {
            first = timeout(deadline, &mut outcome) => first,
            () = cancel.cancelled() => {
                return (Err(cancelled()), timeout(GRACE, outcome).await.is_ok_and(|end| end.is_ok()));
            }
        };
        match first {
            Ok(Ok(outcome)) => (outcome, true),
            Ok(Err(_)) => (Err(panicked()), false),
            Err(_) => {
                inner.cancel();
                let listens = timeout(GRACE, outcome).await.is_ok_and(|end| end.is_ok());
                (Err(too_long(deadline)), listens)
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

type Order = (Arc<Inputs>, CancellationToken, oneshot::Sender<Outcome>);

/// A thread that computes one order after the other and ends when nobody can send more.
struct Thread(mpsc::Sender<Order>);

impl Thread {
    fn spawn(compute: Arc<Compute>) -> std::io::Result<Self> {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::Builder::new().name("calculation".into()).spawn(move || {
            for (inputs, cancel, reply) in inbox {
                let outcome = catch_unwind(AssertUnwindSafe(|| compute(&inputs, &cancel)));
                let _ = reply.send(outcome.unwrap_or_else(|_| Err(panicked())));
            }
        })?;
        Ok(Self(orders))
    }

    fn submit(&self, inputs: Arc<Inputs>, cancel: CancellationToken) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        // A thread that is gone drops the order, and with it the reply: the receiver says so.
        let _ = self.0.send((inputs, cancel, reply));
        outcome
    }
}
