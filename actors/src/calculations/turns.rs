//! Whose turn it is: short calculations before long ones, and users one after the other, however much
//! each of them asks for.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use ractor::{
    Message,
    factory::{DiscardHandler, Job, queues::Queue},
};
use safire_domain::UserId;

/// What a place in the queue depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Turn {
    /// Who asked; nobody for a run that was taken over.
    pub user: Option<UserId>,
    /// Whether it has had a slice already and wants more.
    pub long: bool,
}

/// The calculations that wait for a thread.
pub(super) struct Turns<M: Message> {
    short: Lane<M>,
    long: Lane<M>,
}

impl<M: Message> Default for Turns<M> {
    fn default() -> Self {
        Self { short: Lane::default(), long: Lane::default() }
    }
}

/// Users in the order of their turns, each with what they wait for.
struct Lane<M: Message> {
    order: VecDeque<Option<UserId>>,
    waiting: HashMap<Option<UserId>, VecDeque<Job<Turn, M>>>,
    length: usize,
}

impl<M: Message> Default for Lane<M> {
    fn default() -> Self {
        Self { order: VecDeque::new(), waiting: HashMap::new(), length: 0 }
    }
}

impl<M: Message> Lane<M> {
    fn push(&mut self, job: Job<Turn, M>) {
        let user = job.key.user;
        let waiting = self.waiting.entry(user).or_default();
        if waiting.is_empty() {
            self.order.push_back(user);
        }
        waiting.push_back(job);
        self.length += 1;
    }

    /// The first job of the user whose turn it is, who then waits behind all others.
    fn pop(&mut self) -> Option<Job<Turn, M>> {
        let user = self.order.pop_front()?;
        let waiting = self.waiting.get_mut(&user)?;
        let job = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&user);
        } else {
            self.order.push_back(user);
        }
        self.length -= usize::from(job.is_some());
        job
    }

    fn peek(&self) -> Option<&Job<Turn, M>> {
        self.waiting.get(self.order.front()?)?.front()
    }
}

impl<M: Message> Queue<Turn, M> for Turns<M> {
    fn len(&self) -> usize {
        self.short.length + self.long.length
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn pop_front(&mut self) -> Option<Job<Turn, M>> {
        self.short.pop().or_else(|| self.long.pop())
    }

    fn discard_oldest(&mut self) -> Option<Job<Turn, M>> {
        self.pop_front()
    }

    fn peek(&self) -> Option<&Job<Turn, M>> {
        self.short.peek().or_else(|| self.long.peek())
    }

    fn push_back(&mut self, job: Job<Turn, M>) {
        if job.key.long { self.long.push(job) } else { self.short.push(job) }
    }

    /// None expires: a place in the queue is worth waiting in.
    fn remove_expired_items(&mut self, _: &Option<Arc<dyn DiscardHandler<Turn, M>>>) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(user: Option<UserId>, long: bool, number: u32) -> Job<Turn, u32> {
        Job::new(Turn { user, long }, number)
    }

    fn order(jobs: impl IntoIterator<Item = Job<Turn, u32>>) -> Vec<u32> {
        let mut turns = Turns::default();
        jobs.into_iter().for_each(|job| turns.push_back(job));
        let length = turns.len();
        let order: Vec<_> = std::iter::from_fn(|| {
            let next = turns.peek().map(|job| job.msg);
            let job = turns.pop_front().map(|job| job.msg);
            assert_eq!(job, next);
            job
        })
        .collect();
        assert_eq!((order.len(), turns.is_empty()), (length, true));
        order
    }

    #[test]
    fn a_users_storm_does_not_hold_up_anothers_single_request() {
        let (ana, bob) = (Some(UserId::from(uuid(1))), Some(UserId::from(uuid(2))));
        let storm = (0..5).map(|n| job(ana, false, n));
        let order = order(storm.chain([job(bob, false, 10), job(None, false, 20), job(bob, false, 11)]));
        assert_eq!(order, [0, 10, 20, 1, 11, 2, 3, 4]);
    }

    #[test]
    fn what_is_short_comes_before_what_is_long() {
        let ana = Some(UserId::from(uuid(1)));
        let bob = Some(UserId::from(uuid(2)));
        let jobs = [job(ana, true, 0), job(ana, true, 1), job(bob, true, 2), job(ana, false, 3), job(bob, false, 4)];
        assert_eq!(order(jobs), [3, 4, 0, 2, 1]);
    }

    fn uuid(number: u128) -> uuid::Uuid {
        uuid::Uuid::from_u128(number)
    }
}
