//! What an import tells while it is worked on: how far it is, its log, its end.

use std::{fmt::Write, time::Duration};

use safire_test_support::{TestDatabase, TestRedis, on_both_engines};
use serde_json::{Value, json};

use crate::{
    app::{Client, ENDLESS, PANICS, TestApp, eventually, id},
    live::{Sse, Told},
};

/// A table of so many plants, of which those of these capacities, in t/yr, come last.
fn table(rows: usize, last: &[f64]) -> String {
    let mut text = "name,process,feedstock,country,plant.capacity\r\n".to_owned();
    for row in 0..rows {
        let capacity = if row % 100 == 99 { "much".to_owned() } else { (1000 + row).to_string() };
        write!(text, "Plant {row},HEFA,UCO,USA,{capacity}\r\n").unwrap();
    }
    for capacity in last {
        write!(text, "Last,HEFA,UCO,USA,{capacity}\r\n").unwrap();
    }
    text
}

async fn import(ana: &Client, project: &str, table: &str, query: &str) -> String {
    id(&ana.import(project, table.as_bytes(), query).await.is(202))
}

/// Everything that is told up to the end of the operation.
async fn to_the_end(sse: &mut Sse, operation: &str) -> Vec<Told> {
    let mut all = Vec::new();
    loop {
        let told = sse.soon().await;
        let ends = told.topic == "operation_complete" && told.data["operation_id"] == operation;
        all.push(told);
        if ends {
            return all;
        }
    }
}

/// The lines of the operation's log.
fn log<'t>(told: &'t [Told], operation: &str) -> Vec<&'t Value> {
    let lines = told.iter().filter(|told| told.topic == "log_entry" && told.data["operation_id"] == operation);
    lines.map(|told| &told.data["data"]).collect()
}

fn steps<'t>(log: &[&'t Value]) -> Vec<&'t str> {
    log.iter().map(|line| line["step"].as_str().unwrap()).collect()
}

/// Reads until the progress is that far.
async fn progress(sse: &mut Sse, stage: &str, done: i64, told: &mut Vec<Told>) -> Value {
    loop {
        let next = sse.soon().await;
        if next.topic == "progress_update" && next.data["stage"] == stage && next.data["done"] == done {
            return next.data;
        }
        told.push(next);
    }
}

on_both_engines! {
    async fn an_import_tells_of_its_rows_its_scenarios_and_its_end(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let mut sse = Sse::open(&ana, &format!("/events?project={project}")).await;
        let operation = import(&ana, &project, &table(2500, &[]), "").await;
        let told = to_the_end(&mut sse, &operation).await;
        assert_eq!(told.iter().filter(|told| told.event().0 == "created").count(), 2475);

        let log = log(&told, &operation);
        assert_eq!(steps(&log), [&["taken_up"][..], &["rows_refused"; 10], &["ended"]].concat());
        let begun = json!({ "level": "info", "message": "begun: 2500 rows", "step": "taken_up", "rows": 2500 });
        assert_eq!(log[0], &begun);
        let refused = json!({ "level": "warning", "step": "rows_refused", "created": 248, "refused": 2,
            "first_line": 101, "last_line": 201, "reason": log[1]["reason"], "message": log[1]["message"] });
        assert_eq!(log[1], &refused);
        let message = log[1]["message"].as_str().unwrap();
        assert!(message.starts_with("2 of 250 rows refused, lines 101 to 201; the first: "), "{message}");
        assert_eq!((&log[11]["state"], &log[11]["created"], &log[11]["refused"]), (&json!("succeeded"), &json!(2475), &json!(25)));

        let updates: Vec<_> = told.iter().filter(|told| told.topic == "progress_update").map(|told| &told.data).collect();
        assert!(!updates.is_empty(), "no progress");
        let done: Vec<_> = updates.iter().map(|update| update["done"].as_i64().unwrap()).collect();
        assert!(done.is_sorted() && done.iter().all(|done| done % 250 == 0), "{done:?}");
        for update in updates {
            let about = (&update["operation_id"], &update["project_id"], &update["total"], &update["stage"]);
            assert_eq!(about, (&json!(operation), &json!(project), &json!(2500), &json!("making scenarios")));
        }
        let end = &told.last().unwrap().data;
        assert_eq!((&end["event"], &end["data"]), (&json!("completed"), &json!({ "state": "succeeded" })));
        assert!(sse.is_quiet(Duration::from_millis(400)).await, "something is told after the end");
        app.stop().await;
    }

    async fn an_import_tells_of_its_calculations(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let mut sse = Sse::open(&ana, &format!("/events?project={project}")).await;
        let operation = import(&ana, &project, &table(2, &[PANICS, ENDLESS]), "?calculate=true").await;
        let mut told = Vec::new();
        let begun = progress(&mut sse, "calculating", 4, &mut told).await;
        assert_eq!((&begun["total"], &begun["percent"]), (&json!(8), &json!(50.0)));
        let endless = eventually("the endless one is left", async || {
            let scenarios = ana.get(&format!("/projects/{project}/scenarios")).await.is(200);
            let calculating: Vec<_> =
                scenarios["items"].as_array().unwrap().iter().filter(|one| one["status"] == "calculating").collect();
            let ended = scenarios["items"].as_array().unwrap().iter().filter(|one| one["status"] != "draft").count();
            if let ([one], 4) = (&calculating[..], ended) { Ok(id(one)) } else { Err(scenarios) }
        })
        .await;
        ana.delete(&format!("/scenarios/{endless}/calculate")).await.is(200);
        told.extend(to_the_end(&mut sse, &operation).await);
        let log = log(&told, &operation);
        assert_eq!(steps(&log), ["taken_up", "calculating", "calculated", "ended"]);
        assert_eq!(log[1]["scenarios"], 4);
        assert_eq!((&log[2]["level"], &log[2]["calculated"], &log[2]["not_calculated"]), (&json!("warning"), &json!(2), &json!(2)));
        app.stop().await;
    }

    async fn an_import_that_is_handed_on_says_so_and_goes_on_where_it_was(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.shutdown.drain_s = 0).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let mut sse = Sse::open(&ana, &format!("/events?project={project}")).await;
        let operation = import(&ana, &project, &table(0, &[ENDLESS]), "?calculate=true").await;
        let mut told = Vec::new();
        progress(&mut sse, "calculating", 1, &mut told).await;
        let last = sse.last_id.clone();
        app.drain().await;

        let app = TestApp::start(database).await;
        let ana = app.anonymous().with_token(ana.token.as_ref().unwrap());
        let mut sse = Sse::resume(&ana, &format!("/events?operation={operation}"), last.as_deref()).await.unwrap();
        progress(&mut sse, "calculating", 1, &mut told).await;
        let scenario = id(&ana.get(&format!("/projects/{project}/scenarios")).await.is(200)["items"][0]);
        ana.reaches(&scenario, "running").await;
        ana.delete(&format!("/operations/{operation}")).await.is(200);
        told.extend(to_the_end(&mut sse, &operation).await);
        let log = log(&told, &operation);
        assert_eq!(steps(&log), ["taken_up", "calculating", "resumed", "ended"]);
        assert_eq!((&log[2]["attempt"], &log[2]["done"], &log[2]["rows"]), (&json!(2), &json!(1), &json!(1)));
        assert_eq!(log[3]["message"], "cancelled; 1 scenarios made, 0 rows refused");
        ana.delete(&format!("/scenarios/{scenario}/calculate")).await.is(200);
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn progress_of_an_import_is_told_at_other_replicas() {
    let (database, redis) = (TestDatabase::postgres().await, TestRedis::start());
    let start = async || {
        let url = safire::config::SecretUrl::from(redis.url());
        TestApp::with(&database, |config, _| config.cache.redis_url = Some(url)).await
    };
    let (one, other) = (start().await, start().await);
    let ana = one.register().await;
    let project = ana.project().await;
    let mut all = Vec::new();
    for app in [&one, &other] {
        let there = app.anonymous().with_token(ana.token.as_ref().unwrap());
        all.push(Sse::open(&there, &format!("/events?project={project}")).await);
    }
    let operation = import(&ana, &project, &table(0, &[ENDLESS]), "?calculate=true").await;
    for sse in &mut all {
        let update = progress(sse, "calculating", 1, &mut Vec::new()).await;
        assert_eq!((&update["operation_id"], &update["total"]), (&json!(operation), &json!(2)));
    }
    let scenario = id(&ana.get(&format!("/projects/{project}/scenarios")).await.is(200)["items"][0]);
    ana.reaches(&scenario, "running").await;
    ana.delete(&format!("/operations/{operation}")).await.is(200);
    ana.delete(&format!("/scenarios/{scenario}/calculate")).await.is(200);
    for sse in &mut all {
        to_the_end(sse, &operation).await;
    }
    one.stop().await;
    other.stop().await;
}
