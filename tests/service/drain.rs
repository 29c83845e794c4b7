//! Stopping with work in flight: what was accepted is answered, finished or handed back, never lost.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use reqwest::Method;
use safire_actors::calculations::{Compute, base_analysis};
use safire_domain::{
    RunId, ScenarioId, UserId,
    lifecycle::RunState,
    run::Run,
    user::{Access, Role},
};
use safire_store::runs;
use safire_test_support::{TestDatabase, on_both_engines};
use serde_json::{Value, json};
use tokio::{
    runtime::Runtime,
    task::{JoinHandle, block_in_place},
    time::timeout,
};

use crate::app::{Answer, BUSY, Client, PATIENCE, TestApp, eventually, id};

/// The engine, but it waits: for the gate up to a capacity of 100,000 t/yr, above that for ever.
fn gated(gate: &Arc<AtomicBool>) -> Arc<Compute> {
    let (engine, gate) = (base_analysis(), Arc::clone(gate));
    Arc::new(move |inputs, cancel| {
        let endless = inputs.plant.capacity_t_per_yr > 100_000.0;
        while (endless || !gate.load(Ordering::Relaxed)) && !cancel.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        engine(inputs, cancel)
    })
}

const FINISHES: f64 = 1000.0;
const ENDLESS: f64 = 101_000.0;

/// A service with eight threads whose calculations wait, and a second to stop in.
async fn with_gate(database: &TestDatabase, gate: &Arc<AtomicBool>) -> TestApp {
    TestApp::with(database, |config, parts| {
        config.calculations.threads = 8;
        config.shutdown.drain_s = 1;
        parts.compute = gated(gate);
    })
    .await
}

struct InMotion {
    scenario: String,
    run: String,
    /// A caller who waits for its end.
    caller: JoinHandle<reqwest::Result<Answer>>,
}

/// Runs that are calculated, one after the other taken up, each with a caller who waits for it.
async fn in_motion(ana: &Client, project: &str, capacities: impl IntoIterator<Item = f64>) -> Vec<InMotion> {
    let mut all = Vec::new();
    for capacity in capacities {
        let scenario = ana.scenario(project, crate::app::of_capacity(capacity)).await;
        let caller = tokio::spawn({
            let (ana, path) = (ana.clone(), format!("/scenarios/{scenario}/calculate/sync"));
            async move { ana.try_raw(Method::POST, &path, None, "").await }
        });
        eventually("an accepted run", async || {
            let scenario = ana.get(&format!("/scenarios/{scenario}")).await.is(200);
            if scenario["status"] == "calculating" { Ok(()) } else { Err(scenario) }
        })
        .await;
        let run = id(&ana.reaches(&scenario, "running").await);
        all.push(InMotion { scenario, run, caller });
    }
    all
}

/// The run as it is stored, while no service is there to ask.
async fn stored(database: &TestDatabase, owner: &Value, motion: &InMotion) -> Run {
    let user: UserId = owner.as_str().unwrap().parse().unwrap();
    let owner = Access { user, role: Role::Analyst };
    let (scenario, run): (ScenarioId, RunId) = (motion.scenario.parse().unwrap(), motion.run.parse().unwrap());
    let mut connection = database.connect().await;
    let found = runs::find(&mut connection, owner, scenario, run).await.unwrap();
    connection.close().await.unwrap();
    found.expect("the run is there")
}

on_both_engines! {
    async fn a_drain_finishes_what_it_can_hands_back_the_rest_and_the_next_start_ends_it(database: &TestDatabase) {
        let gate = Arc::new(AtomicBool::new(false));
        let app = with_gate(database, &gate).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let owner = ana.get(&format!("/projects/{project}")).await.is(200)["owner_id"].take();
        let mut finishing = in_motion(&ana, &project, (0..4).map(|n| FINISHES + f64::from(n))).await;
        let mut endless = in_motion(&ana, &project, (0..4).map(|n| ENDLESS + f64::from(n))).await;

        let begun = Instant::now();
        gate.store(true, Ordering::Relaxed);
        let ended = app.drain().await;
        assert!(begun.elapsed() < Duration::from_secs(1) + BUSY, "the drain took {:?}", begun.elapsed());
        assert_eq!(ended.handed_back, Some(4));
        for motion in &mut finishing {
            let answer = motion.answer().await.is(200);
            assert_eq!((id(&answer["run"]), &answer["run"]["state"]), (motion.run.clone(), &"succeeded".into()));
            assert!(answer["result"]["lcop_usd_per_t"].is_number());
        }
        for motion in &mut endless {
            let answer = motion.answer().await;
            match answer.status {
                202 => assert_eq!(id(&answer.json), motion.run),
                _ => drop(answer.refused(503, "unavailable")),
            }
        }
        for motion in &finishing {
            let run = stored(database, &owner, motion).await;
            assert_eq!((run.state, run.attempt), (RunState::Succeeded, 1));
        }
        for motion in &endless {
            let run = stored(database, &owner, motion).await;
            // Given back before its first attempt counted.
            assert_eq!((run.state, run.attempt), (RunState::Queued, 0));
        }

        let all = || finishing.iter().chain(&endless);
        let next = TestApp::start(database).await;
        let ana = next.anonymous().with_token(ana.token.as_ref().unwrap());
        for motion in all() {
            let run = ana.reaches(&motion.scenario, "succeeded").await;
            assert_eq!((run["id"].as_str(), &run["attempt"]), (Some(motion.run.as_str()), &1.into()));
        }
        let lcops = join_all(all().map(|motion| ana.lcop(&motion.scenario))).await;
        let lcops: HashSet<String> = lcops.into_iter().collect();
        assert_eq!(lcops.len(), 8, "eight capacities give eight costs: {lcops:?}");
        next.stop().await;
    }

    async fn callers_who_wait_are_answered_before_the_process_may_end(database: &TestDatabase) {
        let gate = Arc::new(AtomicBool::new(false));
        // What runs here ends with the drain, as everything does when the process exits.
        let process = Runtime::new().unwrap();
        let app = block_in_place(|| process.block_on(with_gate(database, &gate)));
        let ana = app.register().await;
        let project = ana.project().await;
        let waiting = in_motion(&ana, &project, (0..4).map(|n| ENDLESS + f64::from(n))).await;
        let service = app.release();
        let ended = process.spawn(service.drain()).await.unwrap();
        process.shutdown_background();
        assert_eq!(ended.handed_back, Some(4));
        for mut motion in waiting {
            let answer = motion.answer().await;
            match answer.status {
                202 => assert_eq!(id(&answer.json), motion.run),
                _ => drop(answer.refused(503, "unavailable")),
            }
        }
    }

    async fn what_was_accepted_finishes_before_the_actors_stop(database: &TestDatabase) {
        let gate = Arc::new(AtomicBool::new(false));
        let app = TestApp::with(database, |config, parts| {
            config.shutdown.drain_s = PATIENCE.as_secs();
            parts.compute = gated(&gate);
        })
        .await;
        let ana = app.register().await;
        let body = json!({
            "process": "HEFA", "feedstock": "UCO", "country": "USA", "inputs": crate::app::of_capacity(FINISHES),
        });
        let quick = tokio::spawn({
            let ana = ana.clone();
            async move { ana.post("/calculate/quick", body).await }
        });
        eventually("a calculation in motion", async || {
            let calculations = ana.get("/health").await.is(200)["calculations"].take();
            if calculations["free"] != calculations["capacity"] { Ok(()) } else { Err(calculations) }
        })
        .await;
        let stranger = Client::of(format!("http://{}", app.service().address()));
        let mut drained = tokio::spawn(app.drain());
        eventually("a closed door", async || {
            let answer = stranger.try_raw(Method::GET, "/health/live", None, "").await;
            answer.map_or(Ok(()), |answer| Err(answer.status))
        })
        .await;
        // Nothing else is in motion, and there is time: the drain waits for what it let in.
        let early = timeout(Duration::from_secs(2), &mut drained).await;
        gate.store(true, Ordering::Relaxed);
        quick.await.unwrap().is(200);
        assert!(early.is_err(), "the drain ended before its last request");
        assert_eq!(drained.await.unwrap().handed_back, Some(0));
    }

    async fn a_restart_keeps_every_result(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let mut before = Vec::new();
        for capacity in [1000.0, 2000.0, crate::app::PANICS] {
            let scenario = ana.plant(capacity).await;
            ana.calculate(&scenario).await;
            eventually("an end", async || {
                let run = ana.get(&format!("/scenarios/{scenario}/calculate/status")).await.is(200);
                if run["finished_at"].is_string() { Ok(()) } else { Err(run) }
            })
            .await;
            before.push((format!("/scenarios/{scenario}/result?trace=true"), Value::Null));
        }
        for (path, result) in &mut before {
            *result = ana.get(path).await.is(200);
        }
        let token = ana.token.clone().unwrap();
        app.stop().await;
        let app = TestApp::start(database).await;
        let ana = app.anonymous().with_token(&token);
        for (path, result) in before {
            assert_eq!(ana.get(&path).await.is(200), result);
        }
        app.stop().await;
    }

    async fn requests_that_keep_coming_do_not_hold_up_the_drain(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.shutdown.drain_s = 3 * BUSY.as_secs()).await;
        let ana = app.register().await;
        let scenario = ana.plant(1000.0).await;
        let stop = Arc::new(AtomicBool::new(false));
        let busy: Vec<_> = (0..8)
            .map(|_| {
                let (ana, stop, path) = (ana.clone(), Arc::clone(&stop), format!("/scenarios/{scenario}"));
                tokio::spawn(async move {
                    let mut answered = 0;
                    while !stop.load(Ordering::Relaxed) {
                        match ana.try_raw(Method::GET, &path, None, "").await {
                            // Accepted before the end: it is answered, and properly.
                            Ok(answer) => {
                                answered += 1;
                                assert!([200, 503].contains(&answer.status), "{answer:?}");
                            }
                            Err(error) => assert!(error.is_connect() || error.is_request(), "{error:?}"),
                        }
                    }
                    answered
                })
            })
            .collect();
        ana.calculate(&scenario).await;
        ana.reaches(&scenario, "succeeded").await;
        let begun = Instant::now();
        app.stop().await;
        assert!(begun.elapsed() < 2 * BUSY, "the drain took {:?}", begun.elapsed());
        stop.store(true, Ordering::Relaxed);
        for client in join_all(busy).await {
            assert!(client.unwrap() > 0);
        }
    }
}

impl InMotion {
    async fn answer(&mut self) -> Answer {
        (&mut self.caller).await.expect("no panic").expect("a caller who waits is answered")
    }
}

impl Client {
    /// The result's LCOP, to the last digit.
    async fn lcop(&self, scenario: &str) -> String {
        self.get(&format!("/scenarios/{scenario}/result")).await.is(200)["result"]["lcop_usd_per_t"].to_string()
    }
}
