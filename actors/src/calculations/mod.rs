//! The calculation pool: a bounded factory whose workers each own a thread.
//!
//! A calculation is admitted before it is accepted ([`Calculations::admit`]), so that what was
//! accepted always finds room. On its thread it cannot hold up the requests; a panic in it fails
//! that calculation alone, and so does a deadline, whether it listens or not.
//!
//! A long analysis is calculated in slices. Between two of them others have their turn (`turns`), so
//! that many long analyses go on side by side. One worker takes no slices but the first (`routing`),
//! and none waits for a slice that is not over soon (`worker`): what is short waits for no other. While
//! somebody waits for it, and cores are few, what is long rests (`courtesy`).

mod courtesy;
mod held_back;
mod routing;
mod thread;
mod turns;
mod worker;

use std::{sync::Arc, time::Duration};

use ractor::factory::{FactoryMessage, Job};
use safire_domain::{
    UserId,
    engine::{self, BaseAnalysis, Failure, Inputs, Progress},
    run::{Kind, Order, Outcome},
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::{
    context::Context,
    limits::Subject,
    ongoing::Ongoing,
    shares::Shares,
    slot::{Permit, Places, Slot, Unavailable},
    supervisor::Child,
};
use courtesy::Courtesy;
pub use courtesy::Waiter;
use thread::{End, Work};
use turns::Turn;
use worker::{Builder, Errand, Task, ThreadFactory, arguments};

/// What a worker computes first: the base analysis, or in fault tests something that misbehaves.
pub type Compute = dyn Fn(&Inputs, &CancellationToken) -> Result<BaseAnalysis, Failure> + Send + Sync;

/// The engine's base analysis.
pub fn base_analysis() -> Arc<Compute> {
    Arc::new(|inputs, _| engine::analyse(inputs, &mut engine::Plain))
}

/// The size of the pool.
#[derive(Clone)]
pub struct Settings {
    /// Long calculations at once. There is one more thread, which only calculates what is short.
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
    courtesy: Courtesy,
}

/// A place for one calculation.
pub struct Place {
    permit: Permit,
    by: Option<Subject>,
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
        let (waiting, running, courtesy) = (Ongoing::default(), Ongoing::default(), Courtesy::of_this_machine());
        let builder = Builder {
            settings: settings.clone(),
            context: context.clone(),
            running: running.clone(),
            courtesy: courtesy.clone(),
        };
        let child = Child::new(slot.clone(), move || (ThreadFactory::default(), arguments(&builder)));
        (Self { slot, shares, capacity, waiting, running, courtesy }, child)
    }

    /// A place for one calculation, or the word that all are taken, or all that one user may have.
    pub fn admit(&self, user: UserId) -> Result<Place, Unavailable> {
        let who = Subject::User(user);
        Ok(Place { permit: self.slot.reserve_for(who, &self.shares)?, by: Some(who) })
    }

    /// A place for a calculation that was accepted before, perhaps by another process.
    pub async fn admit_when_free(&self) -> Result<Place, Unavailable> {
        Ok(Place { permit: self.slot.reserve_when_free().await?, by: None })
    }

    /// Somebody waits for a short calculation: where cores are few, long ones let them go first.
    pub fn waiter(&self) -> Waiter {
        self.courtesy.waiter()
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
        let Place { permit, by } = place;
        let turn = Turn { by, long: false };
        let (counted, span) = (self.waiting.begin(), Span::current());
        let task = |reply| {
            let errand = Errand { kind, counted, span, cancel, on_progress, spent: Duration::ZERO, reply };
            Task { work, errand }
        };
        self.slot.call_reserved(permit, |reply| FactoryMessage::Dispatch(Job::new(turn, task(reply)))).await
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

    /// Threads of this process that are left with a calculation that does not end.
    pub fn held_back(&self) -> usize {
        held_back::count()
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

fn cancelled() -> Failure {
    Failure::new("run.cancelled", "the calculation was called off")
}

fn panicked() -> Failure {
    Failure::new("engine.panicked", "the engine met a defect of its own; the inputs are kept for its developers")
}

fn too_long(deadline: Duration) -> Failure {
    Failure::new("run.deadline_exceeded", format!("the calculation took longer than {} s", deadline.as_secs_f64()))
}
