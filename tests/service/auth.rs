//! Who may come in.

use std::sync::Arc;

use chrono::TimeDelta;
use safire::config::Registration;
use safire_domain::clock::ManualClock;
use safire_test_support::{now, on_both_engines};
use serde_json::{Value, json};

use crate::app::{ADMIN, PASSWORD, TestApp, first_error};

fn account(email: &str) -> Value {
    json!({ "email": email, "name": "Ana", "password": PASSWORD })
}

fn without_trace_id(mut problem: Value) -> Value {
    problem.as_object_mut().expect("an object").remove("trace_id").expect("a trace id");
    problem
}

/// `{"alg":"none","typ":"JWT"}`
const NO_ALGORITHM: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";

on_both_engines! {
    async fn who_registers_can_sign_in_and_use_the_service(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let user = app.anonymous().post("/auth/register", account("Ana@Example.com")).await.is(201);
        assert_eq!((&user["email"], &user["role"]), (&json!("ana@example.com"), &json!("analyst")));
        assert!(!user.to_string().contains("password") && !user.to_string().contains("argon2"), "{user}");

        let credentials = json!({ "email": "ANA@example.com", "password": PASSWORD });
        let token = app.anonymous().post("/auth/login", credentials).await.is(200);
        assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!(1800)));
        let ana = app.anonymous().with_token(token["access_token"].as_str().unwrap());
        let project = ana.post("/projects", json!({ "name": "Mine" })).await.is(201);
        assert_eq!(project["owner_id"], user["id"]);
        app.stop().await;
    }

    async fn a_password_is_the_same_however_a_keyboard_composes_its_letters(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (composed, decomposed) = ("M\u{fc}ller passw\u{f6}rt", "Mu\u{308}ller passwo\u{308}rt");
        for (email, registered) in [("nfc@example.com", composed), ("nfd@example.com", decomposed)] {
            let account = json!({ "email": email, "name": "Ana", "password": registered });
            app.anonymous().post("/auth/register", account).await.is(201);
            for entered in [composed, decomposed] {
                app.anonymous().login(email, entered).await.get("/auth/me").await.is(200);
            }
            let plain = json!({ "email": email, "password": "Muller passwort" });
            app.anonymous().post("/auth/login", plain).await.refused(401, "unauthorized");
        }
        // Twenty-two code points as it is sent, eleven characters as it is read.
        let short = json!({ "email": "s@example.com", "name": "S", "password": "o\u{308}".repeat(11) });
        let refused = app.anonymous().post("/auth/register", short).await.refused(422, "body.invalid");
        assert_eq!(first_error(&refused), ("/password", "length"));
        app.stop().await;
    }

    async fn a_password_that_was_hashed_as_it_was_entered_is_hashed_anew(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (composed, decomposed) = ("M\u{fc}ller passw\u{f6}rt", "Mu\u{308}ller passwo\u{308}rt");
        // argon2id of the decomposed form, as the service made it before passwords were normalised.
        let old = "$argon2id$v=19$m=64,t=1,p=1$/0HE/USOPiw1Io9kdQAtXQ$nV3/FfcnRBJh7a/DWhHMswtZg+5Fr4WCxch255KHF54";
        let user = safire_domain::user::User {
            email: Some("old@example.com".to_owned().try_into().unwrap()),
            ..safire_test_support::analyst()
        };
        let mut connection = database.connect().await;
        safire_store::users::insert(&mut connection, &user, Some(old)).await.unwrap();
        let credentials = json!({ "email": "old@example.com", "password": composed });
        app.anonymous().post("/auth/login", credentials).await.refused(401, "unauthorized");
        for entered in [decomposed, composed, decomposed] {
            app.anonymous().login("old@example.com", entered).await.get("/auth/me").await.is(200);
        }
        connection.close().await.unwrap();
        app.stop().await;
    }

    async fn a_wrong_password_and_an_unknown_address_get_the_same_answer(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        app.anonymous().post("/auth/register", account("ana@example.com")).await.is(201);
        let login = async |email: &str, password: &str| {
            let answer = app.anonymous().post("/auth/login", json!({ "email": email, "password": password })).await;
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            without_trace_id(answer.refused(401, "unauthorized"))
        };
        let wrong = login("ana@example.com", "correct horse batteries").await;
        let unknown = login("bob@example.com", PASSWORD).await;
        assert_eq!(wrong, unknown);
        app.stop().await;
    }

    async fn an_address_can_be_registered_once_however_it_is_written(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        app.anonymous().post("/auth/register", account("ana@example.com")).await.is(201);
        for again in ["ana@example.com", "ANA@example.COM"] {
            app.anonymous().post("/auth/register", account(again)).await.refused(409, "email.taken");
        }
        app.stop().await;
    }

    async fn two_who_register_one_address_at_once_get_one_account(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let anonymous = app.anonymous();
        let all = (0..8).map(|_| anonymous.post("/auth/register", account("ana@example.com")));
        let mut statuses: Vec<_> = futures::future::join_all(all).await.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
        app.stop().await;
    }

    async fn a_registration_that_is_wrong_is_refused_by_field(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let password = |length: usize| json!({ "email": "a@example.com", "name": "A", "password": "é".repeat(length) });
        let refusals = [
            (password(11), "/password", "length"),
            (password(129), "/password", "length"),
            (json!({ "email": "a", "name": "A", "password": PASSWORD }), "/email", "type"),
            (json!({ "email": "a@example.com", "name": "", "password": PASSWORD }), "/name", "type"),
            (json!({ "email": "a@example.com", "name": "A" }), "/password", "required"),
            (json!({ "email": "a@b", "name": "A", "password": PASSWORD, "role": "admin" }), "/role", "field.unknown"),
        ];
        for (body, pointer, code) in refusals {
            let refused = app.anonymous().post("/auth/register", body).await.refused(422, "body.invalid");
            assert_eq!(first_error(&refused), (pointer, code), "{refused}");
            assert!(!refused.to_string().contains(PASSWORD), "{refused}");
        }
        app.anonymous().post("/auth/register", password(12)).await.is(201);
        app.stop().await;
    }

    async fn a_closed_registration_refuses_everybody_and_the_administrator_still_signs_in(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| config.auth.registration = Registration::Closed).await;
        app.anonymous().post("/auth/register", account("ana@example.com")).await.refused(403, "forbidden");
        let login = json!({ "email": "ana@example.com", "password": PASSWORD });
        app.anonymous().post("/auth/login", login).await.refused(401, "unauthorized");
        app.as_admin().await.get("/projects").await.is(200);
        app.stop().await;
    }

    async fn a_token_is_good_for_as_long_as_it_says(database: &TestDatabase) {
        let clock = Arc::new(ManualClock::at(now()));
        let app = TestApp::with(database, |_, parts| parts.clock = clock.clone()).await;
        let ana = app.register().await;
        clock.advance(TimeDelta::minutes(30) - TimeDelta::seconds(1));
        ana.get("/projects").await.is(200);
        // Clocks of replicas may be five seconds apart.
        clock.advance(TimeDelta::seconds(1 + 5));
        let refused = ana.get("/projects").await;
        assert_eq!(refused.header("www-authenticate"), "Bearer");
        assert!(refused.refused(401, "unauthorized")["detail"].as_str().unwrap().contains("expired"));
        app.stop().await;
    }

    async fn what_is_no_token_of_this_service_is_refused(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let (ana, admin) = (app.register().await.token.unwrap(), app.as_admin().await.token.unwrap());
        let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
        let (analyst, admin) = (parts(&ana), parts(&admin));
        let forged = [
            format!("{NO_ALGORITHM}.{}.", admin[1]),
            format!("{NO_ALGORITHM}.{}.{}", admin[1], admin[2]),
            format!("{}.{}.{}", analyst[0], admin[1], analyst[2]),
            format!("{}.{}.", analyst[0], analyst[1]),
            format!("{}.{}", analyst[0], analyst[1]),
            "x".repeat(4000),
            String::new(),
        ];
        for token in forged {
            app.anonymous().with_token(&token).get("/projects").await.refused(401, "unauthorized");
        }
        app.anonymous().with_token(&ana).get("/projects").await.is(200);
        app.stop().await;
    }

    async fn a_token_signed_with_another_key_is_refused(database: &TestDatabase) {
        let other = TestApp::with(database, |config, _| {
            config.auth.jwt_secret = Some("another key that is as long as the first".into());
        })
        .await;
        let token = other.register().await.token.unwrap();
        other.stop().await;
        let app = TestApp::start(database).await;
        app.anonymous().with_token(&token).get("/projects").await.refused(401, "unauthorized");
        app.stop().await;
    }

    async fn the_first_administrator_is_made_once(database: &TestDatabase) {
        TestApp::start(database).await.stop().await;
        let app = TestApp::with(database, |config, _| {
            config.admin.email = "second@safire.local".into();
            config.admin.password = Some("another password".into());
        })
        .await;
        app.as_admin().await.post("/cache/invalidate", None).await.is(200);
        let second = json!({ "email": "second@safire.local", "password": "another password" });
        app.anonymous().post("/auth/login", second).await.refused(401, "unauthorized");
        let wrong = json!({ "email": ADMIN.0, "password": "another password" });
        app.anonymous().post("/auth/login", wrong).await.refused(401, "unauthorized");
        app.stop().await;
    }
}
