//! A thread that calculates, one slice after the other, at a lower priority than those that answer
//! requests.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use safire_domain::{
    engine::{Analysis, BaseAnalysis, Failure, Job, Progress},
    run::{Findings, Order},
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::{Compute, cancelled, held_back::hold_back, panicked};
use crate::priority::{Priority, system};

/// How long a calculation has a thread before others have their turn.
const SLICE: Duration = Duration::from_millis(8);

/// How long it keeps a core to itself. Without that, Linux lets a thread that answers requests wait for the end of a
/// tick, up to 4 ms, however low the priority of the one that calculates.
const CHANCE: Duration = Duration::from_micros(500);

/// A calculation, as far as it has come.
pub(super) enum Work {
    /// Not begun.
    New(Arc<Order>),
    /// The base analysis is done, and another is under way.
    Begun(Box<BaseAnalysis>, Box<Job>),
    /// A question of its own kind: each call is a step, and says whether there is more to do.
    Question(Box<dyn FnMut() -> bool + Send>),
}

/// How work ends. A question has sent its answer by a way of its own, and finds nothing.
pub(super) type End = Result<Option<Findings>, Failure>;

/// What a slice of work has led to.
pub(super) enum Slice {
    /// It has ended.
    Done(Box<End>),
    /// There is more to do.
    More(Work),
}

impl Slice {
    pub fn failed(failure: Failure) -> Self {
        Self::Done(Box::new(Err(failure)))
    }

    fn found(findings: Findings) -> Self {
        Self::Done(Box::new(Ok(Some(findings))))
    }
}

impl Work {
    pub fn new(order: Arc<Order>) -> Self {
        Self::New(order)
    }

    pub fn progress(&self) -> Progress {
        match self {
            Self::New(_) => Progress { done: 0, total: 1, stage: "base analysis" },
            Self::Begun(_, job) => job.progress(),
            Self::Question(_) => Progress { done: 0, total: 1, stage: "question" },
        }
    }

    fn slice(self, compute: &Compute, cancel: &CancellationToken) -> Slice {
        match self {
            Self::New(order) => begin(&order, compute, cancel).unwrap_or_else(Slice::failed),
            Self::Begun(base, job) => go_on(base, job, cancel),
            Self::Question(step) => answer(step, cancel),
        }
    }
}

fn begin(order: &Order, compute: &Compute, cancel: &CancellationToken) -> Result<Slice, Failure> {
    let base = compute(&order.inputs, cancel)?;
    if order.analysis == (Analysis::Base {}) {
        return Ok(Slice::found(Findings { base, analysis: None }));
    }
    let job = order.analysis.start(&order.inputs);
    let job = job.map_err(|invalid| Failure::new("run.inputs_invalid", invalid.to_string()))?;
    Ok(Slice::More(Work::Begun(Box::new(base), Box::new(job))))
}

/// Between two steps: whether the slice is over, and now and then a chance for other threads.
struct Pace {
    until: Instant,
    chance: Instant,
}

impl Pace {
    fn begin() -> Self {
        let now = Instant::now();
        Self { until: now + SLICE, chance: now + CHANCE }
    }

    fn is_over(&mut self) -> bool {
        let now = Instant::now();
        if now >= self.chance {
            self.chance = now + CHANCE;
            std::thread::yield_now();
        }
        now >= self.until
    }
}

fn go_on(base: Box<BaseAnalysis>, mut job: Box<Job>, cancel: &CancellationToken) -> Slice {
    let mut pace = Pace::begin();
    while !job.is_done() {
        if cancel.is_cancelled() {
            return Slice::failed(cancelled());
        }
        if pace.is_over() {
            return Slice::More(Work::Begun(base, job));
        }
        job.step();
    }
    match job.finish() {
        Ok(result) => Slice::found(Findings { base: *base, analysis: Some(result) }),
        Err(failure) => Slice::failed(failure),
    }
}

fn answer(mut step: Box<dyn FnMut() -> bool + Send>, cancel: &CancellationToken) -> Slice {
    let mut pace = Pace::begin();
    while step() {
        if cancel.is_cancelled() {
            return Slice::failed(cancelled());
        }
        if pace.is_over() {
            return Slice::More(Work::Question(step));
        }
    }
    Slice::Done(Box::new(Ok(None)))
}

type Request = (Work, Span, CancellationToken, oneshot::Sender<Slice>);

/// A thread that ends when nobody can send more.
pub(super) struct Thread {
    requests: mpsc::Sender<Request>,
    /// What the system calls it, once it has begun.
    id: Arc<OnceLock<system::Thread>>,
    handle: JoinHandle<()>,
}

impl Thread {
    pub fn spawn(compute: Arc<Compute>, priority: Priority) -> std::io::Result<Self> {
        let (requests, inbox) = mpsc::channel::<Request>();
        let id = Arc::<OnceLock<_>>::default();
        let own = Arc::clone(&id);
        let handle = std::thread::Builder::new().name("calculation".into()).spawn(move || {
            own.get_or_init(|| priority.of_this_thread());
            for (work, span, cancel, reply) in inbox {
                // A panic is logged where it happens, and belongs to a run.
                let _within = span.enter();
                let slice = catch_unwind(AssertUnwindSafe(|| work.slice(&*compute, &cancel)));
                let _ = reply.send(slice.unwrap_or_else(|_| Slice::failed(panicked())));
            }
        })?;
        Ok(Self { requests, id, handle })
    }

    /// Whether it takes slices. A panic outside a calculation ends it.
    pub fn is_there(&self) -> bool {
        !self.handle.is_finished()
    }

    /// For how long it has had a processor so far, where the system says it.
    pub fn processor_time(&self) -> Option<Duration> {
        system::processor_time(*self.id.get()?)
    }

    /// Leaves it with what it calculates; it ends with that.
    pub fn leave_behind(self) {
        tracing::warn!("a calculation does not come to an end; its thread is held back");
        if let Some(id) = self.id.get() {
            Priority::Endless.of(*id);
            hold_back(*id, self.handle);
        }
    }

    pub fn submit(&self, work: Work, span: Span, cancel: CancellationToken) -> oneshot::Receiver<Slice> {
        let (reply, slice) = oneshot::channel();
        // A thread that is gone drops the request, and with it the reply: the receiver says so.
        let _ = self.requests.send((work, span, cancel, reply));
        slice
    }
}
