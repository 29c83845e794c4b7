//! How often one may ask.

use std::time::{Duration, Instant};

use futures::future::join_all;
use safire::config::{Limits, SecretUrl};
use safire_test_support::{TestDatabase, TestRedis, on_both_engines};
use serde_json::{Value, json};

use crate::app::{ADMIN, Answer, TestApp, eventually};

async fn limited(database: &TestDatabase, limits: Limits) -> TestApp {
    TestApp::with(database, |config, _| config.limits = limits).await
}

async fn with_redis(database: &TestDatabase, redis: &TestRedis, limits: Limits) -> TestApp {
    let app = TestApp::with(database, |config, _| {
        config.limits = limits;
        config.cache.redis_url = Some(SecretUrl::from(redis.url()));
    })
    .await;
    eventually("redis", async || {
        let health = app.anonymous().get("/health").await.is(200);
        if health["status"] == "healthy" { Ok(()) } else { Err(health) }
    })
    .await;
    app
}

/// Asks until it is refused, which has to be when the rule says so; returns what was allowed.
async fn exhaust(rule: &str, burst: u64, window: u64, mut ask: impl AsyncFnMut() -> Answer) -> Vec<Value> {
    let begun = Instant::now();
    let mut allowed = Vec::new();
    loop {
        let answer = ask().await;
        let policy = format!("\"{rule}\";q={burst};w={window}");
        assert!(answer.header("ratelimit-policy").contains(&policy), "{answer:?}");
        let (left, until) = left(&answer, rule);
        assert!(left < burst && until <= window, "{answer:?}");
        if answer.status == 429 {
            assert_eq!(left, 0);
            refused(answer, window.div_ceil(burst));
            break;
        }
        assert!(answer.headers.get("retry-after").is_none(), "{answer:?}");
        allowed.push(answer.json);
    }
    // While we ask, the bucket fills again.
    let refilled = begun.elapsed().as_secs() * burst / window + 1;
    let number = allowed.len() as u64;
    assert!((burst..=burst + refilled).contains(&number), "{rule}: {number} of {burst} were allowed");
    allowed
}

/// What is left of that rule, and for how many seconds.
#[track_caller]
fn left(answer: &Answer, rule: &str) -> (u64, u64) {
    let start = format!("\"{rule}\";");
    let items = answer.header("ratelimit").split(", ");
    let item = items.filter_map(|item| item.strip_prefix(&start)).next().expect("the rule is told");
    let (left, until) = item.split_once(';').expect("two parameters");
    let number = |text: &str, name: &str| text.strip_prefix(name).unwrap().parse().unwrap();
    (number(left, "r="), number(until, "t="))
}

/// A refusal that says to wait, at most that many seconds.
#[track_caller]
fn refused(answer: Answer, most: u64) {
    let wait: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=most).contains(&wait), "{answer:?}");
    answer.refused(429, "rate_limited");
}

/// A refresh that says where it comes from: 401, or 429 when that place has asked too often.
async fn refresh_from(app: &TestApp, forwarded: &str) -> u16 {
    let url = format!("http://{}/api/v1/auth/refresh", app.service().address());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(url).header("content-type", "application/json").header("x-forwarded-for", forwarded);
    request.body(r#"{"refresh_token":"none"}"#).send().await.unwrap().status().as_u16()
}

async fn refresh(app: &TestApp) -> Answer {
    app.anonymous().post("/auth/refresh", json!({ "refresh_token": "none" })).await
}

fn plant() -> Value {
    json!({ "process": "HEFA", "feedstock": "UCO", "country": "USA", "inputs": {} })
}

on_both_engines! {
    async fn each_rule_refuses_who_asks_too_often_and_says_when_to_ask_again(database: &TestDatabase) {
        let app = limited(database, Limits::default()).await;
        let anonymous = app.anonymous();
        let admin = json!({ "email": ADMIN.0, "password": ADMIN.1 });
        let tokens = exhaust("login", 5, 60, async || anonymous.post("/auth/login", admin.clone()).await).await;
        let mut count = 0;
        let accounts = exhaust("register", 3, 3600, async || {
            count += 1;
            let email = format!("ana-{count}@example.com");
            anonymous.post("/auth/register", json!({ "email": email, "name": "Ana", "password": ADMIN.1 })).await
        });
        assert!(accounts.await.iter().all(|account| account["email"].is_string()));
        exhaust("refresh", 10, 60, async || refresh(&app).await).await;
        let admin = anonymous.with_token(tokens[0]["access_token"].as_str().expect("a token"));
        let plants = exhaust("quick", 120, 60, async || admin.post("/calculate/quick", plant()).await).await;
        assert!(plants.iter().all(|plant| plant["result"].is_object()));
        // What is refused by one rule is not by the others.
        let projects = admin.get("/projects").await;
        assert!(projects.header("ratelimit-policy").starts_with("\"requests\";q=600;w=60"), "{projects:?}");
        assert!(left(&projects, "requests").0 > 400);
        projects.is(200);
        app.stop().await;
    }

    async fn the_general_limit_counts_a_user_by_token_and_key_and_a_stranger_by_address(database: &TestDatabase) {
        let app = limited(database, Limits { requests_per_minute: 6, ..Limits::OFF }).await;
        let (ana, bob) = (app.register().await, app.register().await);
        let key = ana.post("/auth/keys", json!({ "name": "notebook" })).await.is(201);
        let program = ana.with_token(key["secret"].as_str().unwrap());
        let mut turn = 0;
        let allowed = async || {
            turn += 1;
            if turn % 2 == 0 { ana.get("/projects").await } else { program.get("/projects").await }
        };
        // One went into making the key.
        let begun = Instant::now();
        let answers = count_until_refused(allowed).await;
        assert!((5..=6 + begun.elapsed().as_secs() / 10).contains(&answers), "{answers} were allowed");
        bob.get("/projects").await.is(200);
        // Two registrations and two logins came from here, and what is no token is nobody's.
        let nobody = app.anonymous().with_token("nothing");
        let strangers = count_until_refused(async || nobody.get("/projects").await).await;
        assert!((2..=3 + begun.elapsed().as_secs() / 10).contains(&strangers), "{strangers} were allowed");
        refused(app.anonymous().get("/auth/me").await, 10);
        bob.get("/projects").await.is(200);
        app.stop().await;
    }

    async fn calculations_are_counted_by_user_and_over_all_routes(database: &TestDatabase) {
        let app = limited(database, Limits { calculate_per_minute: 3, ..Limits::OFF }).await;
        let (ana, bob) = (app.register().await, app.register().await);
        let scenario = ana.plant(1e5).await;
        ana.calculate(&scenario).await;
        ana.reaches(&scenario, "succeeded").await;
        ana.post(&format!("/scenarios/{scenario}/calculate/sync"), None).await.is(200);
        let breakeven = json!({ "input": "/feedstocks/UCO/price", "metric": "npv", "target": 0 });
        ana.post(&format!("/scenarios/{scenario}/breakeven"), breakeven.clone()).await.is(200);
        for path in ["breakeven", "calculate"] {
            refused(ana.post(&format!("/scenarios/{scenario}/{path}"), breakeven.clone()).await, 20);
        }
        ana.get("/projects").await.is(200);
        ana.post("/calculate/quick", plant()).await.is(200);
        let theirs = bob.plant(1e5).await;
        bob.post(&format!("/scenarios/{theirs}/calculate/sync"), None).await.is(200);
        app.stop().await;
    }

    async fn a_preview_may_follow_every_change_and_costs_what_it_is(database: &TestDatabase) {
        let limits = Limits { quick_per_minute: Limits::default().quick_per_minute, ..Limits::OFF };
        let app = limited(database, limits).await;
        let ana = app.register().await;
        for _ in 0..50 {
            ana.post("/calculate/quick", plant()).await.is(200);
        }
        let quick = async |samples: u32| {
            let mut asked = plant();
            asked["analysis"] = json!({ "analysis": "monte-carlo", "samples": samples, "seed": 1, "metrics": ["npv"],
                "inputs": [{ "input": "/feedstocks/UCO/price", "unit": "USD/t",
                             "distribution": { "kind": "uniform", "min": 800, "max": 1000 } }] });
            ana.post("/calculate/quick", asked).await
        };
        let before = left(&quick(1000).await, "quick").0;
        let answer = quick(200_000).await;
        let after = left(&answer, "quick").0;
        // A unit comes back every half second.
        assert!((17..=21).contains(&(before - after)), "{before} before, {after} after");
        answer.is(200);
        let begun = Instant::now();
        let refused = quick(1_000_000).await;
        // What is short of the hundred units comes back at two a second.
        let waits: u64 = refused.header("retry-after").parse().unwrap();
        let short = (101 - after).div_ceil(2);
        assert!(waits <= short && waits + begun.elapsed().as_secs() + 2 >= short, "{waits} s for {short}");
        refused.refused(429, "rate_limited");
        app.stop().await;
    }

    async fn a_batch_is_one_request_that_costs_by_its_plants(database: &TestDatabase) {
        let limits = Limits { quick_per_minute: 30, ..Limits::OFF };
        let app = limited(database, limits).await;
        let ana = app.register().await;
        let batch = |plants: usize| json!({ "plants": vec![plant(); plants] });
        let answer = ana.post("/calculate:batch", batch(100)).await;
        let left = left(&answer, "quick").0;
        assert!((19..=22).contains(&left), "{left}");
        assert_eq!(answer.is(200)["calculated"], 100);
        ana.post("/calculate:batch", batch(9)).await.is(200);
        ana.post("/calculate:batch", batch(1000)).await.refused(429, "rate_limited");
        app.stop().await;
    }

    async fn zero_switches_a_limit_off(database: &TestDatabase) {
        let app = limited(database, Limits::OFF).await;
        for answer in join_all((0..50).map(|_| refresh(&app))).await {
            assert!(["ratelimit", "ratelimit-policy"].iter().all(|name| !answer.headers.contains_key(*name)));
            answer.refused(401, "unauthorized");
        }
        app.stop().await;
    }

    async fn health_is_never_limited(database: &TestDatabase) {
        let app = limited(database, Limits { requests_per_minute: 1, ..Limits::OFF }).await;
        app.anonymous().get("/projects").await.refused(401, "unauthorized");
        refused(app.anonymous().get("/projects").await, 60);
        for path in ["/health", "/health/live", "/health/ready", "/openapi.json"] {
            for _ in 0..20 {
                let answer = app.anonymous().get(path).await;
                assert!(!answer.headers.contains_key("ratelimit"), "{answer:?}");
                answer.is(200);
            }
        }
        app.stop().await;
    }

    async fn a_stranger_who_names_other_addresses_is_counted_by_their_own(database: &TestDatabase) {
        let app = limited(database, Limits { refresh_per_minute: 2, ..Limits::OFF }).await;
        let mut statuses = Vec::new();
        for n in 1..=3 {
            statuses.push(refresh_from(&app, &format!("203.0.113.{n}")).await);
        }
        assert_eq!(statuses, [401, 401, 429]);
        app.stop().await;
    }

    async fn a_trusted_proxy_names_the_client_at_the_right_most_hop_that_is_not_trusted(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| {
            config.limits = Limits { refresh_per_minute: 2, ..Limits::OFF };
            config.http.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        })
        .await;
        for n in 1..=5 {
            assert_eq!(refresh_from(&app, &format!("203.0.113.{n}")).await, 401);
        }
        // What the client itself made up stands to the left.
        let mut statuses = Vec::new();
        for n in 1..=3 {
            statuses.push(refresh_from(&app, &format!("192.0.2.{n}, 198.51.100.7, 127.0.0.1")).await);
        }
        assert_eq!(statuses, [401, 401, 429]);
        // An IPv6 client is its /64.
        assert_eq!(refresh_from(&app, "2001:db8::1").await, 401);
        assert_eq!(refresh_from(&app, "2001:db8::2").await, 401);
        assert_eq!(refresh_from(&app, "2001:db8::3").await, 429);
        assert_eq!(refresh_from(&app, "2001:db8:0:1::3").await, 401);
        app.stop().await;
    }

    needs "needs Redis: run ./test"
    async fn redis_frozen_and_killed_under_load_fails_no_request_and_limits_go_on(database: &TestDatabase) {
        let mut redis = TestRedis::start();
        let limits = Limits { register_per_hour: 1, requests_per_minute: 1_000_000, ..Limits::OFF };
        let app = with_redis(database, &redis, limits).await;
        let ana = app.register().await;
        let load = async |milliseconds| {
            let begun = Instant::now();
            let callers = (0..8).map(async |_| {
                let mut served = 0;
                while begun.elapsed() < Duration::from_millis(milliseconds) {
                    let answer = ana.get("/projects").await;
                    assert!(left(&answer, "requests").0 > 0);
                    answer.is(200);
                    served += 1;
                }
                served
            });
            join_all(callers).await.into_iter().sum::<u32>()
        };
        let later = async |milliseconds| tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        let account = |email: &str| json!({ "email": email, "name": "Ana", "password": ADMIN.1 });
        refused(app.anonymous().post("/auth/register", account("a@example.com")).await, 3600);
        let (served, ()) = tokio::join!(load(1500), async { later(300).await; redis.stop() });
        assert!(served > 8, "{served} requests in all");
        // This process counts by itself now, from the beginning.
        app.anonymous().post("/auth/register", account("a@example.com")).await.is(201);
        refused(app.anonymous().post("/auth/register", account("b@example.com")).await, 3600);
        redis.cont();
        load(1200).await;
        let (served, ()) = tokio::join!(load(1500), async { later(300).await; redis.kill() });
        assert!(served > 8, "{served} requests in all");
        refused(app.anonymous().post("/auth/register", account("c@example.com")).await, 3600);
        redis.restart();
        // The new Redis knows of no registration; this process does.
        eventually("shared counts", async || {
            let answer = app.anonymous().post("/auth/register", account("c@example.com")).await;
            if answer.status == 201 { Ok(()) } else { Err(answer) }
        })
        .await;
        app.stop().await;
    }
}

/// Asks until it is refused; returns how often it was not.
async fn count_until_refused(mut ask: impl AsyncFnMut() -> Answer) -> u64 {
    let mut allowed = 0;
    loop {
        let answer = ask().await;
        if answer.status == 429 {
            refused(answer, 60);
            return allowed;
        }
        allowed += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Redis: run ./test"]
async fn two_services_on_one_redis_share_the_counts() {
    let database = &TestDatabase::postgres().await;
    let redis = TestRedis::start();
    let limits = || Limits { register_per_hour: 3, quick_per_minute: 2, ..Limits::OFF };
    let first = with_redis(database, &redis, limits()).await;
    let second = with_redis(database, &redis, limits()).await;
    let ana = first.register().await;
    let there = second.anonymous().with_token(ana.token.as_ref().unwrap());
    ana.post("/calculate/quick", plant()).await.is(200);
    assert_eq!(left(&there.post("/calculate/quick", plant()).await, "quick").0, 0);
    refused(ana.post("/calculate/quick", plant()).await, 30);
    refused(there.post("/calculate/quick", plant()).await, 30);

    let accounts = (0..20).map(|n| {
        let app = if n % 2 == 0 { &first } else { &second };
        let account = json!({ "email": format!("at-once-{n}@example.com"), "name": "Ana", "password": ADMIN.1 });
        async move { app.anonymous().post("/auth/register", account).await.status }
    });
    let statuses = join_all(accounts).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 2, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 18, "{statuses:?}");
    first.stop().await;
    second.stop().await;
}
