//! The thresholds that operators watch. The alerts in `grafana/` have the same; a test compares them.

use safire_actors::{cache::Health, database::Stats};
use serde::Serialize;
use utoipa::ToSchema;

use crate::pace::{Paced, SLOW, VERY_SLOW};

/// Connections checked out of the database's pool, more than which is worth a look …
pub const POOL_WARNING: usize = 15;

/// … and so many of which are too many.
pub const POOL_CRITICAL: usize = 20;

/// Memory of Redis, in bytes, more than which is worth a look.
pub const REDIS_MEMORY_WARNING: u64 = 100_000_000;

/// The share of requests that may be slow: the 95th percentile is what counts.
const SLOW_SHARE: f64 = 0.05;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth a look.
    Warning,
    /// Users notice.
    Critical,
}

/// A figure that is beyond its threshold.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Breach {
    /// What it is about.
    #[schema(example = "database.pool.checked_out")]
    figure: &'static str,
    level: Level,
    /// The figure.
    #[schema(example = 17.0)]
    value: f64,
    /// What it should not be beyond.
    #[schema(example = 15.0)]
    threshold: f64,
    #[schema(example = "connections")]
    unit: &'static str,
}

/// All that is beyond its threshold, the worst of each figure.
pub(crate) fn breaches(pool: Stats, cache: &Health, pace: Paced) -> Vec<Breach> {
    [checked_out(pool), waiters(pool), redis(cache), response_time(pace)].into_iter().flatten().collect()
}

fn checked_out(pool: Stats) -> Option<Breach> {
    let (level, threshold) = match pool.checked_out {
        POOL_CRITICAL.. => (Level::Critical, POOL_CRITICAL),
        n if n > POOL_WARNING => (Level::Warning, POOL_WARNING),
        _ => return None,
    };
    let (value, threshold) = (pool.checked_out as f64, threshold as f64);
    Some(Breach { figure: "database.pool.checked_out", level, value, threshold, unit: "connections" })
}

fn waiters(pool: Stats) -> Option<Breach> {
    let value = pool.waiters as f64;
    let figure = "database.pool.waiters";
    (pool.waiters > 0).then_some(Breach { figure, level: Level::Critical, value, threshold: 0.0, unit: "jobs" })
}

fn redis(cache: &Health) -> Option<Breach> {
    let redis = cache.redis.as_ref()?;
    if !redis.is_up() {
        let (figure, level) = ("redis.connections", Level::Critical);
        return Some(Breach { figure, level, value: 0.0, threshold: 1.0, unit: "connections" });
    }
    let used = redis.stats.as_ref()?.memory_used;
    let (figure, value, threshold) = ("redis.memory_used", used as f64, REDIS_MEMORY_WARNING as f64);
    (used > REDIS_MEMORY_WARNING).then_some(Breach { figure, level: Level::Warning, value, threshold, unit: "bytes" })
}

fn response_time(pace: Paced) -> Option<Breach> {
    let beyond = |count: u64| count as f64 > pace.all as f64 * SLOW_SHARE;
    let (level, count, limit) = match pace {
        Paced { very_slow, .. } if beyond(very_slow) => (Level::Critical, very_slow, VERY_SLOW),
        Paced { slow, .. } if beyond(slow) => (Level::Warning, slow, SLOW),
        _ => return None,
    };
    let unit = if limit == SLOW { "share of requests over 0.5 s" } else { "share of requests over 1 s" };
    let value = count as f64 / pace.all as f64;
    Some(Breach { figure: "http.slow_requests", level, value, threshold: SLOW_SHARE, unit })
}

#[cfg(test)]
mod tests {
    use safire_actors::cache::{CircuitState, RedisHealth, RedisStats};

    use super::*;

    const FINE: Health = Health { backend: "in-process", redis: None };

    fn levels(breaches: &[Breach]) -> Vec<(&'static str, Level, f64)> {
        breaches.iter().map(|breach| (breach.figure, breach.level, breach.threshold)).collect()
    }

    #[test]
    fn connections_warn_beyond_fifteen_and_are_critical_from_twenty_or_when_jobs_wait() {
        let of = |checked_out, waiters| {
            let pool = Stats { checked_out, waiters, ..Stats::default() };
            levels(&breaches(pool, &FINE, Paced::default()))
        };
        let figure = "database.pool.checked_out";
        assert_eq!(of(15, 0), []);
        assert_eq!(of(16, 0), [(figure, Level::Warning, 15.0)]);
        assert_eq!(of(19, 0), [(figure, Level::Warning, 15.0)]);
        assert_eq!(of(20, 0), [(figure, Level::Critical, 20.0)]);
        assert_eq!(of(3, 1), [("database.pool.waiters", Level::Critical, 0.0)]);
    }

    #[test]
    fn redis_warns_beyond_its_memory_and_is_critical_when_it_is_away() {
        let of = |circuit, memory_used| {
            let stats = Some(RedisStats { memory_used, ..RedisStats::default() });
            let redis = RedisHealth { host: String::new(), port: 0, circuit, undelivered: 0, stats };
            let health = Health { backend: "redis", redis: Some(redis) };
            levels(&breaches(Stats::default(), &health, Paced::default()))
        };
        assert_eq!(of(CircuitState::Closed, 100_000_000), []);
        assert_eq!(of(CircuitState::Closed, 100_000_001), [("redis.memory_used", Level::Warning, 1e8)]);
        assert_eq!(of(CircuitState::Open, 0), [("redis.connections", Level::Critical, 1.0)]);
    }

    #[test]
    fn one_slow_request_in_twenty_may_be() {
        let of = |slow, very_slow| {
            let pace = Paced { all: 100, slow, very_slow };
            levels(&breaches(Stats::default(), &FINE, pace))
        };
        assert_eq!(of(5, 5), []);
        assert_eq!(of(6, 5), [("http.slow_requests", Level::Warning, 0.05)]);
        assert_eq!(of(6, 6), [("http.slow_requests", Level::Critical, 0.05)]);
    }
}
