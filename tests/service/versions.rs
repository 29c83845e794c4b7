//! Nobody overwrites what they have not seen, and nobody reads twice what has not changed: ETag,
//! If-None-Match, If-Match.

use reqwest::{Client as Http, Method};
use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::{
    app::{Client, TestApp, id, of_capacity},
    users::make_zone,
};

/// Everything that has a version, with a change of it.
async fn versioned(ana: &Client, admin: &Client) -> Vec<(Client, String, Value)> {
    let project = ana.project().await;
    let scenario = ana.scenario(&project, json!({})).await;
    make_zone(admin, "north").await;
    let user = id(&admin.post("/users", json!({ "name": "U" })).await.is(201));
    let text = json!({ "name": "Another", "description": "d" });
    vec![
        (ana.clone(), format!("/projects/{project}"), text.clone()),
        (ana.clone(), format!("/scenarios/{scenario}"), json!({ "inputs": of_capacity(7.0) })),
        (admin.clone(), format!("/users/{user}"), json!({ "name": "Another" })),
        (admin.clone(), "/zones/north".to_owned(), text),
    ]
}

/// Zones have no PATCH.
fn method(path: &str) -> Method {
    if path.starts_with("/zones") { Method::PUT } else { Method::PATCH }
}

on_both_engines! {
    async fn what_the_client_has_is_not_sent_again(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, admin) = (app.register().await, app.as_admin().await);
        for (who, path, change) in versioned(&ana, &admin).await {
            let read = who.get(&path).await;
            let tag = read.header("etag").to_owned();
            read.is(200);
            let known = who.sending("if-none-match", &tag);
            let unchanged = known.get(&path).await;
            assert_eq!((unchanged.status, unchanged.header("etag")), (304, tag.as_str()), "{path}");
            assert_eq!(unchanged.json, Value::Null);
            let changed = who.send(method(&path), &path, Some(change)).await;
            assert_ne!(changed.header("etag"), tag);
            let read = known.get(&path).await;
            assert_eq!(read.header("etag"), changed.header("etag"));
            assert_eq!(read.is(200), changed.is(200), "{path}");
        }
        app.stop().await;
    }

    async fn a_result_has_a_tag_until_it_is_another_or_stale(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = ana.plant(1000.0).await;
        ana.calculate(&scenario).await;
        ana.reaches(&scenario, "succeeded").await;
        let path = format!("/scenarios/{scenario}/result");
        let tag = ana.get(&path).await.header("etag").to_owned();
        let known = ana.sending("if-none-match", &tag);
        assert_eq!(known.get(&path).await.status, 304);
        known.get(&format!("{path}?trace=true")).await.is(200);
        ana.patch(&format!("/scenarios/{scenario}"), json!({ "inputs": of_capacity(7.0) })).await.is(200);
        assert_eq!(known.get(&path).await.is(200)["stale"], true);
        app.stop().await;
    }

    async fn a_change_names_the_version_that_it_changes(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, admin) = (app.register().await, app.as_admin().await);
        for (who, path, change) in versioned(&ana, &admin).await {
            let read = who.get(&path).await;
            let tag = read.header("etag").to_owned();
            let before = read.is(200);
            let change = async |tag: &str| {
                who.sending("if-match", tag).send(method(&path), &path, Some(change.clone())).await
            };
            for other in ["\"0\"", "W/\"1\"", "\"01\"", "\"none\""] {
                change(other).await.refused(412, "version.changed");
            }
            assert_eq!(who.get(&path).await.is(200), before);
            change(&format!("\"0\", {tag}")).await.is(200);
            change(&tag).await.refused(412, "version.changed");
            change("*").await.is(200);
        }
        app.stop().await;
    }

    async fn a_change_without_a_version_is_asked_for_one(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, admin) = (app.register().await, app.as_admin().await);
        for (who, path, change) in versioned(&ana, &admin).await {
            let before = who.get(&path).await.is(200);
            let url = format!("http://{}/api/v1{path}", app.service().address());
            let bare = Http::new().request(method(&path), url).json(&change).bearer_auth(who.token.as_ref().unwrap());
            let refused = bare.send().await.unwrap();
            assert_eq!(refused.status(), 428, "{path}");
            assert_eq!(refused.json::<Value>().await.unwrap()["code"], "version.required");
            assert_eq!(who.get(&path).await.is(200), before);
        }
        app.stop().await;
    }

    async fn a_removal_of_another_version_removes_nothing(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, admin) = (app.register().await, app.as_admin().await);
        // A scenario goes before its project.
        for (who, path, change) in versioned(&ana, &admin).await.into_iter().rev() {
            let read = who.get(&path).await.header("etag").to_owned();
            let changed = who.send(method(&path), &path, Some(change)).await;
            let (now, changed) = (changed.header("etag").to_owned(), changed.is(200));
            for stale in [read.as_str(), "\"0\"", &format!("W/{now}"), "\"none\""] {
                who.sending("if-match", stale).delete(&path).await.refused(412, "version.changed");
            }
            assert_eq!(who.get(&path).await.is(200), changed, "{path}");
            who.sending("if-match", &format!("{read}, {now}")).delete(&path).await.is(204);
            who.sending("if-match", "*").delete(&path).await.refused(404, "not_found");
        }
        for (who, path, _) in versioned(&ana, &admin).await.into_iter().rev() {
            who.sending("if-match", "*").delete(&path).await.is(204);
        }
        app.stop().await;
    }

    async fn of_a_change_and_a_removal_of_one_version_one_succeeds(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, admin) = (app.register().await, app.as_admin().await);
        for round in 0..8 {
            for (who, path, change) in versioned(&ana, &admin).await.into_iter().rev() {
                let who = who.sending("if-match", "\"1\"");
                let (removed, changed) =
                    tokio::join!(who.delete(&path), who.send(method(&path), &path, Some(change)));
                let statuses = (removed.status, changed.status);
                assert!(matches!(statuses, (204, 404 | 412) | (412, 200)), "{path} in round {round}: {statuses:?}");
                if removed.status == 412 {
                    who.sending("if-match", "*").delete(&path).await.is(204);
                }
            }
        }
        app.stop().await;
    }

    async fn a_malformed_precondition_is_refused_and_nothing_is_done(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, admin) = (app.register().await, app.as_admin().await);
        for (who, path, change) in versioned(&ana, &admin).await {
            let before = who.get(&path).await.is(200);
            for text in ["1", "", "\"1", "*, \"1\"", "w/\"1\"", "\"1\" \"2\"", "\"a b\""] {
                let refused = who.sending("if-match", text);
                let code = "precondition.malformed";
                refused.delete(&path).await.refused(400, code);
                let told = refused.send(method(&path), &path, Some(change.clone())).await.refused(400, code);
                assert!(told["detail"].as_str().unwrap().starts_with("If-Match "), "{told}");
                let told = who.sending("if-none-match", text).get(&path).await.refused(400, code);
                assert!(told["detail"].as_str().unwrap().starts_with("If-None-Match "), "{told}");
            }
            assert_eq!(who.get(&path).await.is(200), before);
        }
        let plant = ana.plant(1000.0).await;
        let calculate = format!("/scenarios/{plant}/calculate");
        ana.sending("if-match", "1").post(&calculate, None).await.refused(400, "precondition.malformed");
        assert_eq!(ana.get(&format!("/scenarios/{plant}")).await.is(200)["status"], "draft");
        app.stop().await;
    }

    async fn of_many_who_change_one_version_one_succeeds(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let path = format!("/projects/{}", ana.project().await);
        let ana = ana.sending("if-match", "\"1\"");
        let names = (0..8).map(|n| json!({ "name": format!("Name {n}") }));
        let answers = futures::future::join_all(names.map(|name| ana.patch(&path, name))).await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
        app.stop().await;
    }
}
