//! Jobs go to the free worker with the lowest number, so that under little load few connections are in
//! use, and those beyond the kept ones fall idle.

use std::collections::{BTreeSet, HashMap};

use ractor::{
    ActorProcessingErr,
    factory::{
        Job, WorkerId, WorkerProperties,
        routing::{RouteResult, Router},
    },
};

use super::{Key, work::Work};

/// The workers believed to be free.
#[derive(Default)]
pub(super) struct LowestFirst(BTreeSet<WorkerId>);

impl Router<Key, Work> for LowestFirst {
    fn route_message(
        &mut self,
        job: Job<Key, Work>,
        pool_size: usize,
        hint: Option<WorkerId>,
        workers: &mut HashMap<WorkerId, WorkerProperties<Key, Work>>,
    ) -> Result<RouteResult<Key, Work>, ActorProcessingErr> {
        let chosen = self.choose_target_worker(&job, pool_size, hint, workers);
        match chosen.and_then(|id| workers.get_mut(&id)) {
            Some(worker) => {
                worker.enqueue_job(job)?;
                Ok(RouteResult::Handled)
            }
            None => Ok(RouteResult::Backlog(job)),
        }
    }

    fn choose_target_worker(
        &mut self,
        _: &Job<Key, Work>,
        _: usize,
        hint: Option<WorkerId>,
        workers: &HashMap<WorkerId, WorkerProperties<Key, Work>>,
    ) -> Option<WorkerId> {
        let is_free = |id: &WorkerId| workers.get(id).is_some_and(WorkerProperties::is_available);
        if let Some(hinted) = hint.filter(is_free) {
            self.0.remove(&hinted);
            return Some(hinted);
        }
        std::iter::from_fn(|| self.0.pop_first()).find(is_free)
    }

    fn is_factory_queueing(&self) -> bool {
        true
    }

    fn on_worker_availability_change(&mut self, id: WorkerId, available: bool) {
        if available {
            self.0.insert(id);
        } else {
            self.0.remove(&id);
        }
    }
}
