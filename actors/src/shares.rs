//! How many places of a queue one who asks may have, so that there is always one for somebody else.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::limits::Subject;

/// The places that those who ask have.
#[derive(Debug, Clone)]
pub(crate) struct Shares {
    taken: Arc<Mutex<HashMap<Subject, usize>>>,
    most: usize,
}

impl Shares {
    /// Of more than a few places, one may have three quarters.
    pub fn of(places: usize) -> Self {
        Self { taken: Arc::default(), most: places - places / 4 }
    }

    /// One more place for them, unless they have as many as they may.
    pub fn take(&self, who: Subject) -> Option<Share> {
        let mut all = self.lock();
        let taken = all.entry(who).or_default();
        if *taken == self.most {
            return None;
        }
        *taken += 1;
        Some(Share { shares: self.clone(), who })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that counts as theirs until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Shares,
    who: Subject,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.shares.lock();
        if let Some(taken) = all.get_mut(&self.who) {
            *taken -= 1;
            if *taken == 0 {
                all.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use safire_domain::UserId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn one_leaves_a_quarter_to_others_and_may_come_again() {
        let [ana, bob] = [1, 2].map(|number| Subject::User(UserId::from(Uuid::from_u128(number))));
        let shares = Shares::of(8);
        let mut taken: Vec<_> = (0..6).map(|_| shares.take(ana).expect("a place")).collect();
        assert!(shares.take(ana).is_none());
        assert!(shares.take(bob).is_some());
        taken.pop();
        assert!(shares.take(ana).is_some());
        drop(taken);
        assert!(shares.lock().is_empty());
    }

    #[test]
    fn of_few_places_one_may_have_all() {
        let shares = Shares::of(2);
        let taken = [(); 2].map(|()| shares.take(Subject::User(UserId::from(Uuid::nil()))));
        assert!(taken.iter().all(Option::is_some));
    }
}
