//! A thread that calculates, one slice after the other, at a lower priority than those that answer
//! requests.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use safire_domain::{
    engine::{Analysis, BaseAnalysis, Failure, Job, Progress},
    run::{Findings, Order},
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::{Compute, cancelled, panicked};
use crate::priority;

/// How long a calculation has a thread before others have their turn.
const SLICE: Duration = Duration::from_millis(8);

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

fn go_on(base: Box<BaseAnalysis>, mut job: Box<Job>, cancel: &CancellationToken) -> Slice {
    let until = Instant::now() + SLICE;
    while !job.is_done() {
        if cancel.is_cancelled() {
            return Slice::failed(cancelled());
        }
        if Instant::now() >= until {
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
    let until = Instant::now() + SLICE;
    while step() {
        if cancel.is_cancelled() {
            return Slice::failed(cancelled());
        }
        if Instant::now() >= until {
            return Slice::More(Work::Question(step));
        }
    }
    Slice::Done(Box::new(Ok(None)))
}

type Request = (Work, Span, CancellationToken, oneshot::Sender<Slice>);

/// A thread that ends when nobody can send more.
pub(super) struct Thread(mpsc::Sender<Request>);

impl Thread {
    pub fn spawn(compute: Arc<Compute>) -> std::io::Result<Self> {
        let (requests, inbox) = mpsc::channel::<Request>();
        std::thread::Builder::new().name("calculation".into()).spawn(move || {
            priority::yield_to_requests();
            for (work, span, cancel, reply) in inbox {
                // A panic is logged where it happens, and belongs to a run.
                let _within = span.enter();
                let slice = catch_unwind(AssertUnwindSafe(|| work.slice(&*compute, &cancel)));
                let _ = reply.send(slice.unwrap_or_else(|_| Slice::failed(panicked())));
            }
        })?;
        Ok(Self(requests))
    }

    pub fn submit(&self, work: Work, span: Span, cancel: CancellationToken) -> oneshot::Receiver<Slice> {
        let (reply, slice) = oneshot::channel();
        // A thread that is gone drops the request, and with it the reply: the receiver says so.
        let _ = self.0.send((work, span, cancel, reply));
        slice
    }
}
