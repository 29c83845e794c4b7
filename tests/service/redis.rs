//! The service with Redis, whatever becomes of it.

use safire::config::SecretUrl;
use safire_test_support::{TestDatabase, TestRedis, on_both_engines};
use serde_json::json;

use crate::app::{Client, TestApp, eventually};

async fn with_redis(database: &TestDatabase, redis: &TestRedis) -> TestApp {
    let app = TestApp::with(database, |config, _| {
        config.cache.redis_url = Some(SecretUrl::from(redis.url()));
    })
    .await;
    reaches(&app.anonymous(), "healthy").await;
    app
}

/// Waits until the service says so of itself; it is ready all the while.
async fn reaches(nobody: &Client, status: &str) {
    eventually(status, async || {
        nobody.get("/health/ready").await.is(200);
        let health = nobody.get("/health").await.is(200);
        let has_figures = health["redis"]["total_keys"].is_u64();
        if health["status"] == status && has_figures == (status == "healthy") { Ok(()) } else { Err(health) }
    })
    .await;
}

on_both_engines! {
    needs "needs Redis: run ./test"
    async fn redis_killed_frozen_and_flushed_shows_as_degraded_and_fails_no_request(database: &TestDatabase) {
        let mut redis = TestRedis::start();
        let app = with_redis(database, &redis).await;
        let ana = app.register().await;
        let expected = ana.get("/master-data").await.is(200);
        let serves = async || {
            for _ in 0..20 {
                assert_eq!(ana.get("/master-data").await.is(200), expected);
                assert_eq!(ana.get("/master-data/fresh").await.is(200), expected);
            }
        };
        redis.stop();
        serves().await;
        reaches(&ana, "degraded").await;
        assert_eq!(ana.get("/cache/status").await.is(200)["status"], "degraded");
        redis.cont();
        reaches(&ana, "healthy").await;
        redis.kill();
        serves().await;
        reaches(&ana, "degraded").await;
        redis.restart();
        reaches(&ana, "healthy").await;
        redis.flush();
        serves().await;
        app.stop().await;
    }

    needs "needs Redis: run ./test"
    async fn health_and_the_caches_figures_show_redis(database: &TestDatabase) {
        let redis = TestRedis::start();
        let app = with_redis(database, &redis).await;
        let ana = app.register().await;
        ana.get("/master-data").await.is(200);
        let mut shown = ana.get("/health").await.is(200)["redis"].take();
        assert!(shown["connected_clients"].as_u64() >= Some(2) && shown["memory_used"].as_u64() > Some(0), "{shown}");
        for figure in ["total_keys", "memory_used", "connected_clients"] {
            assert!(shown[figure].take().is_u64(), "{figure}");
        }
        let expected = json!({
            "enabled": true, "host": "127.0.0.1", "port": redis.port(), "up": true,
            "total_keys": null, "memory_used": null, "connected_clients": null,
        });
        assert_eq!(shown, expected);
        let status = ana.get("/cache/status").await.is(200);
        assert_eq!((&status["backend"], &status["circuit"]), (&"redis".into(), &"closed".into()));
        let stats = ana.get("/cache/stats").await.is(200);
        assert_eq!((&stats["loads"], &stats["hit_rate"]), (&1.into(), &0.0.into()));
        assert!(stats["redis"]["total_keys"].is_u64(), "{stats}");
        app.stop().await;
    }

    needs "needs Redis: run ./test"
    async fn administrators_make_the_cache_forget_the_dict_of_users(database: &TestDatabase) {
        let redis = TestRedis::start();
        let app = with_redis(database, &redis).await;
        app.register().await.post("/cache/invalidate/users-dict", None).await.refused(403, "forbidden");
        let admin = app.as_admin().await;
        redis.command("HSET safire:users-dict u-1 Ana");
        assert_eq!(admin.post("/cache/invalidate/users-dict", None).await.is(200), json!({ "entries": 1 }));
        assert_eq!(redis.command("EXISTS safire:users-dict"), ["0"]);
        app.stop().await;
    }
}
