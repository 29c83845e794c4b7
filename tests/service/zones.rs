//! Zones: who sees whom, and that who moves, rises, falls or goes does so at once.

use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::{
    app::{Client, TestApp, first_error},
    users::{errors, make_member, make_zone, with},
};

/// The ids in a list of users.
fn ids(users: &Value) -> Vec<&str> {
    users.as_array().expect("users").iter().map(|user| user["id"].as_str().expect("an id")).collect()
}

async fn sees(user: &Client, project: &str) -> bool {
    let answer = user.get(&format!("/projects/{project}")).await;
    let listed = user.get("/projects").await.is(200)["items"].to_string().contains(project);
    assert_eq!(answer.status, if listed { 200 } else { 404 }, "{}", answer.json);
    listed
}

on_both_engines! {
    async fn a_transfer_changes_what_is_seen_with_the_next_request(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        make_zone(&admin, "north").await;
        make_zone(&admin, "south").await;
        let (ana_id, ana) = make_member(&admin, "ana", "analyst", Some("north")).await;
        let (bob_id, bob) = make_member(&admin, "bob", "analyst", Some("south")).await;
        let project = ana.project().await;
        let path = format!("/users/{bob_id}/transfer");
        for (to, inside) in [("north", true), ("south", false), ("north", true), ("", false)] {
            let to = if to.is_empty() { Value::Null } else { json!(to) };
            let moved = admin.post(&path, json!({ "zone_id": to })).await.is(200);
            assert_eq!(moved["zone_id"], to);
            assert_eq!(sees(&bob, &project).await, inside, "in {to}");
            let expected = if inside { vec![&*ana_id, &bob_id] } else { vec![&*bob_id] };
            assert_eq!(ids(&bob.get("/users").await.is(200)["items"]), expected, "in {to}");
            assert_eq!(bob.get(&format!("/users/{ana_id}")).await.status, if inside { 200 } else { 404 });
            assert_eq!(ana.get(&format!("/users/{bob_id}")).await.status, if inside { 200 } else { 404 });
        }
        let moved = admin.post(&path, json!({})).await.is(422);
        assert_eq!(first_error(&moved), ("/zone_id", "required"));

        // What one owns goes along.
        let theirs = format!("/users/{ana_id}/transfer");
        admin.post(&path, json!({ "zone_id": "south" })).await.is(200);
        assert!(!sees(&bob, &project).await);
        admin.post(&theirs, json!({ "zone_id": "south" })).await.is(200);
        assert!(sees(&bob, &project).await && sees(&ana, &project).await);
        app.stop().await;
    }

    async fn two_without_a_zone_are_strangers(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, bob) = (app.register().await, app.register().await);
        let project = ana.project().await;
        assert!(sees(&ana, &project).await && !sees(&bob, &project).await);
        assert_eq!(bob.get("/users").await.is(200)["total"], 1);
        app.stop().await;
    }

    async fn who_is_promoted_demoted_or_removed_is_so_at_once(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        let (ana_id, ana) = make_member(&admin, "ana", "analyst", None).await;
        let path = format!("/users/{ana_id}");
        let project = ana.project().await;
        let named = json!({ "name": "N" });
        let zone = json!({ "zone_id": "east", "name": "East" });
        ana.post("/zones", zone.clone()).await.refused(403, "forbidden");

        admin.patch(&path, json!({ "role": "viewer" })).await.is(200);
        ana.patch(&format!("/projects/{project}"), named.clone()).await.refused(403, "forbidden");
        ana.delete(&format!("/projects/{project}")).await.refused(403, "forbidden");
        ana.post("/projects", named.clone()).await.refused(403, "forbidden");
        assert!(sees(&ana, &project).await);

        admin.patch(&path, json!({ "role": "admin" })).await.is(200);
        ana.post("/zones", zone).await.is(201);
        ana.delete("/zones/east").await.is(204);

        admin.patch(&path, json!({ "role": "analyst" })).await.is(200);
        ana.delete("/zones/east").await.refused(403, "forbidden");
        ana.patch(&format!("/projects/{project}"), named).await.is(200);

        admin.delete(&format!("/projects/{project}")).await.is(204);
        admin.delete(&path).await.is(204);
        for own in ["/auth/me", "/projects", "/users-dict", "/auth/keys"] {
            ana.get(own).await.refused(401, "unauthorized");
        }
        let account = json!({ "email": "ana@example.com", "password": crate::app::PASSWORD });
        ana.post("/auth/login", account).await.refused(401, "unauthorized");
        admin.delete(&path).await.refused(404, "not_found");
        app.stop().await;
    }

    async fn who_belongs_to_a_zone_is_for_its_members_and_administrators(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        make_zone(&admin, "north").await;
        make_zone(&admin, "south").await;
        let (ana_id, ana) = make_member(&admin, "ana", "analyst", Some("north")).await;
        let (vera_id, vera) = make_member(&admin, "vera", "viewer", Some("north")).await;
        let (_, bob) = make_member(&admin, "bob", "analyst", Some("south")).await;
        let (_, cyd) = make_member(&admin, "cyd", "analyst", None).await;
        for user in [&ana, &vera, &admin] {
            let zone = user.get("/zones/north?include=users").await.is(200);
            assert_eq!(ids(&zone["users"]), [&*ana_id, &vera_id]);
            let page = user.get("/zones/north/users?skip=1&limit=1").await.is(200);
            assert_eq!((ids(&page["items"]), &page["total"]), (vec![&*vera_id], &json!(2)));
            assert!(!zone.to_string().contains("argon2"), "{zone}");
        }
        for user in [&bob, &cyd] {
            user.get("/zones/north?include=users").await.refused(403, "forbidden");
            user.get("/zones/north/users").await.refused(403, "forbidden");
            assert_eq!(user.get("/zones/north").await.is(200).get("users"), None);
        }
        for user in [&ana, &cyd, &admin] {
            user.get("/zones/none?include=users").await.refused(404, "not_found");
            user.get("/zones/none/users").await.refused(404, "not_found");
        }
        assert_eq!(ana.get("/zones/north?include=projects").await.status, 400);
        app.stop().await;
    }

    async fn a_zone_is_made_once_and_goes_when_it_is_empty(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        make_zone(&admin, "north").await;
        let (ana_id, _) = make_member(&admin, "ana", "analyst", Some("north")).await;
        let before = admin.get("/zones/north?include=users").await.is(200);
        let zone = json!({ "zone_id": "north", "name": "Other" });
        admin.post("/zones", zone.clone()).await.refused(409, "zone.taken");
        admin.delete("/zones/north").await.refused(409, "zone.has_members");
        let text = json!({ "name": "Other", "description": "" });
        let renamed = admin.put("/zones/north", with(&text, "zone_id", json!("south"))).await.is(422);
        assert_eq!(errors(&renamed), [("/zone_id", "field.unknown")]);
        for bad in ["", "a b", "a/b", &"x".repeat(65)] {
            let refused = admin.post("/zones", with(&zone, "zone_id", json!(bad))).await.is(422);
            assert_eq!(first_error(&refused).0, "/zone_id", "{bad:?}");
        }
        assert_eq!(admin.get("/zones/north?include=users").await.is(200), before);
        assert_eq!(admin.get("/zones").await.is(200)["total"], 1);

        let replaced = admin.put("/zones/north", text).await.is(200);
        assert_eq!((&replaced["name"], &replaced["version"]), (&json!("Other"), &json!(2)));
        admin.post(&format!("/users/{ana_id}/transfer"), json!({ "zone_id": null })).await.is(200);
        admin.delete("/zones/north").await.is(204);
        admin.delete("/zones/north").await.refused(404, "not_found");
        make_zone(&admin, "north").await;
        app.stop().await;
    }

    async fn the_statistics_count_a_known_population(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        for zone in ["south", "north", "west"] {
            make_zone(&admin, zone).await;
        }
        let (_, ana) = make_member(&admin, "ana", "analyst", Some("north")).await;
        let (_, vera) = make_member(&admin, "vera", "viewer", Some("north")).await;
        let (_, bob) = make_member(&admin, "bob", "analyst", Some("south")).await;
        for owner in [&ana, &ana, &bob, &admin] {
            owner.project().await;
        }
        let users: Vec<_> = (0..5).map(|_| json!({ "name": "N", "role": "viewer", "zone_id": "south" })).collect();
        admin.post("/users/bulk", json!({ "users": users })).await.is(201);

        let users = admin.get("/stats/users").await.is(200);
        let expected = json!({
            "total": 9,
            "by_role": { "admin": 1, "analyst": 2, "viewer": 6 },
            "by_zone": [
                { "zone_id": "north", "users": 2 },
                { "zone_id": "south", "users": 6 },
                { "zone_id": null, "users": 1 },
            ],
            "with_credentials": 4,
            "without_credentials": 5,
        });
        assert_eq!(users, expected);
        let zones = admin.get("/stats/zones").await.is(200);
        let expected = json!({
            "total": 3,
            "zones": [
                { "zone_id": "north", "name": "north", "members": 2, "projects": 2 },
                { "zone_id": "south", "name": "south", "members": 6, "projects": 1 },
                { "zone_id": "west", "name": "west", "members": 0, "projects": 0 },
            ],
        });
        assert_eq!(zones, expected);
        let users = vera.get("/stats/users").await.is(200);
        let expected = json!({
            "total": 2,
            "by_role": { "admin": 0, "analyst": 1, "viewer": 1 },
            "by_zone": [{ "zone_id": "north", "users": 2 }],
            "with_credentials": 2,
            "without_credentials": 0,
        });
        assert_eq!(users, expected);
        app.stop().await;
    }

    async fn names_and_figures_are_those_of_whom_one_may_see_whoever_asked_before(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        for zone in ["north", "south"] {
            make_zone(&admin, zone).await;
        }
        let (ana_id, ana) = make_member(&admin, "ana", "analyst", Some("north")).await;
        let (_, vera) = make_member(&admin, "vera", "viewer", Some("north")).await;
        let (_, bob) = make_member(&admin, "bob", "analyst", Some("south")).await;
        let new = app.register().await;
        let own = new.get("/auth/me").await.is(200);
        let own = json!({ own["global_id"].as_str().unwrap(): own["name"] });
        let north = json!({ "g:ana": "ana", "g:vera": "vera" });
        let seen = async |who: &Client| {
            let mut names = Vec::new();
            for query in ["", "?use_cache=false", "?use_cache=true"] {
                names.push(who.get(&format!("/users-dict{query}")).await.is(200));
            }
            assert!(names.iter().all(|these| *these == names[0]), "{names:?}");
            let zones = who.get("/stats/zones").await.is(200);
            let zones = zones["zones"].as_array().unwrap().iter().map(|zone| zone["zone_id"].clone()).collect();
            (names[0].clone(), who.get("/stats/users").await.is(200)["total"].clone(), Value::Array(zones))
        };
        // In an order in which what the one was told would be told to the next, were it kept for all.
        for _ in 0..2 {
            let (names, total, zones) = seen(&admin).await;
            assert_eq!((names.as_object().unwrap().len(), total, zones), (5, json!(5), json!(["north", "south"])));
            assert_eq!(seen(&new).await, (own.clone(), json!(1), json!([])));
            assert_eq!(seen(&ana).await, (north.clone(), json!(2), json!(["north"])));
            assert_eq!(seen(&vera).await, (north.clone(), json!(2), json!(["north"])));
            assert_eq!(seen(&bob).await, (json!({ "g:bob": "bob" }), json!(1), json!(["south"])));
        }
        // A transfer and a promotion count at once.
        admin.post(&format!("/users/{ana_id}/transfer"), json!({ "zone_id": "south" })).await.is(200);
        assert_eq!(seen(&ana).await.0, json!({ "g:ana": "ana", "g:bob": "bob" }));
        assert_eq!(seen(&vera).await, (json!({ "g:vera": "vera" }), json!(1), json!(["north"])));
        admin.patch(&format!("/users/{ana_id}"), json!({ "role": "admin" })).await.is(200);
        assert_eq!(seen(&ana).await, seen(&admin).await);
        admin.patch(&format!("/users/{ana_id}"), json!({ "role": "viewer" })).await.is(200);
        assert_eq!(seen(&ana).await.0, json!({ "g:ana": "ana", "g:bob": "bob" }));
        app.stop().await;
    }
}
