//! An analysis under way: chunks that can be worked on side by side, merged in their order.

use std::any::Any;
use std::collections::BTreeMap;

use super::result::AnalysisResult;
use crate::failure::Failure;

/// The code of a [`Failure`] of a job that lost a chunk.
pub const UNFINISHED: &str = "analysis.unfinished";

/// How far an analysis is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Evaluations of the base analysis done.
    pub done: u64,
    /// Evaluations in all.
    pub total: u64,
    /// What is being done.
    pub stage: &'static str,
}

/// A piece of an analysis that depends on no other piece of its stage. Any thread may work on it.
pub struct Chunk {
    number: u64,
    work: Box<dyn Work>,
}

impl Chunk {
    /// Works for well below a millisecond. Says whether there is more to do.
    pub fn step(&mut self) -> bool {
        self.work.step()
    }

    /// Evaluations of the base analysis that this chunk has done.
    pub fn done(&self) -> u64 {
        self.work.done()
    }
}

/// What a chunk does.
pub(crate) trait Work: Any + Send {
    /// A slice of the work; whether there is more.
    fn step(&mut self) -> bool;

    /// Evaluations done.
    fn done(&self) -> u64;
}

/// The stages of an analysis: chunks of a stage are independent, a stage begins when the one before is merged.
pub(crate) trait Stages: Send {
    /// What is being done.
    fn stage(&self) -> &'static str;

    /// Evaluations in all.
    fn total(&self) -> u64;

    /// The next chunk of the present stage, if there is one left.
    fn next(&mut self) -> Option<Box<dyn Work>>;

    /// Takes a finished chunk in; they come in the order of [`next`](Self::next).
    fn merge(&mut self, work: Box<dyn Any>);

    /// Whether the last stage is merged.
    fn is_done(&self) -> bool;

    /// The result, once done.
    fn finish(self: Box<Self>) -> Result<AnalysisResult, Failure>;
}

/// An analysis under way.
///
/// One thread alone calls [`step`](Self::step) until [`is_done`](Self::is_done). Several threads share the job
/// behind a lock: each takes a chunk, works on it outside the lock, and gives it back. However many they are and in
/// whichever order they give back, the result has the same bytes. To cancel, drop the job between two steps.
pub struct Job {
    stages: Box<dyn Stages>,
    taken: u64,
    merged: u64,
    done: u64,
    /// Chunks that were given back before their turn.
    early: BTreeMap<u64, Chunk>,
    current: Option<Chunk>,
}

impl Job {
    pub(crate) fn new(stages: impl Stages + 'static) -> Self {
        Self { stages: Box::new(stages), taken: 0, merged: 0, done: 0, early: BTreeMap::new(), current: None }
    }

    /// A chunk to work on. None while the rest of a stage is with other threads, and when the analysis is done.
    pub fn take(&mut self) -> Option<Chunk> {
        let work = self.stages.next()?;
        let number = self.taken;
        self.taken += 1;
        Some(Chunk { number, work })
    }

    /// Takes a chunk back, finished or not: what is left of it is done here.
    pub fn give(&mut self, mut chunk: Chunk) {
        while chunk.step() {}
        self.early.insert(chunk.number, chunk);
        while let Some(next) = self.early.remove(&self.merged) {
            self.done += next.done();
            self.merged += 1;
            self.stages.merge(next.work);
        }
    }

    /// Works for well below a millisecond, and says how far the analysis is.
    pub fn step(&mut self) -> Progress {
        if let Some(mut chunk) = self.current.take().or_else(|| self.take()) {
            if chunk.step() {
                self.current = Some(chunk);
            } else {
                self.give(chunk);
            }
        }
        self.progress()
    }

    /// How far the analysis is.
    pub fn progress(&self) -> Progress {
        let current = self.current.as_ref().map_or(0, Chunk::done);
        Progress { done: self.done + current, total: self.stages.total(), stage: self.stages.stage() }
    }

    /// Whether all is done and only [`finish`](Self::finish) is left.
    pub fn is_done(&self) -> bool {
        self.stages.is_done()
    }

    /// Does what is left to do, and answers.
    ///
    /// Fails where no sample has a result, where a summary of them is too large to be a number, and where a chunk that
    /// was taken has not been given back.
    pub fn finish(mut self) -> Result<AnalysisResult, Failure> {
        while let Some(chunk) = self.current.take().or_else(|| self.take()) {
            self.give(chunk);
        }
        if !self.is_done() {
            return Err(Failure::new(UNFINISHED, "a part of the analysis was taken and not given back"));
        }
        self.stages.finish()
    }
}
