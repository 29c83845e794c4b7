//! Users: what can be written of them, by whom, and that it counts at once.

use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::app::{Client, PASSWORD, TestApp, first_error, id};

/// A new zone of that id.
pub async fn make_zone(admin: &Client, zone: &str) {
    admin.post("/zones", json!({ "zone_id": zone, "name": zone })).await.is(201);
}

/// A new user, signed in: `owner` is `owner@example.com` and `g:owner`.
pub async fn make_member(admin: &Client, name: &str, role: &str, zone: Option<&str>) -> (String, Client) {
    let email = format!("{name}@example.com");
    let user = json!({
        "name": name, "global_id": format!("g:{name}"), "email": email, "password": PASSWORD,
        "role": role, "zone_id": zone,
    });
    let user = id(&admin.post("/users", user).await.is(201));
    (user, admin.login(&email, PASSWORD).await)
}

/// Every field that is wrong: pointer and code.
pub fn errors(refused: &Value) -> Vec<(&str, &str)> {
    let errors = refused["errors"].as_array().unwrap_or_else(|| panic!("no errors in {refused}"));
    errors.iter().map(|e| (e["pointer"].as_str().expect("a pointer"), e["code"].as_str().expect("a code"))).collect()
}

/// The body with one more field.
pub fn with(body: &Value, field: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[field] = value;
    body
}

/// Fields that are nobody's to give, and a value for each.
fn ungivable(stranger: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("id", json!(stranger)),
        ("version", json!(9)),
        ("created_at", json!("2020-01-01T00:00:00Z")),
        ("updated_at", json!("2020-01-01T00:00:00Z")),
        ("password_hash", json!("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaA")),
        ("status", json!("calculated")),
        ("owner_id", json!(stranger)),
        ("is_admin", json!(true)),
    ]
}

async fn dict(user: &Client) -> Value {
    let cached = user.get("/users-dict").await.is(200);
    assert_eq!(cached, user.get("/users-dict?use_cache=false").await.is(200), "the cache is behind");
    cached
}

on_both_engines! {
    async fn no_body_can_give_what_the_service_decides(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        make_zone(&admin, "north").await;
        let (bob, _) = make_member(&admin, "bob", "analyst", Some("north")).await;
        let (ana_id, ana) = make_member(&admin, "ana", "analyst", Some("north")).await;
        let project = ana.project().await;
        let scenario = ana.scenario(&project, json!({})).await;
        let (user_path, project_path) = (format!("/users/{ana_id}"), format!("/projects/{project}"));
        let scenario_path = format!("/scenarios/{scenario}");
        let scenarios_path = format!("{project_path}/scenarios");
        let transfer_path = format!("{user_path}/transfer");
        let account = json!({ "email": "new@example.com", "name": "N", "password": PASSWORD });
        let whole = json!({ "name": "N", "global_id": "n", "role": "analyst" });
        let text = json!({ "name": "N", "description": "" });
        let plant = json!({ "name": "N", "process": "HEFA", "feedstock": "UCO", "country": "USA" });
        let zone = json!({ "zone_id": "south", "name": "S" });
        let looked_at = [&*user_path, &project_path, &scenario_path, &scenarios_path, "/users", "/zones", "/projects"];
        let look = async || {
            let mut all = Vec::new();
            for path in looked_at {
                all.push(admin.get(path).await.is(200));
            }
            all
        };
        let before = look().await;
        let requests = [
            (&admin, "POST", "/users", json!({ "name": "N" })),
            (&admin, "PUT", &*user_path, whole),
            (&admin, "PATCH", &user_path, json!({ "name": "N" })),
            (&ana, "PATCH", &user_path, json!({ "name": "N" })),
            (&admin, "POST", &transfer_path, json!({ "zone_id": null })),
            (&admin, "POST", "/zones", zone),
            (&admin, "PUT", "/zones/north", text.clone()),
            (&ana, "POST", "/auth/register", account.clone()),
            (&ana, "POST", "/projects", json!({ "name": "N" })),
            (&ana, "PUT", &project_path, text),
            (&ana, "PATCH", &project_path, json!({ "name": "N" })),
            (&ana, "POST", &scenarios_path, plant.clone()),
            (&ana, "PUT", &scenario_path, plant),
            (&ana, "PATCH", &scenario_path, json!({ "name": "N" })),
        ];
        for (user, method, path, body) in requests {
            for (field, value) in ungivable(&bob) {
                let answer = user.send(method.parse().unwrap(), path, Some(with(&body, field, value))).await;
                assert_eq!(answer.status, 422, "{field} in {method} {path}: {}", answer.json);
                assert_eq!(errors(&answer.json), [(&*format!("/{field}"), "field.unknown")], "{method} {path}");
            }
        }
        for (field, value) in [("role", json!("admin")), ("zone_id", json!("north")), ("global_id", json!("g"))] {
            let refused = app.anonymous().post("/auth/register", with(&account, field, value)).await;
            assert_eq!(first_error(&refused.is(422)), (&*format!("/{field}"), "field.unknown"));
        }
        for (field, value) in ungivable(&bob).into_iter().chain([("password", json!(PASSWORD))]) {
            let users = json!({ "users": [{ "name": "N" }, with(&json!({ "name": "N" }), field, value)] });
            let refused = admin.post("/users/bulk", users).await.is(422);
            assert_eq!(first_error(&refused), (&*format!("/users/1/{field}"), "field.unknown"));
        }
        assert_eq!(look().await, before);
        app.stop().await;
    }

    async fn of_oneself_one_changes_the_name_and_nothing_else(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        make_zone(&admin, "north").await;
        make_zone(&admin, "south").await;
        for role in ["analyst", "viewer"] {
            let (own, user) = make_member(&admin, role, role, Some("north")).await;
            let path = format!("/users/{own}");
            let named = user.patch(&path, json!({ "name": "Olga" })).await.is(200);
            assert_eq!((&named["name"], &named["role"], &named["version"]), (&json!("Olga"), &json!(role), &json!(2)));
            let forbidden = [
                ("role", json!("admin")),
                ("role", json!(role)),
                ("zone_id", json!("south")),
                ("zone_id", Value::Null),
                ("email", json!("z@example.com")),
                ("email", Value::Null),
                ("global_id", json!("z")),
            ];
            for (field, value) in forbidden {
                let refused = user.patch(&path, with(&json!({ "name": "X" }), field, value)).await;
                let refused = refused.refused(403, "forbidden");
                assert_eq!(errors(&refused), [(&*format!("/{field}"), "field.forbidden")]);
            }
            assert_eq!(user.get("/auth/me").await.is(200), named);
        }
        app.stop().await;
    }

    async fn what_is_taken_or_not_there_is_refused_and_changes_nothing(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        let (ana_id, ana) = make_member(&admin, "ana", "analyst", None).await;
        let (bob_id, _) = make_member(&admin, "bob", "analyst", None).await;
        let me = id(&admin.get("/auth/me").await.is(200));
        let before = admin.get("/users").await.is(200);
        let bob = format!("/users/{bob_id}");
        let whole = json!({ "name": "B", "global_id": "g:bob", "role": "analyst", "email": "bob@example.com" });
        let clashes = [
            ("email", json!("ana@example.com"), 409, "email.taken", "email.taken"),
            ("email", json!("ANA@example.com"), 409, "email.taken", "email.taken"),
            ("global_id", json!("g:ana"), 409, "global_id.taken", "global_id.taken"),
            ("zone_id", json!("nowhere"), 422, "body.invalid", "zone.unknown"),
        ];
        for (field, value, status, code, error) in clashes {
            let asked = [
                admin.post("/users", with(&json!({ "name": "N" }), field, value.clone())).await,
                admin.patch(&bob, with(&json!({}), field, value.clone())).await,
                admin.put(&bob, with(&whole, field, value)).await,
            ];
            for answer in asked {
                assert_eq!(errors(&answer.refused(status, code)), [(&*format!("/{field}"), error)]);
            }
        }
        let nowhere = admin.post(&format!("{bob}/transfer"), json!({ "zone_id": "nowhere" })).await;
        assert_eq!(first_error(&nowhere.refused(422, "body.invalid")), ("/zone_id", "zone.unknown"));
        let account = json!({ "email": "ana@example.com", "name": "A", "password": PASSWORD });
        app.anonymous().post("/auth/register", account).await.refused(409, "email.taken");

        admin.delete(&format!("/users/{me}")).await.refused(409, "user.is_self");
        admin.patch(&format!("/users/{me}"), json!({ "role": "analyst" })).await.refused(409, "user.is_self");
        let project = ana.project().await;
        admin.delete(&format!("/users/{ana_id}")).await.refused(409, "user.owns_projects");
        ana.get(&format!("/projects/{project}")).await.is(200);
        assert_eq!(admin.get("/users").await.is(200), before);

        ana.delete(&format!("/projects/{project}")).await.is(204);
        admin.delete(&format!("/users/{ana_id}")).await.is(204);
        app.stop().await;
    }

    async fn a_thousand_users_are_made_at_once_or_none_of_them(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        let total = async || admin.get("/stats/users").await.is(200)["total"].clone();
        let rows = |prefix: &str, count: usize| -> Vec<Value> {
            (0..count).map(|n| json!({ "name": "N", "global_id": format!("{prefix}{n}") })).collect()
        };
        let made = admin.post("/users/bulk", json!({ "users": rows("a", 1000) })).await.is(201);
        let made = made["users"].as_array().expect("users").iter();
        let ids: Vec<_> = made.map(|user| user["global_id"].clone()).collect();
        assert_eq!(ids, (0..1000).map(|n| json!(format!("a{n}"))).collect::<Vec<_>>());
        assert_eq!(total().await, 1001);

        for count in [0, 1001] {
            let refused = admin.post("/users/bulk", json!({ "users": rows("b", count) })).await.is(422);
            assert_eq!(first_error(&refused), ("/users", "out_of_range"));
        }
        let mut users = rows("b", 100);
        users[17]["global_id"] = json!("a500");
        let refused = admin.post("/users/bulk", json!({ "users": users })).await.refused(409, "global_id.taken");
        assert_eq!(errors(&refused), [("/users/17/global_id", "global_id.taken")]);
        users[3]["email"] = json!(crate::app::ADMIN.0);
        users[4]["zone_id"] = json!("nowhere");
        let refused = admin.post("/users/bulk", json!({ "users": users })).await.refused(422, "body.invalid");
        for error in [("/users/3/email", "email.taken"), ("/users/4/zone_id", "zone.unknown")] {
            assert!(errors(&refused).contains(&error), "{error:?} in {refused}");
        }
        users[17]["global_id"] = json!("b16");
        let refused = admin.post("/users/bulk", json!({ "users": users })).await.is(422);
        assert_eq!(errors(&refused), [("/users/17/global_id", "repeated")]);
        assert_eq!(total().await, 1001);
        assert_eq!(dict(&admin).await.as_object().map(|names| names.len()), Some(1001));
        app.stop().await;
    }

    async fn the_directory_follows_every_kind_of_write(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        dict(&admin).await;
        let (ana_id, ana) = make_member(&admin, "ana", "analyst", None).await;
        assert_eq!(dict(&ana).await["g:ana"], "ana");
        let path = format!("/users/{ana_id}");
        ana.patch(&path, json!({ "name": "Olga" })).await.is(200);
        assert_eq!(dict(&ana).await["g:ana"], "Olga");
        let whole = json!({ "name": "Ada", "global_id": "g:ada", "role": "viewer", "email": "ana@example.com" });
        admin.put(&path, whole).await.is(200);
        let names = dict(&ana).await;
        assert_eq!((&names["g:ada"], names.get("g:ana")), (&json!("Ada"), None));
        let bulk = json!({ "users": [{ "name": "Bo", "global_id": "bo" }, { "name": "Cy", "global_id": "cy" }] });
        admin.post("/users/bulk", bulk).await.is(201);
        assert_eq!(dict(&admin).await["cy"], "Cy");
        let account = json!({ "email": "r@example.com", "name": "Rea", "password": PASSWORD });
        let registered = app.anonymous().post("/auth/register", account).await.is(201);
        assert_eq!(dict(&admin).await[id(&registered)], "Rea");
        admin.delete(&path).await.is(204);
        assert_eq!(dict(&admin).await.get("g:ada"), None);
        app.stop().await;
    }

    async fn without_the_cache_the_directory_is_read_from_the_database(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let admin = app.as_admin().await;
        let cached = dict(&admin).await;
        let user = safire_test_support::analyst();
        let mut connection = database.connect().await;
        safire_store::users::insert(&mut connection, &user, None).await.expect("a user behind the service's back");
        assert_eq!(admin.get("/users-dict").await.is(200), cached);
        let fresh = admin.get("/users-dict?use_cache=false").await.is(200);
        assert_eq!(fresh[user.global_id.to_string()], json!(user.name));
        app.stop().await;
    }
}
