//! What every cache keeps to, with Redis and without.

use futures::{future::join_all, poll};
use safire_actors::slot::Why;
use safire_test_support::TestRedis;

use super::*;

/// Makes each test two: one without Redis, one with.
macro_rules! on_both_backends {
    ($(async fn $name:ident($replica:ident: &Replica) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn run($replica: &Replica) $body

            #[tokio::test(flavor = "multi_thread")]
            async fn in_process() {
                run(&Replica::alone().await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs Redis: run ./test"]
            async fn on_redis() {
                let redis = TestRedis::start();
                run(&Replica::on(&redis.url()).await).await;
            }
        }
    )+};
}

on_both_backends! {
    async fn what_was_loaded_is_not_loaded_again(replica: &Replica) {
        assert_eq!(replica.read("key", "first").await, "first");
        assert_eq!(replica.read("key", "second").await, "first");
        assert_eq!(replica.loads(), 1);
        let stats = replica.cache.stats().await.unwrap();
        assert_eq!((stats.hits, stats.misses, stats.loads, stats.entries), (1, 1, 1, 1));
    }

    async fn a_herd_on_a_cold_key_loads_once(replica: &Replica) {
        let slow = replica.slow_load("key", "value").await;
        let herd = (0..500).map(|_| replica.cache.get_or_load("key", TTL, || replica.gives("another")));
        let (answers, first) = tokio::join!(join_all(herd), slow.finish());
        assert_eq!(first, "value");
        for answer in answers {
            assert_eq!(answer.unwrap().unwrap(), "value");
        }
        assert_eq!(replica.loads(), 0, "beside the slow one");
    }

    async fn after_an_invalidation_nobody_sees_the_old_value(replica: &Replica) {
        replica.read("key", "old").await;
        assert!(replica.cache.invalidate("key").await.unwrap());
        assert!(!replica.cache.invalidate("key").await.unwrap());
        assert_eq!(replica.read("key", "new").await, "new");
    }

    async fn a_load_that_an_invalidation_overtook_is_answered_but_not_kept(replica: &Replica) {
        let slow = replica.slow_load("key", "old").await;
        replica.cache.invalidate("key").await.unwrap();
        assert_eq!(replica.read("key", "new").await, "new");
        assert_eq!(slow.finish().await, "old");
        assert_eq!(replica.read("key", "unused").await, "new");
    }

    async fn an_invalidation_that_finds_the_queue_full_takes_effect_all_the_same(replica: &Replica) {
        let slow = replica.slow_load("key", "old").await;
        // A load that begins after the invalidation gives the new value.
        let ask = |_| Box::pin(replica.cache.get_or_load("key", TTL, || replica.gives("new")));
        let mut callers: Vec<_> = (1..QUEUE).map(ask).collect();
        for caller in &mut callers {
            // Polled once, it has its place in the queue.
            assert!(poll!(caller).is_pending());
        }
        assert_eq!(replica.cache.invalidate("key").await.unwrap_err().why, Why::Full);
        assert_eq!(slow.finish().await, "old");
        join_all(callers).await;
        assert_eq!(replica.read("key", "new").await, "new");
        assert_eq!(replica.read("key", "unused").await, "new");
    }

    async fn what_is_set_is_read_until_it_is_deleted(replica: &Replica) {
        let cache = &replica.cache;
        assert_eq!(cache.get("key").await.unwrap(), None);
        assert!(!cache.exists("key").await.unwrap());
        cache.set("key", Bytes::from("value"), TTL).await.unwrap();
        assert_eq!(cache.get("key").await.unwrap().unwrap(), "value");
        assert!(cache.exists("key").await.unwrap());
        assert_eq!(replica.read("key", "unused").await, "value");
        cache.set("key", Bytes::from("other"), TTL).await.unwrap();
        assert_eq!(cache.get("key").await.unwrap().unwrap(), "other");
        assert!(cache.delete("key").await.unwrap());
        assert!(!cache.delete("key").await.unwrap());
        assert_eq!(cache.get("key").await.unwrap(), None);
    }

    async fn a_value_ends_with_its_time(replica: &Replica) {
        replica.cache.set("key", Bytes::from("value"), Duration::from_millis(20)).await.unwrap();
        let begun = Instant::now();
        while replica.cache.get("key").await.unwrap().is_some() {
            assert!(begun.elapsed() < PATIENCE, "it lasts for ever");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!replica.cache.exists("key").await.unwrap());
    }

    async fn clearing_forgets_everything(replica: &Replica) {
        for key in ["a", "b", "c"] {
            replica.cache.set(key, Bytes::from("old"), TTL).await.unwrap();
        }
        assert_eq!(replica.cache.clear().await, Ok(3));
        for key in ["a", "b", "c"] {
            assert_eq!(replica.read(key, "new").await, "new");
        }
    }

    async fn a_dict_is_rendered_once_and_read_as_json(replica: &Replica) {
        let names = dict(&[("u-1", "Ana \"A\""), ("u-2", "Żółć")]);
        assert_eq!(replica.read_dict("users-dict", &names).await, r#"{"u-1":"Ana \"A\"","u-2":"Żółć"}"#);
        assert_eq!(replica.read_dict("users-dict", &Dict::new()).await, r#"{"u-1":"Ana \"A\"","u-2":"Żółć"}"#);
        assert!(replica.cache.invalidate("users-dict").await.unwrap());
        assert_eq!(replica.read_dict("users-dict", &Dict::new()).await, "{}");
    }

    async fn a_load_that_fails_fails_its_callers_and_the_next_one_loads_again(replica: &Replica) {
        let failed = replica.cache.get_or_load("key", TTL, || Box::pin(async { panic!("a defect") })).await.unwrap();
        assert!(failed.is_err());
        assert_eq!(replica.read("key", "value").await, "value");
    }
}
