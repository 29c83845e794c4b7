//! Which worker calculates what: all of them what is short, and all but the quick one what is long.

use std::collections::HashMap;

use ractor::{
    ActorProcessingErr, Message,
    factory::{
        Job, WorkerId, WorkerProperties,
        routing::{RouteResult, Router},
    },
};

use super::turns::Turn;

/// Workers are numbered; those behind the first `long` take what is short only.
pub(super) struct Routing {
    long: usize,
}

impl Routing {
    pub fn of(long: usize) -> Self {
        Self { long }
    }

    fn may(&self, worker: WorkerId, turn: Turn) -> bool {
        !turn.long || worker < self.long
    }
}

impl<M: Message> Router<Turn, M> for Routing {
    fn route_message(
        &mut self,
        job: Job<Turn, M>,
        workers: usize,
        hint: Option<WorkerId>,
        pool: &mut HashMap<WorkerId, WorkerProperties<Turn, M>>,
    ) -> Result<RouteResult<Turn, M>, ActorProcessingErr> {
        let chosen = self.choose_target_worker(&job, workers, hint, pool);
        match chosen.and_then(|worker| pool.get_mut(&worker)) {
            Some(worker) => worker.enqueue_job(job).map(|()| RouteResult::Handled).map_err(Into::into),
            None => Ok(RouteResult::Backlog(job)),
        }
    }

    /// The worker that is free already, else the last, so that the quick one comes first where it may.
    fn choose_target_worker(
        &mut self,
        job: &Job<Turn, M>,
        workers: usize,
        hint: Option<WorkerId>,
        pool: &HashMap<WorkerId, WorkerProperties<Turn, M>>,
    ) -> Option<WorkerId> {
        let is_free = |worker: &WorkerId| pool.get(worker).is_some_and(WorkerProperties::is_available);
        hint.into_iter().chain((0..workers).rev()).find(|worker| self.may(*worker, job.key) && is_free(worker))
    }

    fn is_factory_queueing(&self) -> bool {
        true
    }

    /// Nothing is remembered of them.
    fn on_worker_availability_change(&mut self, _: WorkerId, _: bool) {}
}
