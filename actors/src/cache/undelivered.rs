//! Invalidations that Redis has not confirmed yet.
//!
//! A key that is marked here is not read from Redis, so that nobody in this process sees a value that
//! this process has invalidated, however long Redis is away. The marks belong to the handle: they
//! outlive the actor.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What an invalidation names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Key(String),
    All,
}

/// Keys remembered one by one; beyond, everything is invalidated instead.
const MOST: usize = 10_000;

/// The marks, numbered in the order they were made.
#[derive(Default)]
pub(super) struct Undelivered(Mutex<Marks>);

#[derive(Default)]
struct Marks {
    last: u64,
    keys: HashMap<String, Mark>,
    all: Option<Mark>,
}

struct Mark {
    number: u64,
    on_its_way: bool,
}

impl Undelivered {
    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks `target` before its invalidation is sent; the number tells it from a later one.
    pub fn mark(&self, target: &Target) -> u64 {
        let marks = &mut *self.marks();
        marks.last += 1;
        let mark = Mark { number: marks.last, on_its_way: false };
        match target {
            Target::Key(key) if marks.keys.len() < MOST || marks.keys.contains_key(key) => {
                marks.keys.insert(key.clone(), mark);
            }
            Target::Key(_) | Target::All => {
                marks.keys.clear();
                marks.all = Some(mark);
            }
        }
        marks.last
    }

    /// The number of the newest mark.
    pub fn newest(&self) -> u64 {
        self.marks().last
    }

    /// Whether `key` is marked with a number above `since`.
    pub fn covers_since(&self, key: &str, since: u64) -> bool {
        let marks = self.marks();
        let newer = |mark: &Mark| mark.number > since;
        marks.all.as_ref().is_some_and(newer) || marks.keys.get(key).is_some_and(newer)
    }

    /// Whether `key` is marked.
    pub fn covers(&self, key: &str) -> bool {
        self.covers_since(key, 0)
    }

    /// How many marks there are.
    pub fn len(&self) -> usize {
        let marks = self.marks();
        marks.keys.len() + usize::from(marks.all.is_some())
    }

    /// Says that the delivery of this mark begins.
    pub fn begin(&self, target: &Target, number: u64) {
        self.marks().with(target, number, |mark| mark.on_its_way = true);
    }

    /// Says that the delivery failed: it is to be tried again.
    pub fn fail(&self, target: &Target, number: u64) {
        self.marks().with(target, number, |mark| mark.on_its_way = false);
    }

    /// Removes the mark, unless a later one took its place.
    pub fn settle(&self, target: &Target, number: u64) {
        let marks = &mut *self.marks();
        match target {
            Target::Key(key) if marks.keys.get(key).is_some_and(|mark| mark.number == number) => {
                marks.keys.remove(key);
            }
            Target::All if marks.all.as_ref().is_some_and(|mark| mark.number == number) => marks.all = None,
            _ => {}
        }
    }

    /// The marks that nobody is delivering.
    pub fn waiting(&self) -> Vec<(Target, u64)> {
        let marks = self.marks();
        let keys = marks.keys.iter().map(|(key, mark)| (Target::Key(key.clone()), mark));
        let all = marks.all.iter().map(|mark| (Target::All, mark));
        let waiting = keys.chain(all).filter(|(_, mark)| !mark.on_its_way);
        waiting.map(|(target, mark)| (target, mark.number)).collect()
    }
}

impl Marks {
    fn with(&mut self, target: &Target, number: u64, change: impl FnOnce(&mut Mark)) {
        let mark = match target {
            Target::Key(key) => self.keys.get_mut(key),
            Target::All => self.all.as_mut(),
        };
        if let Some(mark) = mark.filter(|mark| mark.number == number) {
            change(mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Target {
        Target::Key(name.to_owned())
    }

    #[test]
    fn a_later_mark_outlives_the_delivery_of_an_earlier_one() {
        let marks = Undelivered::default();
        let (first, second) = (marks.mark(&key("a")), marks.mark(&key("a")));
        marks.settle(&key("a"), first);
        assert!(marks.covers("a"));
        marks.settle(&key("a"), second);
        assert!(!marks.covers("a"));
    }

    #[test]
    fn a_load_that_began_after_the_mark_is_not_covered() {
        let marks = Undelivered::default();
        let before = marks.newest();
        marks.mark(&key("a"));
        assert!(marks.covers_since("a", before));
        assert!(!marks.covers_since("a", marks.newest()));
    }

    #[test]
    fn too_many_keys_become_everything() {
        let marks = Undelivered::default();
        for n in 0..=MOST {
            marks.mark(&key(&n.to_string()));
        }
        assert_eq!(marks.len(), 1);
        assert!(marks.covers("any"));
    }

    #[test]
    fn what_is_on_its_way_is_not_waiting_until_it_fails() {
        let marks = Undelivered::default();
        let number = marks.mark(&Target::All);
        marks.begin(&Target::All, number);
        assert_eq!(marks.waiting(), []);
        marks.fail(&Target::All, number);
        assert_eq!(marks.waiting(), [(Target::All, number)]);
    }
}
