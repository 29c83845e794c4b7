//! How often somebody may do something.
//!
//! A [`RateLimit`] is one rule, such as five logins a minute, and the count of everybody it applies
//! to. Counts are exact in this process; where replicas share a Redis, they are exact among all of
//! them. A Redis that is slow or away never fails a request: the decision is then this process's own.
//!
//! The algorithm is GCRA, a leaky bucket that keeps one number a subject: `burst` at once, then one
//! more every `window / burst`. There is no actor in front: the counts are a sharded map, a decision
//! takes less than a message, and a restart must not forget who was refused.

mod redis;
mod shared;

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};
use safire_domain::UserId;

pub use redis::{GCRA, RedisRates};
pub use shared::{Away, RateStore, Shared};

/// Whose requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Everybody at an address.
    Address(IpAddr),
    /// A user.
    User(UserId),
}

impl Subject {
    /// The subject of an address: an IPv6 client commands a whole /64.
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            v4 => v4,
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "ip:{address}"),
            Self::User(user) => write!(f, "user:{user}"),
        }
    }
}

/// A rule: so many in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// What it is called, to clients and in Redis.
    pub name: &'static str,
    /// How many.
    pub burst: NonZeroU32,
    /// In how much time.
    pub window: Duration,
}

impl Rule {
    /// The time after which one more is allowed.
    pub fn interval(&self) -> Duration {
        self.window / self.burst.get()
    }
}

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// How many more may be done at once.
    pub remaining: u32,
    /// When to ask again after a refusal.
    pub retry_after: Duration,
}

type Counts<C> = RateLimiter<Subject, DashMapStateStore<Subject>, C, StateInformationMiddleware>;

/// One rule, and the counts of its subjects.
pub struct RateLimit<C: Clock = MonotonicClock> {
    rule: Rule,
    clock: C,
    counts: Counts<C>,
    taken: AtomicU64,
    shared: Option<Shared>,
}

/// After how many decisions the counts of those who are no longer near their limit are dropped.
const SWEEP: u64 = 4096;

impl RateLimit {
    /// A limit by this process's monotonic clock.
    pub fn new(rule: Rule, shared: Option<Shared>) -> Self {
        Self::with_clock(rule, shared, MonotonicClock)
    }
}

impl<C: Clock + Clone> RateLimit<C> {
    fn with_clock(rule: Rule, shared: Option<Shared>, clock: C) -> Self {
        let interval = rule.interval().max(Duration::from_nanos(1));
        let quota = Quota::with_period(interval).unwrap_or(Quota::per_second(rule.burst)).allow_burst(rule.burst);
        let counts = RateLimiter::dashmap_with_clock(quota, clock.clone()).with_middleware();
        Self { rule, clock, counts, taken: AtomicU64::new(0), shared }
    }

    /// The rule.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Counts one for the subject, if the rule allows it.
    pub async fn take(&self, subject: Subject) -> Decision {
        self.take_units(subject, NonZeroU32::MIN).await
    }

    /// Counts so many for the subject, if the rule allows it; what costs more than all costs all.
    pub async fn take_units(&self, subject: Subject, units: NonZeroU32) -> Decision {
        let units = units.min(self.rule.burst);
        if let Some(shared) = &self.shared
            && let Some(decision) = shared.take(&self.rule, subject, units).await
        {
            return decision;
        }
        self.take_here(subject, units)
    }

    fn take_here(&self, subject: Subject, units: NonZeroU32) -> Decision {
        if self.taken.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.counts.retain_recent();
        }
        // There is never more asked for than the burst.
        match self.counts.check_key_n(&subject, units).unwrap_or_else(|_| self.counts.check_key(&subject)) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                Decision { allowed: true, remaining, retry_after: Duration::ZERO }
            }
            Err(refused) => {
                let retry_after = refused.wait_time_from(self.clock.now());
                Decision { allowed: false, remaining: 0, retry_after }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn five_a_minute() -> Rule {
        Rule { name: "login", burst: NonZeroU32::new(5).unwrap(), window: Duration::from_secs(60) }
    }

    fn address(text: &str) -> Subject {
        Subject::address(text.parse().unwrap())
    }

    #[tokio::test]
    async fn a_burst_passes_and_then_one_more_every_interval() {
        let clock = FakeRelativeClock::default();
        let limit = RateLimit::with_clock(five_a_minute(), None, clock.clone());
        let ana = address("192.0.2.1");
        for remaining in (0..5).rev() {
            assert_eq!(limit.take(ana).await, Decision { allowed: true, remaining, retry_after: Duration::ZERO });
        }
        let refused = Decision { allowed: false, remaining: 0, retry_after: Duration::from_secs(12) };
        assert_eq!(limit.take(ana).await, refused);
        assert!(limit.take(address("192.0.2.2")).await.allowed);
        clock.advance(Duration::from_secs(11));
        assert_eq!(limit.take(ana).await.retry_after, Duration::from_secs(1));
        clock.advance(Duration::from_secs(1));
        assert!(limit.take(ana).await.allowed);
        assert!(!limit.take(ana).await.allowed);
        clock.advance(Duration::from_secs(60));
        for _ in 0..5 {
            assert!(limit.take(ana).await.allowed);
        }
        assert!(!limit.take(ana).await.allowed);
    }

    #[tokio::test]
    async fn what_costs_more_takes_more_and_never_more_than_all() {
        let clock = FakeRelativeClock::default();
        let limit = RateLimit::with_clock(five_a_minute(), None, clock.clone());
        let ana = address("192.0.2.1");
        let units = |units: u32| NonZeroU32::new(units).unwrap();
        assert_eq!(limit.take_units(ana, units(3)).await.remaining, 2);
        let refused = limit.take_units(ana, units(3)).await;
        assert_eq!((refused.allowed, refused.retry_after), (false, Duration::from_secs(12)));
        assert_eq!(limit.take_units(ana, units(2)).await.remaining, 0);
        clock.advance(Duration::from_secs(60));
        assert!(limit.take_units(ana, units(1000)).await.allowed, "all of it is enough");
        assert!(!limit.take(ana).await.allowed);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_thousand_at_once_are_counted_exactly() {
        let limit = std::sync::Arc::new(RateLimit::with_clock(five_a_minute(), None, FakeRelativeClock::default()));
        let takes = (0..1000).map(|_| {
            let limit = limit.clone();
            tokio::spawn(async move { limit.take(address("192.0.2.1")).await.allowed })
        });
        let mut allowed = 0;
        for take in futures::future::join_all(takes).await {
            allowed += u32::from(take.unwrap());
        }
        assert_eq!(allowed, 5);
    }

    #[tokio::test]
    async fn who_is_far_from_the_limit_is_forgotten_and_who_is_not_is_kept() {
        let clock = FakeRelativeClock::default();
        let limit = RateLimit::with_clock(five_a_minute(), None, clock.clone());
        for n in 0..SWEEP - 2 {
            limit.take(Subject::Address(IpAddr::V4((n as u32).into()))).await;
        }
        clock.advance(Duration::from_secs(120));
        for _ in 0..5 {
            limit.take(address("192.0.2.1")).await;
        }
        assert!(limit.counts.len() < 10, "{}", limit.counts.len());
        assert!(!limit.take(address("192.0.2.1")).await.allowed);
    }

    #[test]
    fn an_ipv6_client_is_its_network_and_a_mapped_address_is_ipv4() {
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:2"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_eq!(address("192.0.2.1").to_string(), "ip:192.0.2.1");
    }
}
