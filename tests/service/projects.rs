//! Projects, and lists a page at a time.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::future::join_all;
use safire_domain::clock::ManualClock;
use safire_test_support::{now, on_both_engines};
use serde_json::{Value, json};

use crate::{
    app::{TestApp, first_error, id},
    users::make_zone,
};

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().expect("items").iter().map(|item| item["name"].as_str().unwrap()).collect()
}

on_both_engines! {
    async fn a_project_is_made_read_and_removed(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let made = ana.post("/projects", json!({ "name": "Houston", "description": "HEFA at the Gulf" })).await;
        let location = made.header("location").to_owned();
        let made = made.is(201);
        assert_eq!(location, format!("/api/v1/projects/{}", id(&made)));
        assert_eq!((&made["version"], &made["created_at"]), (&json!(1), &made["updated_at"]));
        assert_eq!((made.get("scenario"), made.get("run")), (None, None));
        assert_eq!(ana.get(&location).await.is(200), made);
        assert_eq!(ana.delete(&location).await.is(204), Value::Null);
        ana.get(&location).await.refused(404, "not_found");
        ana.delete(&location).await.refused(404, "not_found");
        app.stop().await;
    }

    async fn replacing_a_project_needs_the_whole_and_changing_it_only_a_part(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let at = format!("/projects/{}", ana.project().await);
        let changed = ana.patch(&at, json!({ "description": "At the Gulf" })).await.is(200);
        assert_eq!(
            (&changed["name"], &changed["description"], &changed["version"]),
            (&json!("Plants"), &json!("At the Gulf"), &json!(2))
        );
        let replaced = ana.put(&at, json!({ "name": "Houston", "description": "" })).await.is(200);
        assert_eq!(
            (&replaced["name"], &replaced["description"], &replaced["version"]),
            (&json!("Houston"), &json!(""), &json!(3))
        );
        let refused = ana.put(&at, json!({ "name": "Houston" })).await.refused(422, "body.invalid");
        assert_eq!(first_error(&refused), ("/description", "required"));
        assert_eq!(ana.get(&at).await.is(200), replaced);
        app.stop().await;
    }

    async fn a_text_that_is_empty_endless_or_unprintable_is_refused(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        for name in [String::new(), "   ".into(), "x".repeat(201), "a\u{0}b".into(), "a\u{1b}[2J".into()] {
            let refused = ana.post("/projects", json!({ "name": name })).await.refused(422, "body.invalid");
            assert_eq!(refused["errors"][0]["pointer"], "/name", "{name:?}");
        }
        let refused = ana.post("/projects", json!({ "name": "P", "description": "x".repeat(2001) })).await;
        assert_eq!(refused.refused(422, "body.invalid")["errors"][0]["pointer"], "/description");
        assert_eq!(ana.get("/projects").await.is(200)["total"], 0);

        let longest = "日".repeat(200);
        let made = ana.post("/projects", json!({ "name": longest, "description": "🛩\n".repeat(1000) })).await.is(201);
        assert_eq!(made["name"], longest);
        assert_eq!(ana.get(&format!("/projects/{}", id(&made))).await.is(200), made);
        app.stop().await;
    }

    async fn lists_come_newest_first_a_page_at_a_time(database: &TestDatabase) {
        let clock = Arc::new(ManualClock::at(now()));
        let app = TestApp::with(database, |_, parts| parts.clock = clock.clone()).await;
        let (ana, bob) = (app.register().await, app.register().await);
        for n in 0..5 {
            ana.post("/projects", json!({ "name": format!("P{n}") })).await.is(201);
            clock.advance(TimeDelta::milliseconds(1));
        }
        bob.project().await;
        let page = ana.get("/projects").await.is(200);
        assert_eq!(names(&page), ["P4", "P3", "P2", "P1", "P0"]);
        assert_eq!((&page["total"], &page["skip"], &page["limit"]), (&json!(5), &json!(0), &json!(100)));
        let page = ana.get("/projects?skip=1&limit=2").await.is(200);
        assert_eq!(names(&page), ["P3", "P2"]);
        assert_eq!((&page["total"], &page["skip"], &page["limit"]), (&json!(5), &json!(1), &json!(2)));
        let beyond = ana.get("/projects?skip=9223372036854775807").await.is(200);
        assert_eq!((names(&beyond).len(), &beyond["total"]), (0, &json!(5)));
        assert_eq!(names(&bob.get("/projects?limit=200").await.is(200)), ["Plants"]);
        app.stop().await;
    }

    async fn a_list_walked_from_cursor_to_cursor_shows_everything_once(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, admin) = (app.register().await, app.as_admin().await);
        let project = ana.project().await;
        for _ in 0..3 {
            let scenario = ana.scenario(&project, json!({})).await;
            ana.project().await;
            make_zone(&admin, &format!("zone-{scenario}")).await;
        }
        app.register().await;
        let scenarios = format!("/projects/{project}/scenarios");
        for (who, list, total) in
            [(&ana, "/projects", 4), (&ana, scenarios.as_str(), 3), (&admin, "/users", 3), (&admin, "/zones", 3)]
        {
            let whole = who.get(list).await.is(200);
            assert_eq!((&whole["total"], whole.get("next_cursor")), (&json!(total), None), "{list}");
            let (mut seen, mut page) = (Vec::new(), who.get(&format!("{list}?limit=1")).await.is(200));
            loop {
                seen.extend(page["items"].as_array().unwrap().clone());
                let Some(cursor) = page["next_cursor"].as_str() else { break };
                page = who.get(&format!("{list}?limit=1&cursor={cursor}")).await.is(200);
            }
            assert_eq!(json!(seen), whole["items"], "{list}");
            if list == "/projects" {
                // A cursor does not mind what is new or gone.
                let second = id(&seen[1]);
                ana.project().await;
                ana.delete(&format!("/projects/{second}")).await.is(204);
                let rest = ana.get(&format!("/projects?cursor={second}")).await.is(200);
                assert_eq!(rest["items"], json!(seen[2..]));
            }
            let both = who.get(&format!("{list}?skip=1&cursor=0")).await.refused(422, "query.invalid");
            assert_eq!(first_error(&both), ("/skip", "conflict"));
            let none = who.get(&format!("{list}?cursor=%20")).await.refused(422, "query.invalid");
            assert_eq!(first_error(&none), ("/cursor", "format"));
        }
        app.stop().await;
    }

    async fn a_page_outside_the_bounds_is_refused_on_every_list(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let scenario = ana.scenario(&project, json!({})).await;
        for list in
            ["/projects".into(), format!("/projects/{project}/scenarios"), format!("/scenarios/{scenario}/runs")]
        {
            for (query, pointer, says) in [
                ("limit=0", "/limit", "limit is 0, allowed are 1 to 200"),
                ("limit=201", "/limit", "limit is 201, allowed are 1 to 200"),
                ("limit=-1", "/limit", "limit is -1, allowed are 1 to 200"),
                ("skip=-1", "/skip", "skip is -1, allowed is 0 or more"),
            ] {
                let refused = ana.get(&format!("{list}?{query}")).await.refused(422, "query.invalid");
                assert_eq!(first_error(&refused), (pointer, "out_of_range"));
                assert_eq!(refused["errors"][0]["message"], says);
            }
            for query in ["limit=ten", "skip=1.5", "skip=", "limit=1&limit=2", "limit=99999999999999999999"] {
                ana.get(&format!("{list}?{query}")).await.refused(400, "query.invalid");
            }
            ana.get(&format!("{list}?limit=200&skip=0")).await.is(200);
            ana.get(&format!("{list}?limit=1")).await.is(200);
        }
        app.stop().await;
    }

    async fn changes_that_meet_are_all_counted_or_refused(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let at = format!("/projects/{}", ana.project().await);
        let all = join_all((0..16).map(|n| ana.patch(&at, json!({ "name": format!("P{n}") })))).await;
        let mut done = 0;
        for answer in all {
            match answer.status {
                200 => done += 1,
                _ => drop(answer.refused(409, "contended")),
            }
        }
        assert!(done >= 1);
        assert_eq!(ana.get(&at).await.is(200)["version"], 1 + done);
        app.stop().await;
    }

    async fn what_names_nothing_is_not_found(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        for path in
            ["/projects/1", "/projects/not-an-id", "/scenarios/%00", "/projects/", "/nowhere", "/api/v2/projects"]
        {
            ana.get(path).await.refused(404, "not_found");
        }
        ana.put("/projects", json!({})).await.refused(405, "method");
        app.stop().await;
    }
}
