//! Actors that panic while many people work: everybody is answered, and the service heals.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::future::join_all;
use safire_actors::{Faults, supervisor::Policy};
use safire_test_support::{TestDatabase, on_both_engines};

use serde_json::json;

use crate::app::{Answer, BUSY, Client, ENDLESS, PATIENCE, TestApp, eventually, id};

/// Panics at a point: passes so many strikes, then fails so many.
#[derive(Default)]
struct Traps(Mutex<HashMap<&'static str, (u32, u32)>>);

impl Traps {
    fn arm(&self, point: &'static str, passes: u32, fails: u32) {
        self.0.lock().unwrap().insert(point, (passes, fails));
    }

    /// Whether every trap at that point was sprung.
    fn is_sprung(&self, point: &'static str) -> bool {
        self.0.lock().unwrap().get(point).is_some_and(|&left| left == (0, 0))
    }
}

impl Faults for Traps {
    fn strike(&self, point: &'static str) {
        let springs = match self.0.lock().unwrap().get_mut(point) {
            Some((0, 0)) | None => false,
            Some((0, fails)) => {
                *fails -= 1;
                true
            }
            Some((passes, _)) => {
                *passes -= 1;
                false
            }
        };
        assert!(!springs, "a trap at {point}");
    }
}

async fn with_traps(database: &TestDatabase, budget: usize) -> (TestApp, Arc<Traps>) {
    let traps = Arc::new(Traps::default());
    let app = TestApp::with(database, |_, parts| {
        parts.faults = Some(traps.clone());
        parts.policy = Policy { first_delay: Duration::from_millis(10), budget, ..Policy::default() };
    })
    .await;
    (app, traps)
}

/// What 64 callers get who all calculate, each a plant of their own, and read the master data.
async fn herd(ana: &Client, plants: &[String]) -> Vec<(Answer, Duration)> {
    let callers = plants.iter().map(|plant| {
        let (ana, path) = (ana.clone(), format!("/scenarios/{plant}/calculate"));
        tokio::spawn(async move {
            let begun = Instant::now();
            let read = ana.get("/master-data").await;
            let read = (read, begun.elapsed());
            let begun = Instant::now();
            let calculated = ana.post(&path, None).await;
            [read, (calculated, begun.elapsed())]
        })
    });
    join_all(callers).await.into_iter().flat_map(|caller| caller.expect("no connection is dropped")).collect()
}

/// An actor's panics under 64 callers: all are answered within 5 s, all runs reach their end.
async fn survives(database: &TestDatabase, point: &'static str, panics: u32) {
    let (app, traps) = with_traps(database, 1000).await;
    let ana = app.register().await;
    let project = ana.project().await;
    let mut plants = Vec::new();
    for n in 1..=64 {
        plants.push(ana.scenario(&project, crate::app::of_capacity(f64::from(n) * 1000.0)).await);
    }
    // In the middle of the herd.
    traps.arm(point, 20, panics);
    for (answer, took) in herd(&ana, &plants).await {
        assert!(took < Duration::from_secs(5) + BUSY, "{point}: an answer took {took:?}");
        match answer.status {
            200 | 202 => {}
            _ => drop(answer.refused(503, "unavailable")),
        }
    }
    eventually("all runs at their end", async || all_succeeded(&ana, &plants).await).await;
    eventually("all traps sprung and a cache that answers", async || {
        let answer = ana.get("/cache/status").await;
        if answer.status == 200 && traps.is_sprung(point) { Ok(()) } else { Err(answer) }
    })
    .await;
    assert_eq!(ana.get("/health").await.is(200)["status"], "healthy");
    ana.get("/health/ready").await.is(200);
    for plant in &plants {
        let runs = ana.get(&format!("/scenarios/{plant}/runs")).await.is(200);
        assert_eq!(runs["total"], 1, "{point}: {runs}");
    }
    app.stop().await;
}

/// Asks for each calculation again until it is done.
async fn all_succeeded(ana: &Client, plants: &[String]) -> Result<(), String> {
    for plant in plants {
        let answer = ana.post(&format!("/scenarios/{plant}/calculate"), None).await;
        if answer.status != 200 || answer.json["state"] != "succeeded" {
            return Err(format!("{plant}: {} {}", answer.status, answer.json));
        }
    }
    Ok(())
}

fn ok(answer: Answer) -> Result<(), String> {
    if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
}

on_both_engines! {
    async fn an_import_survives_the_panics_of_its_actor_and_of_its_work(database: &TestDatabase) {
        let (app, traps) = with_traps(database, 1000).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let mut table = "name,process,feedstock,country\n".to_owned();
        (0..3000).for_each(|row| table.push_str(&format!("Plant {row},HEFA,UCO,USA\n")));
        traps.arm("import", 2, 2);
        let operation = id(&ana.import(&project, table.as_bytes(), "").await.is(202));
        eventually("the panics of the work", async || traps.is_sprung("import").then_some(()).ok_or("not yet")).await;
        traps.arm("imports", 0, 2);
        let ended = ana.ends(&operation).await;
        assert_eq!((&ended["state"], &ended["created"]), (&json!("succeeded"), &json!(3000)));
        assert_eq!(ana.get(&format!("/projects/{project}/scenarios?limit=1")).await.is(200)["total"], 3000);
        eventually("the panics of the actor", async || traps.is_sprung("imports").then_some(()).ok_or("not yet")).await;
        // After which it goes on.
        let again = id(&ana.import(&project, table.as_bytes(), "").await.is(202));
        assert_eq!(ana.ends(&again).await["created"], 3000);
        app.stop().await;
    }

    async fn a_panic_in_the_database_under_64_callers_harms_nobody_for_long(database: &TestDatabase) {
        survives(database, "database", 3).await;
    }

    async fn a_panic_in_the_cache_under_64_callers_harms_nobody_for_long(database: &TestDatabase) {
        survives(database, "cache", 3).await;
    }

    async fn a_panic_in_the_registry_under_64_callers_harms_nobody_for_long(database: &TestDatabase) {
        survives(database, "scenarios", 3).await;
    }

    async fn a_panic_in_scenarios_under_64_callers_harms_nobody_for_long(database: &TestDatabase) {
        survives(database, "scenario", 3).await;
    }

    async fn a_panic_in_the_calculation_pool_under_64_callers_harms_nobody_for_long(database: &TestDatabase) {
        survives(database, "calculations", 3).await;
    }

    async fn a_caller_who_waits_is_answered_when_the_registry_ends_and_the_run_goes_on(database: &TestDatabase) {
        let (app, traps) = with_traps(database, 1000).await;
        let ana = app.register().await;
        let scenario = ana.plant(ENDLESS).await;
        let path = format!("/scenarios/{scenario}/calculate");
        let waiting = tokio::spawn({
            let (ana, path) = (ana.clone(), path.clone());
            async move { ana.post(&format!("{path}/sync"), None).await }
        });
        eventually("a run in motion", async || ok(ana.get(&format!("{path}/status")).await)).await;
        ana.reaches(&scenario, "running").await;
        let other = ana.plant(1000.0).await;
        traps.arm("scenarios", 0, 3);
        while !traps.is_sprung("scenarios") {
            let _ = ana.post(&format!("/scenarios/{other}/calculate"), None).await;
        }
        waiting.await.unwrap().refused(503, "unavailable");
        eventually("a registry that cancels", async || ok(ana.delete(&path).await)).await;
        let run = ana.get(&format!("{path}/status")).await.is(200);
        assert_eq!((&run["state"], &run["attempt"]), (&"cancelled".into(), &1.into()), "{run}");
        app.stop().await;
    }

    async fn a_panic_at_a_request_with_a_password_tells_nothing_of_it(database: &TestDatabase) {
        const CANARY: &str = "canary of a password";
        let told = Arc::new(Mutex::new(String::new()));
        let (kept, others) = (Arc::clone(&told), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            kept.lock().unwrap().push_str(&panic.to_string());
            others(panic);
        }));
        let (app, traps) = with_traps(database, 1000).await;
        let account = json!({ "email": "ana@example.com", "name": "Ana", "password": CANARY });
        let login = json!({ "email": "ana@example.com", "password": CANARY });
        app.anonymous().post("/auth/register", account.clone()).await.is(201);
        for (path, body) in [("/auth/login", login), ("/auth/register", account)] {
            // Others ask the database, too: now and then it is one of them whom the trap meets.
            eventually("a request that met the trap", async || {
                traps.arm("database", 0, 1);
                let answer = app.anonymous().post(path, body.clone()).await;
                assert!(!answer.json.to_string().contains(CANARY), "{answer:?}");
                if answer.status == 503 { Ok(()) } else { Err(answer) }
            })
            .await;
        }
        app.stop().await;
        let told = told.lock().unwrap();
        assert!(told.contains("a trap at database") && !told.contains(CANARY), "{told}");
    }

    async fn a_service_whose_actor_fails_again_and_again_says_that_it_is_not_ready(database: &TestDatabase) {
        let (app, traps) = with_traps(database, 2).await;
        let ana = app.register().await;
        let scenario = ana.plant(1000.0).await;
        let exhausted = app.service().exhausted();
        traps.arm("cache", 0, 1000);
        let begun = Instant::now();
        while !exhausted.is_cancelled() {
            ana.get("/cache/status").await.refused(503, "unavailable");
            assert!(begun.elapsed() < PATIENCE, "the budget is never spent");
        }
        let ready = ana.get("/health/ready").await;
        assert_eq!((ready.status, &ready.json["status"]), (503, &"unsupervised".into()));
        ana.get("/health/live").await.is(200);
        let health = ana.get("/health").await.is(200);
        assert_eq!((&health["status"], &health["cache"]["up"]), (&"unsupervised".into(), &false.into()));
        // A cache may only make things faster: without it the rest works.
        ana.get("/master-data").await.is(200);
        ana.calculate(&scenario).await;
        ana.reaches(&scenario, "succeeded").await;
        app.stop().await;
    }
}
