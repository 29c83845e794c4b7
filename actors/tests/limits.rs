//! Rate limits that are shared through Redis, on the server that `REDIS_URL` names.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use futures::future::join_all;
use redis::{AsyncCommands, aio::MultiplexedConnection};
use safire_actors::limits::{RateLimit, RateStore, RedisRates, Rule, Shared, Subject};
use safire_domain::UserId;
use safire_test_support::now;

const ONE: NonZeroU32 = NonZeroU32::MIN;

fn url() -> String {
    std::env::var("REDIS_URL").expect("REDIS_URL names a Redis: run ./test")
}

fn rule(burst: u32, window: Duration) -> Rule {
    Rule { name: "test", burst: NonZeroU32::new(burst).unwrap(), window }
}

fn somebody() -> Subject {
    Subject::User(UserId::new(now()))
}

fn store() -> RedisRates<redis::aio::ConnectionManager> {
    RedisRates::connect(url()).unwrap()
}

async fn connection() -> MultiplexedConnection {
    redis::Client::open(url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test]
#[ignore = "needs Redis: run ./test"]
async fn redis_decides_like_the_process_alone() {
    let rule = rule(5, Duration::from_secs(60));
    let (shared, alone) = (store(), RateLimit::new(rule, None));
    let (subject, begun) = (somebody(), Instant::now());
    for _ in 0..7 {
        let there = shared.take(&rule, subject, ONE).await.unwrap();
        let here = alone.take(subject).await;
        assert_eq!((there.allowed, there.remaining), (here.allowed, here.remaining));
        let apart = there.retry_after.abs_diff(here.retry_after);
        // They were asked one after the other.
        assert!(apart <= begun.elapsed() + Duration::from_secs(1), "{there:?}, {here:?}");
    }
    assert!(shared.take(&rule, somebody(), ONE).await.unwrap().allowed);
}

#[tokio::test]
#[ignore = "needs Redis: run ./test"]
async fn what_costs_more_takes_more_in_redis_as_in_the_process_alone() {
    let rule = rule(100, Duration::from_secs(3600));
    let (shared, alone, subject) =
        (RateLimit::new(rule, Some(Shared::new(store()))), RateLimit::new(rule, None), somebody());
    shared.take(somebody()).await; // connects
    for units in [40, 59, 2, 1, 1] {
        let units = NonZeroU32::new(units).unwrap();
        let (there, here) = (shared.take_units(subject, units).await, alone.take_units(subject, units).await);
        assert_eq!((there.allowed, there.remaining), (here.allowed, here.remaining), "{units}");
    }
}

#[tokio::test]
#[ignore = "needs Redis: run ./test"]
async fn one_more_is_allowed_after_the_wait_that_was_told() {
    let rule = rule(3, Duration::from_secs(6));
    let (store, subject) = (store(), somebody());
    let refused = loop {
        let decision = store.take(&rule, subject, ONE).await.unwrap();
        if !decision.allowed {
            break decision;
        }
    };
    assert!(refused.retry_after <= Duration::from_secs(2), "{refused:?}");
    tokio::time::sleep(refused.retry_after + Duration::from_millis(2)).await;
    assert!(store.take(&rule, subject, ONE).await.unwrap().allowed);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn replicas_that_ask_at_once_share_one_count() {
    let rule = rule(10, Duration::from_secs(3600));
    let replicas: Vec<_> = (0..4).map(|_| RateLimit::new(rule, Some(Shared::new(store())))).collect();
    let subject = somebody();
    for replica in &replicas {
        replica.take(somebody()).await; // connects
    }
    let takes = (0..100).map(|n| replicas[n % 4].take(subject));
    let allowed = join_all(takes).await.into_iter().filter(|decision| decision.allowed).count();
    assert_eq!(allowed, 10);
}

#[tokio::test]
#[ignore = "needs Redis: run ./test"]
async fn garbage_under_the_key_is_put_right() {
    let rule = rule(2, Duration::from_secs(60));
    let (store, subject) = (store(), somebody());
    let key = format!("safire:limit:test:{subject}");
    let mut redis = connection().await;
    for garbage in ["rubbish", "1e300", "nan", "-5", ""] {
        let () = redis.set(&key, garbage).await.unwrap();
        let first = store.take(&rule, subject, ONE).await.unwrap();
        assert!(first.retry_after <= Duration::from_secs(60), "{garbage}: {first:?}");
    }
    let () = redis.del(&key).await.unwrap();
    let () = redis.lpush(&key, "a list").await.unwrap();
    assert!(store.take(&rule, subject, ONE).await.unwrap().allowed);
    let left: i64 = redis.pttl(&key).await.unwrap();
    assert!((1..=30_000).contains(&left), "{left}");
}

#[tokio::test]
async fn without_a_redis_this_process_decides() {
    let rule = rule(2, Duration::from_secs(3600));
    let limit = RateLimit::new(rule, Some(Shared::new(RedisRates::connect("redis://127.0.0.1:1").unwrap())));
    let subject = somebody();
    let mut allowed = Vec::new();
    for _ in 0..3 {
        allowed.push(limit.take(subject).await.allowed);
    }
    assert_eq!(allowed, [true, true, false]);
}
