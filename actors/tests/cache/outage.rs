//! Whatever becomes of Redis: no request fails, none waits long, and nobody reads what they replaced.

use futures::future::join_all;
use safire_test_support::TestRedis;

use super::*;

/// Reads many keys, known and new, again and again, until told to stop; every read must be answered
/// in time (see [`Replica::read`]).
fn readers(replica: &Arc<Replica>) -> (Arc<AtomicU32>, Vec<tokio::task::JoinHandle<u32>>) {
    let stop = Arc::new(AtomicU32::new(0));
    let readers = (0..8).map(|reader| {
        let (replica, stop) = (Arc::clone(replica), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut reads = 0;
            while stop.load(Ordering::SeqCst) == 0 {
                let key = format!("key-{}", reads % 50 + reader);
                assert_eq!(replica.read(&key, &key).await, key);
                if reads % 7 == 0 {
                    let begun = Instant::now();
                    replica.cache.invalidate(key).await.expect("answers");
                    assert!(begun.elapsed() < BUSY, "invalidated after {:?}", begun.elapsed());
                }
                reads += 1;
                tokio::task::yield_now().await;
            }
            reads
        })
    });
    let readers = readers.collect();
    (stop, readers)
}

async fn finish((stop, readers): (Arc<AtomicU32>, Vec<tokio::task::JoinHandle<u32>>)) {
    stop.store(1, Ordering::SeqCst);
    for reads in join_all(readers).await {
        assert!(reads.expect("every read is answered in time") > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn no_read_fails_or_waits_while_redis_is_frozen_killed_restarted_and_flushed() {
    let mut redis = TestRedis::start();
    let replica = Arc::new(Replica::on(&redis.url()).await);
    let work = readers(&replica);
    let degraded = || replica.cache.health().is_degraded();

    redis.stop();
    eventually("degraded when frozen", degraded).await;
    assert_eq!(replica.cache.redis_stats(), None);
    redis.cont();
    replica.is_connected().await;

    redis.kill();
    eventually("degraded when killed", degraded).await;
    redis.restart();
    replica.is_connected().await;

    redis.flush();
    let before = replica.cache.stats().await.unwrap().loads;
    eventually("everything told", || replica.cache.health().redis.is_some_and(|redis| redis.undelivered < 10)).await;
    finish(work).await;
    assert!(replica.cache.stats().await.unwrap().loads >= before);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn a_redis_that_is_not_there_costs_nothing() {
    let url = {
        let redis = TestRedis::start();
        redis.url()
    };
    let replica = Replica::toward(&url, LOCAL_TTL).await;
    assert_eq!(replica.read("key", "value").await, "value");
    assert_eq!(replica.read("key", "unused").await, "value");
    replica.cache.set("other", Bytes::from("set"), TTL).await.unwrap();
    assert_eq!(replica.cache.get("other").await.unwrap().unwrap(), "set");
    assert!(replica.cache.invalidate("key").await.unwrap());
    assert_eq!(replica.read("key", "new").await, "new");
    assert!(replica.cache.health().is_degraded());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_accepts_and_never_answers_slows_nobody() {
    let replica = Replica::toward(&tarpit().await, LOCAL_TTL).await;
    let begun = Instant::now();
    for n in 0..100 {
        let key = format!("key-{n}");
        assert_eq!(replica.read(&key, &key).await, key);
        replica.cache.invalidate(key).await.unwrap();
    }
    // Had each read waited for Redis, and each invalidation, it would be forty seconds.
    assert!(begun.elapsed() < 2 * BUSY, "{:?}", begun.elapsed());
    assert!(replica.cache.health().is_degraded());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn what_this_process_replaced_during_an_outage_is_not_read_when_redis_is_back() {
    for outage in ["frozen", "cut off"] {
        let redis = TestRedis::start();
        let gate = Gate::to(redis.port()).await;
        let replica = Replica::on(&gate.url).await;
        replica.read("key", "old").await;
        eventually("kept in redis", || redis.command("EXISTS safire:key") == ["1"]).await;

        match outage {
            "frozen" => redis.stop(),
            _ => drop(gate.cut.send(true)),
        }
        replica.cache.invalidate("key").await.unwrap();
        assert_eq!(replica.read("key", "new").await, "new", "{outage}");
        match outage {
            "frozen" => redis.cont(),
            _ => drop(gate.cut.send(false)),
        }
        replica.is_connected().await;
        let told = || replica.cache.health().redis.is_some_and(|redis| redis.undelivered == 0);
        eventually("told", told).await;
        let other = Replica::on(&redis.url()).await;
        assert_ne!(other.read("key", "newest").await, "old", "{outage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn what_redis_could_not_be_told_outlives_the_actor() {
    let redis = TestRedis::start();
    let replica = Replica::on(&redis.url()).await;
    replica.cache.set("key", Bytes::from("old"), TTL).await.unwrap();
    redis.stop();
    replica.cache.invalidate("key").await.unwrap();
    replica.trap.0.store(true, Ordering::SeqCst);
    assert!(replica.cache.stats().await.is_err(), "it panics");
    redis.cont();
    let begun = Instant::now();
    while replica.cache.stats().await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "it is not restarted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(replica.read("key", "new").await, "new");
    eventually("told", || replica.cache.health().redis.is_some_and(|redis| redis.undelivered == 0)).await;
    let other = Replica::on(&redis.url()).await;
    assert_ne!(other.read("key", "newest").await, "old");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn a_server_that_does_not_speak_tls_is_away_and_the_cache_works() {
    let redis = TestRedis::start();
    let replica = Replica::toward(&redis.url().replace("redis:", "rediss:"), LOCAL_TTL).await;
    assert_eq!(replica.read("key", "value").await, "value");
    assert_eq!(replica.cache.health().redis.unwrap().port, redis.port());
    let attempts = || redis.command("INFO stats")[0].lines().any(|line| line == "total_connections_received:0");
    eventually("tried again and again", || !attempts()).await;
    assert!(replica.cache.stats().await.is_ok() && replica.cache.health().is_degraded());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn garbage_in_redis_is_a_miss_and_is_replaced() {
    let redis = TestRedis::start();
    let garbage = [
        "SET safire:key notours",
        r#"SET safire:key "\xff\xfe\x00""#,
        r#"SET safire:key "safire1 5 0000000000000000\nvalue""#,
        r#"SET safire:key "safire1 400 d8c1""#,
        "LPUSH safire:key a b",
        "HSET safire:key a b",
        "LPUSH safire:key:lease a b",
    ];
    for garbage in garbage {
        let replica = Replica::on(&redis.url()).await;
        redis.flush();
        redis.command(garbage);
        assert_eq!(replica.read("key", "value").await, "value", "{garbage}");
        let other = Replica::on(&redis.url()).await;
        eventually("replaced", || redis.command("TYPE safire:key") == ["string"]).await;
        let begun = Instant::now();
        while other.cache.get("key").await.unwrap().is_none_or(|value| value != "value") {
            assert!(begun.elapsed() < PATIENCE, "{garbage}: is not replaced");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn a_dict_of_the_wrong_type_or_torn_is_a_miss_and_is_replaced() {
    let redis = TestRedis::start();
    let names = dict(&[("u-1", "Ana")]);
    for garbage in
        ["SET safire:users-dict text", r#"HSET safire:users-dict u "\xff\xfe""#, "SET safire:users-dict:json {"]
    {
        let replica = Replica::on(&redis.url()).await;
        redis.flush();
        redis.command(garbage);
        assert_eq!(replica.read_dict("users-dict", &names).await, r#"{"u-1":"Ana"}"#, "{garbage}");
        eventually("replaced", || redis.command("HGETALL safire:users-dict") == ["u-1", "Ana"]).await;
    }
}
