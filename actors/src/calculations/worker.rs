//! The workers of the pool: each gives slices of calculations to a thread of its own and waits for them.
//!
//! A slice is over in milliseconds. One that is not holds up nobody: the worker leaves it to its thread and
//! goes on with a new one. A thread that may never end is held back (`held_back`).

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
use tracing::{Instrument, Span};

use super::{
    OnProgress, Settings, cancelled,
    courtesy::{Courtesy, Due, REST},
    panicked,
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

/// After how long a worker does not wait for a slice any more that does not rest.
const SOON: Duration = Duration::from_millis(25);

/// How much more of a processor than that a slice has that may never end. On a machine that is too busy all of them
/// take long, but none has that much.
const STUCK: Duration = Duration::from_millis(25);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// How long a cancelled calculation has to notice.
const GRACE: Duration = Duration::from_millis(250);

// A slice that is over by then has noticed: see [`slice`].
const _: () = assert!(SOON.as_millis() + REST.as_millis() < GRACE.as_millis());

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
    pub courtesy: Courtesy,
}

impl Builder {
    fn thread(&self, priority: Priority) -> std::io::Result<Thread> {
        Thread::spawn(Arc::clone(&self.settings.compute), priority, self.courtesy.clone())
    }
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
            _ => self.builder.thread(self.priority)?,
        };
        let ends = Ends { turn, factory: factory.clone(), context: self.builder.context.clone() };
        let span = errand.span.clone();
        let mut slice = Box::pin(slice(&own, work, errand, self.builder.settings.deadline));
        let soon = if turn.long { SOON + REST } else { SOON };
        match timeout(soon, &mut slice).await {
            Ok(over) => {
                *thread = Some(own);
                ends.settle(over.what);
            }
            Err(_) => {
                let watched = async move {
                    ends.settle(watched(own, slice).await);
                };
                tokio::spawn(watched.instrument(span));
            }
        }
        Ok(turn)
    }
}

/// A slice that nobody waits for any more.
struct Over<T> {
    what: T,
    /// Whether its thread does nothing else any more.
    is_free: bool,
}

/// Waits for a slice that is not over soon. A thread that has calculated for too long is left behind, and so is one
/// that goes on when nobody waits for it any more.
async fn watched<T>(thread: Thread, mut slice: impl Future<Output = Over<T>> + Unpin) -> T {
    let mut until = None;
    loop {
        if let Ok(over) = timeout(LOOK, &mut slice).await {
            if !over.is_free {
                thread.leave_behind();
            }
            return over.what;
        }
        let Some(time) = thread.processor_time() else { continue };
        if time > *until.get_or_insert(time + STUCK) {
            thread.leave_behind();
            return slice.await.what;
        }
    }
}

/// What a slice has led to, and whom it was for. That it ends as soon as a worker expects it to means that the thread
/// is free again, since what is called off has longer than that to notice.
fn slice(
    thread: &Thread,
    work: Work,
    errand: Errand,
    deadline: Duration,
) -> impl Future<Output = Over<(Slice, Errand)>> + use<> {
    // A child, so that a deadline ends the calculation without calling off the run.
    let (inner, begun) = (errand.cancel.child_token(), Instant::now());
    let at = begun + deadline.saturating_sub(errand.spent);
    let mut slice = thread.submit(work, errand.span.clone(), inner.clone(), Due::at(at, deadline));
    async move {
        let end = tokio::select! {
            slice = &mut slice => Ok(slice.unwrap_or_else(|_| Slice::failed(panicked()))),
            () = tokio::time::sleep_until(at.into()) => Err(too_long(deadline)),
            () = errand.cancel.cancelled() => Err(cancelled()),
        };
        let (slice, is_free) = match end {
            Ok(slice) => (slice, true),
            Err(failure) => {
                inner.cancel();
                (Slice::failed(failure), timeout(GRACE, slice).await.is_ok())
            }
        };
        Over { what: (slice, Errand { spent: errand.spent + begun.elapsed(), ..errand }), is_free }
    }
}

/// Where a slice leads.
struct Ends {
    turn: Turn,
    factory: FactoryRef<Turn, Task>,
    context: Context,
}

impl Ends {
    fn settle(self, (slice, errand): (Slice, Errand)) {
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{
        fs,
        sync::atomic::{AtomicU64, Ordering},
    };

    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        calculations::{base_analysis, held_back},
        priority::system,
    };

    /// What ends within that is not stuck.
    const PATIENCE: Duration = Duration::from_secs(30);

    async fn eventually(what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < PATIENCE, "never {what}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A slice that goes on until it is told to end.
    struct Endless {
        rounds: Arc<AtomicU64>,
        watched: tokio::task::JoinHandle<()>,
        id: system::Thread,
    }

    const END: u64 = u64::MAX / 2;

    impl Endless {
        /// Watched until it ends, or called off at once, which it does not notice.
        async fn begin(round: fn(), called_off: bool) -> Self {
            let thread = Thread::spawn(base_analysis(), Priority::Long, Courtesy::of(1)).unwrap();
            let (rounds, (told, asked)) = (Arc::new(AtomicU64::new(0)), oneshot::channel());
            let (counted, mut told) = (Arc::clone(&rounds), Some(told));
            let step = move || {
                let _ = told.take().map(|told| told.send(uapi::gettid()));
                while counted.fetch_add(1, Ordering::Relaxed) < END {
                    round();
                }
                false
            };
            let (step, cancel) = (Work::Question(Box::new(step)), CancellationToken::new());
            let slice = thread.submit(step, Span::none(), cancel, Due::at(Instant::now(), PATIENCE));
            let id = asked.await.unwrap();
            let slice = async move {
                if called_off {
                    return Over { what: (), is_free: false };
                }
                assert!(matches!(slice.await, Ok(Slice::Done(_))));
                Over { what: (), is_free: true }
            };
            Self { rounds, watched: tokio::spawn(watched(thread, Box::pin(slice))), id }
        }

        /// What number 19 of proc_pid_stat(5) says.
        fn niceness(&self) -> i32 {
            let stat = fs::read_to_string(format!("/proc/self/task/{}/stat", self.id)).unwrap();
            stat.split_once("(calculation) ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()
        }

        async fn does(&self, more: u64) {
            let until = self.rounds.load(Ordering::Relaxed) + more;
            eventually("done", || self.rounds.load(Ordering::Relaxed) >= until).await;
        }

        async fn end(self) {
            self.rounds.store(END, Ordering::Relaxed);
            self.watched.await.unwrap();
        }
    }

    fn spin() {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(10) {
            std::hint::spin_loop();
        }
    }

    async fn held_back_are(count: usize) {
        eventually("so many held back", || held_back::count() == count).await;
    }

    /// One test: what is held back is counted for the whole process.
    #[tokio::test]
    async fn what_may_never_end_is_held_back_and_nothing_else() {
        // A machine that is busy gives it little of the processor, as waiting does.
        let waits = Endless::begin(|| std::thread::sleep(LOOK), false).await;
        waits.does(40).await;
        assert_eq!((held_back::count(), waits.niceness()), (0, 10));
        let spins = Endless::begin(spin, false).await;
        held_back_are(1).await;
        assert_eq!((waits.niceness(), spins.niceness()), (10, 19));
        waits.end().await;

        let all = [spins, Endless::begin(spin, true).await, Endless::begin(spin, false).await];
        held_back_are(all.len()).await;
        let time = || all.iter().map(|one| system::processor_time(one.id).unwrap()).sum::<Duration>();
        let (before, begun) = (time(), Instant::now());
        // Each has its turns.
        for one in &all {
            one.does(100).await;
        }
        tokio::time::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed())).await;
        let part = (time() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
        // A fortieth; on a busy machine they are told late.
        assert!(part < 0.2, "they have {part:.2} of a processor");
        for one in all {
            one.end().await;
        }
        held_back_are(0).await;
    }
}
