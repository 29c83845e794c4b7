//! What holds without Redis; the contract on both backends is in `actors/tests/cache`.

use futures::FutureExt;
use ractor::Actor;
use safire_domain::clock::SystemClock;
use tokio::sync::oneshot;

use super::*;

const TTL: Duration = Duration::from_secs(60);

async fn cache() -> Cache {
    let context = Context::new(Arc::new(SystemClock));
    let settings = Settings { entries: 10, queue: 1000, deadline: Duration::from_secs(5), redis: None };
    let (cache, _) = Cache::new(&settings, &context);
    let actor = Actor::spawn(None, CacheActor(context), Arc::clone(&cache.shared));
    cache.slot.fill(actor.await.expect("spawns").0);
    cache
}

fn ready(value: &'static str) -> Load {
    async move { Ok(Bytes::from_static(value.as_bytes())) }.boxed()
}

async fn get(cache: &Cache, load: Load) -> Bytes {
    cache.get_or_load("key", TTL, || load).await.expect("answers").expect("loads")
}

#[tokio::test]
async fn a_herd_on_a_cold_key_loads_once() {
    let cache = cache().await;
    let herd: Vec<_> = (0..200)
        .map(|_| {
            tokio::spawn({
                let cache = cache.clone();
                async move {
                    get(
                        &cache,
                        async {
                            tokio::task::yield_now().await;
                            Ok(Bytes::from_static(b"v"))
                        }
                        .boxed(),
                    )
                    .await
                }
            })
        })
        .collect();
    for caller in herd {
        assert_eq!(caller.await.unwrap(), "v");
    }
    assert_eq!(cache.stats().await.unwrap().loads, 1);
}

#[tokio::test]
async fn a_load_that_an_invalidation_overtook_is_answered_but_not_kept() {
    let cache = cache().await;
    let (release, released) = oneshot::channel::<()>();
    let old = tokio::spawn({
        let cache = cache.clone();
        async move {
            get(
                &cache,
                async {
                    released.await.ok();
                    Ok(Bytes::from_static(b"old"))
                }
                .boxed(),
            )
            .await
        }
    });
    while cache.stats().await.unwrap().loads == 0 {}
    assert!(!cache.invalidate("key").await.unwrap());
    assert_eq!(get(&cache, ready("new")).await, "new");
    release.send(()).unwrap();
    assert_eq!(old.await.unwrap(), "old");
    assert_eq!(get(&cache, ready("unused")).await, "new");
}

#[tokio::test]
async fn a_load_that_panics_fails_its_callers_and_the_next_one_loads_again() {
    let cache = cache().await;
    let failed = cache.get_or_load("key", TTL, || async { panic!("a defect") }.boxed()).await.unwrap();
    assert!(failed.is_err());
    assert_eq!(get(&cache, ready("v")).await, "v");
}

#[tokio::test]
async fn clearing_forgets_everything() {
    let cache = cache().await;
    get(&cache, ready("v")).await;
    assert_eq!(cache.clear().await, Ok(1));
    assert_eq!(get(&cache, ready("w")).await, "w");
}
