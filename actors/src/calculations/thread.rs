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

use super::{
    Compute, cancelled,
    courtesy::{Courtesy, Due, Need},
    held_back::hold_back,
    panicked,
};
use crate::priority::{Priority, system};

/// How long a calculation has a thread before others have their turn.
pub(super) const SLICE: Duration = Duration::from_millis(8);

/// How long it keeps a core to itself. Without that, Linux lets a thread that answers requests wait for the end of a
/// tick, up to 4 ms, however low the priority of the one that calculates.
const CHANCE: Duration = Duration::from_micros(500);

/// A calculation, as far as it has come.
pub(super) enum Work {
    /// Not begun.
    New(Arc<Order>),
    /// The base analysis is done, and another is under way.
    Begun(Box<Begun>),
    /// A question of its own kind: each call is a step, and says whether there is more to do.
    Question(Box<dyn FnMut() -> bool + Send>),
}

/// An analysis beside the base analysis.
pub(super) struct Begun {
    base: BaseAnalysis,
    job: Job,
    /// For how long it has been calculated, without its rests.
    took: Duration,
    /// For how much of that it had a processor.
    used: Duration,
}

impl Begun {
    /// Nothing is known before its first slice.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn need(&self) -> Need {
        let Progress { done, total, .. } = self.job.progress();
        let more = total.saturating_sub(done) as f64 / done.max(1) as f64;
        Need { time: self.took.as_secs_f64() * more, processor: self.used.as_secs_f64() * more }
    }
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
            Self::Begun(begun) => begun.job.progress(),
            Self::Question(_) => Progress { done: 0, total: 1, stage: "question" },
        }
    }

    fn slice(self, compute: &Compute, courtesy: &Courtesy, cancel: &CancellationToken, due: Due) -> Slice {
        match self {
            Self::New(order) => begin(&order, compute, cancel).unwrap_or_else(Slice::failed),
            Self::Begun(begun) => go_on(begun, courtesy, cancel, due),
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
    Ok(Slice::More(Work::Begun(Box::new(Begun { base, job, took: Duration::ZERO, used: Duration::ZERO }))))
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

fn go_on(mut begun: Box<Begun>, courtesy: &Courtesy, cancel: &CancellationToken, due: Due) -> Slice {
    let (mut pace, mut guest, used) = (Pace::begin(), courtesy.guest(), system::own_processor_time());
    while !begun.job.is_done() {
        if cancel.is_cancelled() {
            return Slice::failed(cancelled());
        }
        if guest.is_wanted_to_rest() && due.lets_rest(begun.need(), Instant::now()) {
            pace.until += guest.rest();
        }
        if pace.is_over() {
            begun.took += SLICE;
            begun.used += system::own_processor_time().saturating_sub(used);
            return Slice::More(Work::Begun(begun));
        }
        begun.job.step();
    }
    let Begun { base, job, .. } = *begun;
    match job.finish() {
        Ok(result) => Slice::found(Findings { base, analysis: Some(result) }),
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

/// Work, whom it is for, how it is called off, when it is due, and where it leads.
type Request = (Work, Span, CancellationToken, Due, oneshot::Sender<Slice>);

/// A thread that ends when nobody can send more.
pub(super) struct Thread {
    requests: mpsc::Sender<Request>,
    /// What the system calls it, once it has begun.
    id: Arc<OnceLock<system::Thread>>,
    handle: JoinHandle<()>,
}

impl Thread {
    pub fn spawn(compute: Arc<Compute>, priority: Priority, courtesy: Courtesy) -> std::io::Result<Self> {
        let (requests, inbox) = mpsc::channel::<Request>();
        let id = Arc::<OnceLock<_>>::default();
        let own = Arc::clone(&id);
        let handle = std::thread::Builder::new().name("calculation".into()).spawn(move || {
            own.get_or_init(|| priority.of_this_thread());
            for (work, span, cancel, due, reply) in inbox {
                // A panic is logged where it happens, and belongs to a run.
                let _within = span.enter();
                let slice = catch_unwind(AssertUnwindSafe(|| work.slice(&*compute, &courtesy, &cancel, due)));
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

    pub fn submit(&self, work: Work, span: Span, cancel: CancellationToken, due: Due) -> oneshot::Receiver<Slice> {
        let (reply, slice) = oneshot::channel();
        // A thread that is gone drops the request, and with it the reply: the receiver says so.
        let _ = self.requests.send((work, span, cancel, due, reply));
        slice
    }
}

#[cfg(test)]
mod tests {
    use safire_domain::{master_data::MasterData, run::Snapshot};

    use super::*;
    use crate::calculations::base_analysis;

    /// More samples than a test could wait for.
    fn long() -> Box<Begun> {
        let resolved = Snapshot::base(MasterData::seed().defaults[0].inputs.clone(), None).resolve().unwrap();
        let analysis = serde_json::json!({
            "analysis": "monte-carlo", "samples": 10_000_000, "metrics": ["npv"],
            "inputs": [{
                "input": "/products/jet/price", "unit": "USD/t",
                "distribution": { "kind": "normal", "mean": 3000, "standard_deviation": 300 },
            }],
        });
        let order = Order { inputs: resolved.inputs, analysis: serde_json::from_value(analysis).unwrap() };
        match begin(&order, &*base_analysis(), &CancellationToken::new()) {
            Ok(Slice::More(Work::Begun(begun))) => begun,
            _ => panic!("it has not begun"),
        }
    }

    /// A slice of it, and how long that took.
    fn slice(begun: Box<Begun>, courtesy: &Courtesy) -> (Box<Begun>, Duration) {
        let (from, day) = (Instant::now(), Duration::from_secs(86_400));
        match go_on(begun, courtesy, &CancellationToken::new(), Due::at(from + day, day)) {
            Slice::More(Work::Begun(begun)) => (begun, from.elapsed()),
            _ => panic!("it has ended"),
        }
    }

    #[test]
    fn a_slice_is_as_much_work_where_somebody_waits_and_keeps_a_quarter_of_the_time() {
        let courtesy = Courtesy::of(2);
        let _waiter = courtesy.waiter();
        let (begun, lasted) = slice(long(), &courtesy);
        assert!(begun.job.progress().done > 0);
        assert_eq!(begun.took, SLICE);
        assert!(lasted >= 4 * SLICE, "{lasted:?}");
    }

    #[test]
    fn what_it_needs_is_told_by_its_slices() {
        let (mut begun, _) = slice(long(), &Courtesy::of(2));
        for _ in 0..3 {
            begun = slice(begun, &Courtesy::of(2)).0;
        }
        let (Progress { done, total, .. }, need) = (begun.job.progress(), begun.need());
        let (done, total) = (u32::try_from(done).unwrap(), u32::try_from(total).unwrap());
        let time = (4 * SLICE).as_secs_f64() * f64::from(total - done) / f64::from(done);
        assert!((need.time / time - 1.0).abs() < 1e-9, "{need:?}, {time}");
        let known = cfg!(target_os = "linux");
        assert!((need.processor > 0.0 || !known) && need.processor <= 2.0 * time, "{need:?}");
    }
}
