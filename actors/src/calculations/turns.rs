//! Whose turn it is: short calculations before long ones.

use std::sync::Arc;

use ractor::{
    Message,
    factory::{DiscardHandler, Job, queues::Queue},
};

use crate::{
    limits::Subject,
    turns::{Asked, Lane},
};

/// What a place in the queue depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Turn {
    /// Who asked; nobody for a run that was taken over.
    pub by: Option<Subject>,
    /// Whether it has had a slice already and wants more.
    pub long: bool,
}

impl Asked for Turn {
    fn by(&self) -> Option<Subject> {
        self.by
    }
}

/// The calculations that wait for a thread.
pub(super) struct Turns<M: Message> {
    short: Lane<Turn, M>,
    long: Lane<Turn, M>,
}

impl<M: Message> Default for Turns<M> {
    fn default() -> Self {
        Self { short: Lane::default(), long: Lane::default() }
    }
}

impl<M: Message> Queue<Turn, M> for Turns<M> {
    fn len(&self) -> usize {
        self.short.len() + self.long.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn pop_front(&mut self) -> Option<Job<Turn, M>> {
        self.short.pop_front().or_else(|| self.long.pop_front())
    }

    fn discard_oldest(&mut self) -> Option<Job<Turn, M>> {
        self.pop_front()
    }

    fn peek(&self) -> Option<&Job<Turn, M>> {
        self.short.peek().or_else(|| self.long.peek())
    }

    fn push_back(&mut self, job: Job<Turn, M>) {
        if job.key.long { self.long.push_back(job) } else { self.short.push_back(job) }
    }

    /// None expires: a place in the queue is worth waiting in.
    fn remove_expired_items(&mut self, _: &Option<Arc<dyn DiscardHandler<Turn, M>>>) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use safire_domain::UserId;

    use super::*;

    #[test]
    fn what_is_short_comes_before_what_is_long() {
        let [ana, bob] = [1, 2].map(|number| Some(Subject::User(UserId::from(uuid::Uuid::from_u128(number)))));
        let mut turns = Turns::default();
        for (by, long, number) in [(ana, true, 0), (ana, true, 1), (bob, true, 2), (ana, false, 3), (bob, false, 4)] {
            turns.push_back(Job::new(Turn { by, long }, number));
        }
        assert_eq!(turns.len(), 5);
        let order: Vec<_> = std::iter::from_fn(|| {
            let next = turns.peek().map(|job| job.msg);
            let job = turns.pop_front().map(|job| job.msg);
            assert_eq!(job, next);
            job
        })
        .collect();
        assert_eq!((order.as_slice(), turns.is_empty()), ([3, 4, 0, 2, 1].as_slice(), true));
    }
}
