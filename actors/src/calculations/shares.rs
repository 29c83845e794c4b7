//! How many places one user may have, so that there is always one for somebody else.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use safire_domain::UserId;

use crate::slot::Permit;

/// The places that users have.
#[derive(Clone)]
pub(super) struct Shares {
    taken: Arc<Mutex<HashMap<UserId, usize>>>,
    most: usize,
}

impl Shares {
    /// Of more than a few places, one user may have three quarters.
    pub fn of(places: usize) -> Self {
        Self { taken: Arc::default(), most: places - places / 4 }
    }

    /// One more place for that user, unless they have as many as they may.
    pub fn take(&self, user: UserId) -> Option<Share> {
        let mut all = self.lock();
        let taken = all.entry(user).or_default();
        if *taken == self.most {
            return None;
        }
        *taken += 1;
        Some(Share { shares: self.clone(), user })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that counts as the user's until it is dropped.
pub(super) struct Share {
    shares: Shares,
    user: UserId,
}

impl Share {
    pub fn user(&self) -> UserId {
        self.user
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.shares.lock();
        if let Some(taken) = all.get_mut(&self.user) {
            *taken -= 1;
            if *taken == 0 {
                all.remove(&self.user);
            }
        }
    }
}

/// A place for one calculation.
pub struct Place {
    pub(super) permit: Permit,
    pub(super) share: Option<Share>,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn one_user_leaves_a_quarter_to_others_and_may_come_again() {
        let [ana, bob] = [1, 2].map(|number| UserId::from(Uuid::from_u128(number)));
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
    fn of_few_places_a_user_may_have_all() {
        let shares = Shares::of(2);
        let taken = [(); 2].map(|()| shares.take(UserId::from(Uuid::nil())));
        assert!(taken.iter().all(Option::is_some));
    }
}
