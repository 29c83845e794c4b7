//! Server-sent events: what is told to whom, in which order, and that nothing is lost.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use safire_domain::clock::ManualClock;
use safire_test_support::{TestDatabase, TestRedis, now, on_both_engines};
use serde_json::json;

use crate::{
    app::{BUSY, ENDLESS, PANICS, PASSWORD, PATIENCE, TestApp, of_capacity},
    live::{Sse, Told},
    users::{make_member, make_zone},
};

/// Streams notice the end of a session within five seconds.
const NOTICED: Duration = Duration::from_secs(5);

fn events(told: &[Told]) -> Vec<(&str, &str)> {
    told.iter().map(|told| (told.topic.as_str(), told.event().0)).collect()
}

async fn next(sse: &mut Sse, count: usize) -> Vec<Told> {
    let mut all = Vec::new();
    while all.len() < count {
        all.push(sse.happens().await);
    }
    all
}

on_both_engines! {
    async fn what_happens_to_a_scenario_is_told_in_order(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let mut sse = Sse::open(&ana, "/events").await;
        let project = ana.project().await;
        let scenario = ana.scenario(&project, of_capacity(7000.0)).await;
        let run = ana.calculate(&scenario).await;
        ana.reaches(&scenario, "succeeded").await;
        ana.patch(&format!("/scenarios/{scenario}"), json!({ "inputs": of_capacity(PANICS) })).await.is(200);
        ana.calculate(&scenario).await;
        ana.reaches(&scenario, "failed").await;
        ana.patch(&format!("/scenarios/{scenario}"), json!({ "inputs": of_capacity(ENDLESS) })).await.is(200);
        ana.calculate(&scenario).await;
        ana.delete(&format!("/scenarios/{scenario}/calculate")).await.is(200);
        ana.delete(&format!("/scenarios/{scenario}")).await.is(204);
        let told = next(&mut sse, 10).await;
        let expected = [
            ("scenario", "created"), ("scenario", "calculating"), ("operation_complete", "calculated"),
            ("scenario", "changed"), ("scenario", "calculating"), ("operation_complete", "failed"),
            ("scenario", "changed"), ("scenario", "calculating"), ("operation_complete", "cancelled"),
            ("scenario", "deleted"),
        ];
        assert_eq!(events(&told), expected);
        let ended = &told[2].data;
        assert_eq!((&ended["run_id"], &ended["operation_id"], &ended["status"]), (&json!(run), &json!(run), &json!("calculated")));
        assert!(ended["data"]["lcop_usd_per_t"].is_number(), "{ended}");
        assert_eq!(told[5].data["data"]["failure"]["code"], "engine.panicked");
        for told in &told {
            assert_eq!((told.data["id"].as_str(), &told.data["scenario_id"]), (told.id.as_deref(), &json!(scenario)));
            assert_eq!(told.data["project_id"], json!(project));
        }
        app.stop().await;
    }

    async fn a_stream_that_was_cut_goes_on_where_it_was_also_after_a_restart(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let mut sse = Sse::open(&ana, "/events").await;
        let project = ana.project().await;
        let first = ana.scenario(&project, of_capacity(7000.0)).await;
        let seen = sse.happens().await;
        assert_eq!(seen.data["scenario_id"], json!(first));
        drop(sse);
        let second = ana.scenario(&project, of_capacity(7000.0)).await;
        app.stop().await;

        let app = TestApp::start(database).await;
        let ana = app.anonymous().with_token(ana.token.as_ref().unwrap());
        let third = ana.scenario(&project, of_capacity(7000.0)).await;
        let mut sse = Sse::resume(&ana, "/events", seen.id.as_deref()).await.unwrap();
        let fourth = ana.scenario(&project, of_capacity(7000.0)).await;
        for scenario in [second, third, fourth] {
            assert_eq!(sse.happens().await.data["scenario_id"], json!(scenario));
        }
        ana.get("/events?last_event_id=yesterday").await.refused(400, "last_event_id.invalid");
        let mut lost = Sse::resume(&ana, "/events", Some("999999999999-1")).await.unwrap();
        assert_eq!(lost.soon().await.topic, "reset");
        app.stop().await;
    }

    async fn events_are_told_to_those_who_may_see_the_project_and_ask_for_it(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        make_zone(&admin, "north").await;
        let (_, owner) = make_member(&admin, "owner", "analyst", Some("north")).await;
        let (mate_id, mate) = make_member(&admin, "mate", "viewer", Some("north")).await;
        let (_, stranger) = make_member(&admin, "stranger", "analyst", None).await;
        let project = owner.project().await;
        let other = owner.project().await;
        let mut all = Vec::new();
        for person in [&owner, &mate, &admin] {
            all.push(Sse::open(person, "/events").await);
            all.push(Sse::open(person, &format!("/events?project={project}")).await);
        }
        let mut outside = Sse::open(&stranger, "/events").await;
        let elsewhere = owner.scenario(&other, of_capacity(1000.0)).await;
        let scenario = owner.scenario(&project, of_capacity(1000.0)).await;
        let mut of_it = Sse::open(&owner, &format!("/events?scenario={scenario}")).await;
        for (n, sse) in all.iter_mut().enumerate() {
            if n % 2 == 0 {
                assert_eq!(sse.happens().await.data["scenario_id"], json!(elsewhere));
            }
            assert_eq!(sse.happens().await.data["scenario_id"], json!(scenario));
        }
        owner.post(&format!("/scenarios/{elsewhere}/calculate/sync"), None).await.is(200);
        let run = owner.calculate(&scenario).await;
        let told = of_it.of(&run, "calculated").await;
        assert_eq!(told.data["scenario_id"], json!(scenario));
        assert!(outside.is_quiet(Duration::from_millis(300)).await, "a stranger is told");

        // Who leaves the zone is told no more, within the time that a stream takes to look.
        make_zone(&admin, "south").await;
        admin.post(&format!("/users/{mate_id}/transfer"), json!({ "zone_id": "south" })).await.is(200);
        let (mates, owners) = (2, 0);
        let begun = Instant::now();
        loop {
            let last = owner.scenario(&project, of_capacity(1000.0)).await;
            all[owners].until(&last).await;
            if !all[mates].has_been_told(&last).await {
                break;
            }
            assert!(begun.elapsed() < NOTICED + BUSY, "somebody outside is told");
        }
        app.stop().await;
    }

    async fn progress_is_told_while_a_run_lasts(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let scenario = ana.scenario(&project, json!({})).await;
        let mut sse = Sse::open(&ana, "/events").await;
        let asked = json!({
            "analysis": "monte-carlo", "samples": 1_000_000, "seed": 7, "metrics": ["npv", "msp", "irr"],
            "inputs": [{ "input": "/feedstocks/UCO/price", "unit": "USD/t",
                         "distribution": { "kind": "triangular", "min": 800, "mode": 930, "max": 1200 } }]
        });
        let run = crate::app::id(&ana.post(&format!("/scenarios/{scenario}/calculate"), asked).await.is(202));
        sse.of(&run, "calculating").await;
        let begun = Instant::now();
        let mut updates = Vec::new();
        let end = loop {
            let told = sse.soon().await;
            if told.topic == "operation_complete" {
                break told;
            }
            assert_eq!((told.topic.as_str(), told.id), ("progress_update", None));
            updates.push(told.data);
        };
        let took = begun.elapsed().as_secs_f64();
        assert_eq!(end.event(), ("calculated", run.as_str()));
        assert!(!updates.is_empty(), "no progress in {took} s");
        assert!(updates.len() as f64 <= 10.0 * took + 3.0, "{} updates in {took} s", updates.len());
        let percent: Vec<_> = updates.iter().map(|update| update["percent"].as_f64().unwrap()).collect();
        assert!(percent.is_sorted() && percent.iter().all(|p| (0.0..=100.0).contains(p)), "{percent:?}");
        for update in &updates {
            assert_eq!((&update["run_id"], &update["scenario_id"]), (&json!(run), &json!(scenario)));
            assert!(update["stage"].is_string() && update["done"].is_u64() && update["total"].is_u64(), "{update}");
        }
        app.stop().await;
    }

    async fn a_ticket_opens_one_stream_for_half_a_minute(database: &TestDatabase) {
        let clock = Arc::new(ManualClock::at(now()));
        let app = TestApp::with(database, |_, parts| parts.clock = clock.clone()).await;
        let ana = app.register().await;
        let nobody = app.anonymous();
        let ticket = async || {
            let ticket = ana.post("/events/ticket", None).await.is(201);
            assert_eq!(ticket["expires_in"], 30);
            format!("/events?ticket={}", ticket["ticket"].as_str().unwrap())
        };
        let path = ticket().await;
        let mut sse = Sse::open(&nobody, &path).await;
        ana.plant(1000.0).await;
        assert_eq!(sse.happens().await.event().0, "created");
        nobody.get(&path).await.refused(401, "unauthorized");
        nobody.get("/events").await.refused(401, "unauthorized");
        let late = ticket().await;
        clock.advance(TimeDelta::seconds(31));
        nobody.get(&late).await.refused(401, "unauthorized");
        app.stop().await;
    }

    async fn a_stream_ends_soon_after_the_session_the_key_or_the_token(database: &TestDatabase) {
        let clock = Arc::new(ManualClock::at(now()));
        let app = TestApp::with(database, |_, parts| parts.clock = clock.clone()).await;
        let account = json!({ "email": "ana@example.com", "name": "Ana", "password": PASSWORD });
        app.anonymous().post("/auth/register", account.clone()).await.is(201);
        let login = json!({ "email": "ana@example.com", "password": PASSWORD });
        let tokens = app.anonymous().post("/auth/login", login.clone()).await.is(200);
        let signed_in = |tokens: &serde_json::Value| app.anonymous().with_token(tokens["access_token"].as_str().unwrap());
        let ana = signed_in(&tokens);
        let key = ana.post("/auth/keys", json!({ "name": "notebook" })).await.is(201);
        let by_key = app.anonymous().with_token(key["secret"].as_str().unwrap());
        let ticket = ana.post("/events/ticket", None).await.is(201);
        let of_ticket = format!("/events?ticket={}", ticket["ticket"].as_str().unwrap());
        let mut of_session = [Sse::open(&ana, "/events").await, Sse::open(&app.anonymous(), &of_ticket).await];
        let mut of_key = Sse::open(&by_key, "/events").await;

        let begun = Instant::now();
        app.anonymous().post("/auth/logout", json!({ "refresh_token": tokens["refresh_token"] })).await.is(204);
        for sse in &mut of_session {
            sse.ends().await;
        }
        assert!(begun.elapsed() < NOTICED + BUSY, "{:?}", begun.elapsed());

        let again = signed_in(&app.anonymous().post("/auth/login", login).await.is(200));
        let begun = Instant::now();
        again.delete(&format!("/auth/keys/{}", key["id"].as_str().unwrap())).await.is(204);
        of_key.ends().await;
        assert!(begun.elapsed() < NOTICED + BUSY, "{:?}", begun.elapsed());

        let mut of_token = Sse::open(&again, "/events").await;
        clock.advance(TimeDelta::minutes(31));
        let begun = Instant::now();
        of_token.ends().await;
        assert!(begun.elapsed() < NOTICED + BUSY, "{:?}", begun.elapsed());
        app.stop().await;
    }

    async fn a_user_has_ten_streams_and_another_has_room(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, bob) = (app.register().await, app.register().await);
        let mut all = Vec::new();
        for _ in 0..10 {
            all.push(Sse::open(&ana, "/events").await);
        }
        ana.get("/events").await.refused(429, "streams.too_many");
        let _bobs = Sse::open(&bob, "/events").await;
        all.pop();
        crate::app::eventually("a free place", async || match ana.get("/events").await.status {
            200 => Ok(()),
            status => Err(status),
        })
        .await;
        app.stop().await;
    }

    async fn a_drain_ends_streams_at_once(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.shutdown.drain_s = PATIENCE.as_secs()).await;
        let ana = app.register().await;
        let mut all = [Sse::open(&ana, "/events").await, Sse::open(&ana, "/events").await];
        let begun = Instant::now();
        let stopped = tokio::spawn(app.stop());
        for sse in &mut all {
            sse.ends().await;
        }
        stopped.await.unwrap();
        assert!(begun.elapsed() < BUSY, "{:?}", begun.elapsed());
    }

    async fn proxies_and_compression_hold_nothing_back(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let zipped = ana.sending("accept-encoding", "gzip");
        let answer = zipped.get("/events").await;
        assert_eq!(answer.header("content-type"), "text/event-stream");
        assert_eq!((answer.header("x-accel-buffering"), answer.header("cache-control")), ("no", "no-cache"));
        assert!(!answer.headers.contains_key("content-encoding"));
        let mut sse = Sse::open(&zipped, "/events").await;
        ana.plant(1000.0).await;
        assert_eq!(sse.happens().await.event().0, "created");
        app.stop().await;
    }
}

async fn two_replicas(database: &TestDatabase, redis: &TestRedis) -> (TestApp, TestApp) {
    let start = async || {
        let url = safire::config::SecretUrl::from(redis.url());
        TestApp::with(database, |config, _| config.cache.redis_url = Some(url)).await
    };
    (start().await, start().await)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn replicas_tell_of_what_happens_at_the_other() {
    let (database, redis) = (TestDatabase::postgres().await, TestRedis::start());
    let (one, other) = two_replicas(&database, &redis).await;
    let ana = one.register().await;
    let there = other.anonymous().with_token(ana.token.as_ref().unwrap());
    let mut sse = Sse::open(&there, "/events").await;
    let project = ana.project().await;
    for _ in 0..20 {
        let scenario = ana.scenario(&project, of_capacity(1000.0)).await;
        assert_eq!(sse.happens().await.data["scenario_id"], json!(scenario));
    }
    let endless = ana.scenario(&project, of_capacity(ENDLESS)).await;
    let run = ana.calculate(&endless).await;
    assert_eq!(next(&mut sse, 2).await[1].event(), ("calculating", run.as_str()));
    let update = sse.soon().await;
    assert_eq!((update.topic.as_str(), &update.data["run_id"]), ("progress_update", &json!(run)));
    there.delete(&format!("/scenarios/{endless}/calculate")).await.is(200);
    assert_eq!(sse.happens().await.event(), ("cancelled", run.as_str()));
    // A ticket of one is good at the other.
    let ticket = ana.post("/events/ticket", None).await.is(201);
    let path = format!("/events?ticket={}", ticket["ticket"].as_str().unwrap());
    drop(Sse::open(&other.anonymous(), &path).await);
    one.stop().await;
    other.stop().await;
}
