//! How the service is, what it keeps in memory, and what it says about itself.

use safire_test_support::on_both_engines;
use serde_json::json;

use crate::app::TestApp;

on_both_engines! {
    async fn the_service_lives_is_ready_and_tells_how_its_parts_are(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let nobody = app.anonymous();
        assert_eq!(nobody.get("/health/live").await.is(200), json!({ "status": "ok" }));
        assert_eq!(nobody.get("/health/ready").await.is(200), json!({ "status": "ok" }));
        let engine = if database.url().starts_with("sqlite") { "sqlite" } else { "postgresql" };
        let mut health = nobody.get("/health").await.is(200);
        let pool = health["database"]["pool"].take();
        for figure in ["size", "checked_out", "idle", "overflow", "waiters"] {
            assert!(pool[figure].is_u64(), "{figure} in {pool}");
        }
        // That requests are slow is the machine's affair.
        health["breached"].as_array_mut().expect("a list").retain(|breach| breach["figure"] != "http.slow_requests");
        let actors = health["actors"].take();
        let names: Vec<_> = actors.as_array().unwrap().iter().map(|actor| actor["name"].as_str().unwrap()).collect();
        let writer = (engine == "sqlite").then_some("database writer");
        let others = ["cache", "calculations", "events", "scenarios", "imports"];
        let expected: Vec<_> = ["database"].into_iter().chain(writer).chain(others).collect();
        assert_eq!(names, expected);
        let expected = json!({
            "status": "healthy", "service": "safire", "version": env!("CARGO_PKG_VERSION"),
            "database": { "engine": engine, "up": true, "pool": null },
            "cache": { "backend": "in-process", "up": true },
            "redis": { "enabled": false },
            "kafka": { "enabled": false },
            "calculations": { "capacity": 2 + 256, "free": 2 + 256 },
            "actors": null,
            "breached": [],
        });
        assert_eq!(health, expected);
        app.stop().await;
    }

    async fn a_request_keeps_its_id_when_that_is_a_plain_word(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let url = format!("http://{}/health/live", app.service().address());
        let ask = async |id: &str| {
            let answer = reqwest::Client::new().get(&url).header("x-request-id", id).send().await.unwrap();
            answer.headers()["x-request-id"].to_str().unwrap().to_owned()
        };
        assert_eq!(ask("notebook-7_a.b").await, "notebook-7_a.b");
        for odd in ["", "two words", "a\"b", &"x".repeat(65)] {
            let given = ask(odd).await;
            assert!(given.len() == 32 && given.chars().all(|c| c.is_ascii_hexdigit()), "{given}");
        }
        app.stop().await;
    }

    async fn cached_master_data_equals_what_is_read_afresh(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let cached = ana.get("/master-data").await.is(200);
        assert_eq!(ana.get("/master-data").await.is(200), cached);
        assert_eq!(ana.get("/master-data/fresh").await.is(200), cached);
        assert_eq!(ana.get("/master-data").await.is(200), cached);
        let codes = |list: &str| -> Vec<String> {
            let entries = cached[list].as_array().expect("a list").iter();
            entries.map(|entry| entry["code"].as_str().expect("a code").to_owned()).collect()
        };
        assert_eq!(codes("process_technologies"), ["HEFA", "FT-BtL", "ATJ", "CHJ"]);
        assert_eq!(codes("feedstocks"), ["UCO", "lignocellulosic-biomass", "animal-manure"]);
        assert_eq!(codes("countries"), ["USA", "Malaysia"]);
        assert_eq!(codes("utilities"), ["hydrogen", "electricity"]);
        assert_eq!(codes("products"), ["jet", "diesel", "gasoline", "propane", "naphtha"]);
        assert_eq!((&cached["edition"], cached["defaults"].as_array().unwrap().len()), (&json!(1), 4));
        app.stop().await;
    }

    async fn every_unit_is_listed_with_its_factor(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let units = app.register().await.get("/units").await.is(200);
        let groups = units.as_array().unwrap();
        let capacity = groups.iter().find(|group| group["base_unit"] == "t/yr").expect("capacity");
        assert_eq!(capacity["units"][1], json!({ "symbol": "kt/yr", "factor": 1000.0 }));
        let all: usize = groups.iter().map(|group| group["units"].as_array().unwrap().len()).sum();
        assert_eq!(all, 33);
        app.stop().await;
    }

    async fn the_cache_counts_its_hits_and_forgets_when_an_administrator_says_so(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, admin) = (app.register().await, app.as_admin().await);
        let figures = async || {
            let status = ana.get("/cache/status").await.is(200);
            assert_eq!(status["backend"], "in-process");
            ["entries", "hits", "misses", "loads"].map(|name| status[name].as_u64().unwrap())
        };
        assert_eq!(figures().await, [0, 0, 0, 0]);
        ana.get("/master-data").await.is(200);
        assert_eq!(figures().await, [1, 0, 1, 1]);
        ana.get("/master-data").await.is(200);
        assert_eq!(figures().await, [1, 1, 1, 1]);
        ana.post("/cache/invalidate", None).await.refused(403, "forbidden");
        assert_eq!(figures().await, [1, 1, 1, 1]);
        assert_eq!(admin.post("/cache/invalidate", None).await.is(200), json!({ "entries": 1 }));
        assert_eq!(figures().await, [0, 1, 1, 1]);
        ana.get("/master-data").await.is(200);
        assert_eq!(figures().await, [1, 1, 2, 2]);
        ana.get("/master-data/fresh").await.is(200);
        assert_eq!(figures().await[0], 0);
        app.stop().await;
    }
}
