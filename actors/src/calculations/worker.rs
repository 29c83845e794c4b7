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

/// How much more of a processor than that a slice has that may never end. On a machine that is too busy all of them
/// take long, but none has that much.
const STUCK: Duration = Duration::from_millis(25);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(5);

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
                    let (slice, errand) = watched(own, slice).await;
                    ends.settle(slice, errand);
                });
            }
        }
        Ok(turn)
    }
}

/// Waits for a slice that is not over soon. A thread that has calculated for too long is left behind.
async fn watched<E>(thread: Thread, mut slice: impl Future<Output = E> + Unpin) -> E {
    let mut until = None;
    loop {
        if let Ok(end) = timeout(LOOK, &mut slice).await {
            return end;
        }
        let Some(time) = thread.processor_time() else { continue };
        if time > *until.get_or_insert(time + STUCK) {
            thread.be_left_behind();
            return slice.await;
        }
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{
        fs,
        path::Path,
        sync::atomic::{AtomicU32, Ordering},
    };

    use super::*;
    use crate::calculations::base_analysis;

    /// What a thread that calculates counts: how many processors it may have, and its niceness.
    type Standing = (u32, i32);

    fn standings() -> Vec<Standing> {
        let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
        tasks.filter_map(|task| standing(&fs::read_to_string(task.join("stat")).ok()?, &task)).collect()
    }

    fn standing(stat: &str, task: &Path) -> Option<Standing> {
        let fields: Vec<_> = stat.split_once("(calculation) ")?.1.split(' ').collect();
        // Number 19 of proc_pid_stat(5), of which the first two are cut off.
        Some((processors(task)?, fields[16].parse().ok()?))
    }

    fn processors(task: &Path) -> Option<u32> {
        let status = fs::read_to_string(task.join("status")).ok()?;
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed:\t"))?;
        Some(allowed.chars().filter_map(|digit| digit.to_digit(16)).map(u32::count_ones).sum())
    }

    /// A slice that goes on for `rounds`, and what its thread counts in the end.
    async fn after(rounds: u32, round: fn()) -> Vec<Standing> {
        let thread = Thread::spawn(base_analysis(), Priority::Long).unwrap();
        let gone = Arc::new(AtomicU32::new(0));
        let (step, seen) = (Arc::clone(&gone), Arc::clone(&gone));
        let step = move || {
            while step.fetch_add(1, Ordering::Relaxed) < rounds {
                round();
            }
            // Held until it has been looked at.
            while step.load(Ordering::Relaxed) < u32::MAX {
                std::thread::sleep(Duration::from_millis(1));
            }
            false
        };
        let slice = thread.submit(Work::Question(Box::new(step)), Span::none(), CancellationToken::new());
        let watched = tokio::spawn(watched(thread, slice));
        while seen.load(Ordering::Relaxed) <= rounds {
            tokio::time::sleep(LOOK).await;
        }
        let found = standings();
        seen.store(u32::MAX, Ordering::Relaxed);
        assert!(matches!(watched.await.unwrap(), Ok(Slice::Done(_))));
        while !standings().is_empty() {
            tokio::time::sleep(LOOK).await;
        }
        found
    }

    #[tokio::test]
    async fn only_a_thread_that_calculates_for_long_is_left_behind() {
        let spin = || {
            let begun = Instant::now();
            while begun.elapsed() < LOOK {
                std::hint::spin_loop();
            }
        };
        // A machine that is busy gives it little of the processor, as waiting does.
        let all = processors(Path::new("/proc/self")).unwrap();
        assert_eq!(after(40, || std::thread::sleep(LOOK)).await, [(all, 10)]);
        assert_eq!(after(400, spin).await, [(1, 19)]);
    }
}
