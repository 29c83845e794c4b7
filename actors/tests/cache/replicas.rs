//! Several processes on one Redis.

use safire_test_support::TestRedis;

use super::*;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn what_one_replica_loaded_another_reads_from_redis() {
    let redis = TestRedis::start();
    let (one, other) = (Replica::on(&redis.url()).await, Replica::on(&redis.url()).await);
    one.read("key", "value").await;
    eventually("kept in redis", || redis.command("EXISTS safire:key") == ["1"]).await;
    assert_eq!(other.read("key", "unused").await, "value");
    assert_eq!(other.loads(), 0);
    assert_eq!(other.cache.stats().await.unwrap().shared_hits, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn a_herd_on_a_key_that_only_redis_has_reads_it_once() {
    let redis = TestRedis::start();
    let (one, other) = (Replica::on(&redis.url()).await, Replica::on(&redis.url()).await);
    one.cache.set("key", Bytes::from("value"), TTL).await.unwrap();
    redis.command("CONFIG RESETSTAT");
    let herd = (0..200).map(|_| other.read("key", "unused"));
    assert!(futures::future::join_all(herd).await.iter().all(|value| value == "value"));
    assert_eq!(other.loads(), 0);
    let commands = redis.command("INFO commandstats").remove(0);
    let scripts: Vec<_> = commands.lines().filter(|line| line.starts_with("cmdstat_get:")).collect();
    assert!(scripts.len() == 1 && scripts[0].starts_with("cmdstat_get:calls=1,"), "{scripts:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn an_invalidation_on_one_replica_reaches_the_memory_of_the_others() {
    let redis = TestRedis::start();
    let (one, other) = (Replica::on(&redis.url()).await, Replica::on(&redis.url()).await);
    for invalidate in ["invalidate", "clear", "set"] {
        other.read("key", "old").await;
        match invalidate {
            "invalidate" => drop(one.cache.invalidate("key").await.unwrap()),
            "clear" => drop(one.cache.clear().await.unwrap()),
            _ => one.cache.set("key", Bytes::from("new"), TTL).await.unwrap(),
        }
        let begun = Instant::now();
        while other.read("key", "new").await != "new" {
            assert!(begun.elapsed() < PATIENCE, "{invalidate} is not heard");
        }
        one.cache.clear().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn a_lost_announcement_is_made_up_for_by_the_short_life_in_memory() {
    let redis = TestRedis::start();
    let replica = Replica::toward(&redis.url(), Duration::from_millis(50)).await;
    replica.is_connected().await;
    replica.read("key", "old").await;
    eventually("kept in redis", || redis.command("EXISTS safire:key") == ["1"]).await;
    redis.command("DEL safire:key");
    let begun = Instant::now();
    while replica.read("key", "new").await != "new" {
        assert!(begun.elapsed() < PATIENCE, "the old value lasts");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn a_load_overtaken_by_another_replicas_invalidation_is_not_kept_in_redis() {
    let redis = TestRedis::start();
    let (one, other) = (Replica::on(&redis.url()).await, Replica::on(&redis.url()).await);
    let slow = other.slow_load("key", "old").await;
    one.cache.invalidate("key").await.unwrap();
    assert_eq!(one.read("key", "new").await, "new");
    eventually("kept in redis", || redis.command("EXISTS safire:key") == ["1"]).await;
    assert_eq!(slow.finish().await, "old");
    let third = Replica::on(&redis.url()).await;
    assert_eq!(third.read("key", "unused").await, "new");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn a_load_overtaken_by_a_clearing_that_passed_its_lease_by_is_not_kept_in_redis() {
    let redis = TestRedis::start();
    let (one, other) = (Replica::on(&redis.url()).await, Replica::on(&redis.url()).await);
    other.read("another", "value").await;
    eventually("the script is known", || redis.command("EXISTS safire:another") == ["1"]).await;
    let slow = other.slow_load("key", "old").await;
    let lease = redis.command("GET safire:key:lease").remove(0);
    one.cache.clear().await.unwrap();
    redis.command(&format!("SET safire:key:lease {lease} PX 60000"));
    redis.command("CONFIG RESETSTAT");
    assert_eq!(slow.finish().await, "old");
    let offered = || redis.command("INFO commandstats").remove(0).contains("cmdstat_evalsha:calls=1,");
    eventually("offered to redis", offered).await;
    assert_eq!(redis.command("EXISTS safire:key"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn a_dict_is_a_hash_in_redis_with_its_rendering_beside_it_and_both_end() {
    let redis = TestRedis::start();
    let replica = Replica::on(&redis.url()).await;
    let names: Dict = (0..2500).map(|n| (format!("u-{n}"), format!("User {n}"))).collect();
    let rendered = replica.read_dict("users-dict", &names).await;
    eventually("kept in redis", || redis.command("HLEN safire:users-dict") == ["2500"]).await;
    assert_eq!(redis.command("HGET safire:users-dict u-7"), ["User 7"]);
    assert_eq!(redis.command("EXISTS safire:users-dict:json"), ["1"]);
    for key in ["safire:users-dict", "safire:users-dict:json"] {
        let left: u64 = redis.command(&format!("TTL {key}"))[0].parse().expect("it ends");
        assert!((3500..=3600).contains(&left), "{key} ends in {left} s");
    }
    let other = Replica::on(&redis.url()).await;
    assert_eq!(other.read_dict("users-dict", &Dict::new()).await, rendered);
    redis.command("DEL safire:users-dict:json");
    let third = Replica::on(&redis.url()).await;
    assert_eq!(third.read_dict("users-dict", &Dict::new()).await, rendered, "from the hash");
    assert_eq!((other.loads(), third.loads()), (0, 0));
    third.cache.invalidate("users-dict").await.unwrap();
    assert_eq!(redis.command("KEYS *"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn clearing_leaves_what_is_not_the_caches() {
    let redis = TestRedis::start();
    let replica = Replica::on(&redis.url()).await;
    redis.command("SET other:key 1");
    redis.command("SET safire:limit:key 1");
    replica.cache.set("key", Bytes::from("value"), TTL).await.unwrap();
    assert_eq!(replica.cache.clear().await, Ok(1));
    assert_eq!(redis.command("EXISTS other:key safire:limit:key safire:key"), ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn health_shows_redis_and_its_figures() {
    let redis = TestRedis::start();
    let replica = Replica::on(&redis.url()).await;
    replica.cache.set("key", Bytes::from("value"), TTL).await.unwrap();
    eventually("a figure", || replica.cache.redis_stats().is_some_and(|stats| stats.total_keys == 1)).await;
    let health = replica.cache.health();
    let shown = health.redis.clone().expect("redis is used");
    assert_eq!((health.backend, shown.host.as_str(), shown.port), ("redis", "127.0.0.1", redis.port()));
    let figures = shown.stats.expect("figures");
    assert!(figures.memory_used > 0 && figures.connected_clients >= 2, "{figures:?}");
    let alone = Replica::alone().await.cache.health();
    assert_eq!((alone.backend, alone.is_degraded(), alone.redis), ("in-process", false, None));
}
