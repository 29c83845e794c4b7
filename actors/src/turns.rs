//! Whose turn it is: those who ask are served one after the other, however much each of them asks for.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use ractor::{
    Message,
    factory::{DiscardHandler, DiscardReason, Job, JobKey, queues::Queue},
};

use crate::limits::Subject;

/// What a job's place in a queue depends on.
pub(crate) trait Asked: JobKey {
    /// Who asked; nobody for what the service does of its own accord.
    fn by(&self) -> Option<Subject>;
}

impl Asked for Option<Subject> {
    fn by(&self) -> Option<Subject> {
        *self
    }
}

/// Those who ask in the order of their turns, each with what they wait for.
pub(crate) struct Lane<K: Asked, M: Message> {
    order: VecDeque<Option<Subject>>,
    waiting: HashMap<Option<Subject>, VecDeque<Job<K, M>>>,
    length: usize,
}

impl<K: Asked, M: Message> Default for Lane<K, M> {
    fn default() -> Self {
        Self { order: VecDeque::new(), waiting: HashMap::new(), length: 0 }
    }
}

impl<K: Asked, M: Message> Queue<K, M> for Lane<K, M> {
    fn len(&self) -> usize {
        self.length
    }

    fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The first job of the one whose turn it is, who then waits behind all others.
    fn pop_front(&mut self) -> Option<Job<K, M>> {
        let who = self.order.pop_front()?;
        let waiting = self.waiting.get_mut(&who)?;
        let job = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&who);
        } else {
            self.order.push_back(who);
        }
        self.length -= usize::from(job.is_some());
        job
    }

    fn discard_oldest(&mut self) -> Option<Job<K, M>> {
        self.pop_front()
    }

    fn peek(&self) -> Option<&Job<K, M>> {
        self.waiting.get(self.order.front()?)?.front()
    }

    fn push_back(&mut self, job: Job<K, M>) {
        let who = job.key.by();
        let waiting = self.waiting.entry(who).or_default();
        if waiting.is_empty() {
            self.order.push_back(who);
        }
        waiting.push_back(job);
        self.length += 1;
    }

    fn remove_expired_items(&mut self, discard: &Option<Arc<dyn DiscardHandler<K, M>>>) -> usize {
        let before = self.length;
        for jobs in self.waiting.values_mut() {
            jobs.retain_mut(|job| {
                let is_expired = job.is_expired();
                if is_expired && let Some(discard) = discard {
                    discard.discard(DiscardReason::TtlExpired, job);
                }
                !is_expired
            });
        }
        self.waiting.retain(|_, jobs| !jobs.is_empty());
        self.order.retain(|who| self.waiting.contains_key(who));
        self.length = self.waiting.values().map(VecDeque::len).sum();
        before - self.length
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr},
        sync::Mutex,
        time::Duration,
    };

    use ractor::factory::JobOptions;
    use safire_domain::UserId;
    use uuid::Uuid;

    use super::*;

    type Key = Option<Subject>;

    fn user(number: u128) -> Key {
        Some(Subject::User(UserId::from(Uuid::from_u128(number))))
    }

    fn all(mut lane: Lane<Key, u32>) -> Vec<u32> {
        let length = lane.len();
        let order: Vec<_> = std::iter::from_fn(|| {
            let next = lane.peek().map(|job| job.msg);
            let job = lane.pop_front().map(|job| job.msg);
            assert_eq!(job, next);
            job
        })
        .collect();
        assert_eq!((order.len(), lane.is_empty()), (length, true));
        order
    }

    #[test]
    fn a_storm_of_one_does_not_hold_up_anothers_single_request() {
        let mut lane = Lane::default();
        (0..5).for_each(|n| lane.push_back(Job::new(user(1), n)));
        let stranger = Some(Subject::address(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        for (key, n) in [(user(2), 10), (None, 20), (stranger, 30), (user(2), 11)] {
            lane.push_back(Job::new(key, n));
        }
        assert_eq!(all(lane), [0, 10, 20, 30, 1, 11, 2, 3, 4]);
    }

    #[derive(Default)]
    struct Discarded(Mutex<Vec<u32>>);

    impl DiscardHandler<Key, u32> for Discarded {
        fn discard(&self, reason: DiscardReason, job: &mut Job<Key, u32>) {
            assert!(matches!(reason, DiscardReason::TtlExpired));
            self.0.lock().unwrap().push(job.msg);
        }
    }

    #[test]
    fn what_has_waited_for_too_long_is_discarded_and_takes_no_turn() {
        let mut lane = Lane::default();
        for (key, n, ttl) in [(user(1), 0, 0), (user(2), 1, 0), (user(2), 2, 60), (user(3), 3, 60)] {
            lane.push_back(Job::with_options(key, n, JobOptions::new(Some(Duration::from_secs(ttl)))));
        }
        let discarded = Arc::new(Discarded::default());
        let handler: Arc<dyn DiscardHandler<Key, u32>> = discarded.clone();
        assert_eq!(lane.remove_expired_items(&Some(handler)), 2);
        let mut gone = discarded.0.lock().unwrap().clone();
        gone.sort_unstable();
        assert_eq!(gone, [0, 1]);
        assert_eq!(all(lane), [2, 3]);
    }
}
