//! The base analysis as a job of one step.

use std::any::Any;

use super::job::{Stages, UNFINISHED, Work};
use super::result::AnalysisResult;
use crate::base::{BaseAnalysis, analyse};
use crate::failure::Failure;
use crate::inputs::Inputs;
use crate::trace::Plain;

/// The base analysis, not yet begun, with a worker, or done.
pub(crate) enum BaseStage {
    Waiting(Box<Inputs>),
    Taken,
    Done(Result<Box<BaseAnalysis>, Failure>),
}

struct BaseWork {
    inputs: Box<Inputs>,
    result: Option<Result<Box<BaseAnalysis>, Failure>>,
}

impl Work for BaseWork {
    fn step(&mut self) -> bool {
        self.result.get_or_insert_with(|| analyse(&self.inputs, &mut Plain).map(Box::new));
        false
    }

    fn done(&self) -> u64 {
        self.result.is_some().into()
    }
}

impl Stages for BaseStage {
    fn stage(&self) -> &'static str {
        if self.is_done() { "done" } else { "base" }
    }

    fn total(&self) -> u64 {
        1
    }

    fn next(&mut self) -> Option<Box<dyn Work>> {
        if !matches!(self, Self::Waiting(_)) {
            return None;
        }
        match std::mem::replace(self, Self::Taken) {
            Self::Waiting(inputs) => Some(Box::new(BaseWork { inputs, result: None })),
            Self::Taken | Self::Done(_) => None,
        }
    }

    fn merge(&mut self, work: Box<dyn Any>) {
        let result = work.downcast::<BaseWork>().ok().and_then(|work| work.result);
        *self = Self::Done(result.unwrap_or_else(|| Err(unfinished())));
    }

    fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    fn finish(self: Box<Self>) -> Result<AnalysisResult, Failure> {
        match *self {
            Self::Done(result) => result.map(AnalysisResult::Base),
            Self::Waiting(_) | Self::Taken => Err(unfinished()),
        }
    }
}

fn unfinished() -> Failure {
    Failure::new(UNFINISHED, "the analysis was asked for its result before it was done")
}
