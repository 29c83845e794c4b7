//! Staying signed in, signing out, and what wrong passwords and new settings do to it.

use std::{collections::BTreeSet, sync::Arc};

use chrono::TimeDelta;
use futures::future::join_all;
use safire_domain::{clock::ManualClock, name::Email};
use safire_store::users;
use safire_test_support::{TestDatabase, now, on_both_engines};
use serde_json::{Value, json};

use crate::app::{Answer, Client, PASSWORD, SECRET, TestApp, first_error};

const ANA: &str = "ana@example.com";
const NEXT_SECRET: &str = "the key that signs after the first one";

/// The service with a clock that stands still.
async fn with_clock(database: &TestDatabase) -> (TestApp, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(now()));
    let app = TestApp::with(database, |_, parts| parts.clock = clock.clone()).await;
    (app, clock)
}

/// Ana's account, and the tokens of her first session.
async fn ana(app: &TestApp) -> Value {
    let account = json!({ "email": ANA, "name": "Ana", "password": PASSWORD });
    app.anonymous().post("/auth/register", account).await.is(201);
    login(app, ANA, PASSWORD).await.is(200)
}

async fn login(app: &TestApp, email: &str, password: &str) -> Answer {
    app.anonymous().post("/auth/login", json!({ "email": email, "password": password })).await
}

async fn refresh(app: &TestApp, tokens: &Value) -> Answer {
    app.anonymous().post("/auth/refresh", json!({ "refresh_token": tokens["refresh_token"] })).await
}

async fn logout(app: &TestApp, tokens: &Value) -> Answer {
    app.anonymous().post("/auth/logout", json!({ "refresh_token": tokens["refresh_token"] })).await
}

/// Somebody with the access token of these tokens.
fn with(app: &TestApp, tokens: &Value) -> Client {
    app.anonymous().with_token(tokens["access_token"].as_str().expect("an access token"))
}

/// The hash of Ana's password.
async fn stored_hash(database: &TestDatabase) -> String {
    let mut connection = database.connect().await;
    let email = Email::try_from(ANA.to_owned()).unwrap();
    let (_, hash) = users::credentials(&mut connection, &email).await.unwrap().expect("Ana has a password");
    connection.close().await.unwrap();
    hash
}

on_both_engines! {
    async fn a_refresh_gives_other_tokens_that_are_good(database: &TestDatabase) {
        let (app, clock) = with_clock(database).await;
        let first = ana(&app).await;
        assert_eq!((&first["expires_in"], &first["refresh_expires_in"]), (&json!(1800), &json!(2_592_000)));
        clock.advance(TimeDelta::hours(1));
        with(&app, &first).get("/auth/me").await.refused(401, "unauthorized");
        let second = refresh(&app, &first).await.is(200);
        assert_eq!((&second["token_type"], &second["expires_in"]), (&json!("Bearer"), &json!(1800)));
        assert_ne!(second["refresh_token"], first["refresh_token"]);
        let me = with(&app, &second).get("/auth/me").await.is(200);
        assert_eq!((&me["email"], &me["name"], &me["role"]), (&json!(ANA), &json!("Ana"), &json!("analyst")));
        assert!(!me.to_string().contains("argon2"), "{me}");
        refresh(&app, &second).await.is(200);
        app.anonymous().get("/auth/me").await.refused(401, "unauthorized");
        app.stop().await;
    }

    async fn a_repetition_within_ten_seconds_gets_the_same_successor(database: &TestDatabase) {
        let (app, clock) = with_clock(database).await;
        let first = ana(&app).await;
        let second = refresh(&app, &first).await.is(200);
        for _ in 0..2 {
            clock.advance(TimeDelta::seconds(5));
            let again = refresh(&app, &first).await.is(200);
            assert_eq!(again["refresh_token"], second["refresh_token"]);
        }
        refresh(&app, &second).await.is(200);
        app.stop().await;
    }

    async fn a_repetition_after_ten_seconds_signs_that_session_out_and_no_other(database: &TestDatabase) {
        let (app, clock) = with_clock(database).await;
        let first = ana(&app).await;
        let other = login(&app, ANA, PASSWORD).await.is(200);
        let second = refresh(&app, &first).await.is(200);
        clock.advance(TimeDelta::seconds(10) + TimeDelta::microseconds(1));
        let reused = refresh(&app, &first).await;
        assert_eq!(reused.header("www-authenticate"), "Bearer");
        reused.refused(401, "refresh.reused");
        refresh(&app, &second).await.refused(401, "unauthorized");
        refresh(&app, &first).await.refused(401, "unauthorized");
        refresh(&app, &other).await.is(200);
        app.stop().await;
    }

    async fn a_repetition_once_the_successor_was_used_is_a_reuse(database: &TestDatabase) {
        let (app, _) = with_clock(database).await;
        let first = ana(&app).await;
        let second = refresh(&app, &first).await.is(200);
        let third = refresh(&app, &second).await.is(200);
        refresh(&app, &first).await.refused(401, "refresh.reused");
        refresh(&app, &third).await.refused(401, "unauthorized");
        app.stop().await;
    }

    async fn fifty_refreshes_at_once_leave_one_survivor(database: &TestDatabase) {
        let (app, _) = with_clock(database).await;
        let first = ana(&app).await;
        let answers = join_all((0..50).map(|_| refresh(&app, &first))).await;
        let successors: Vec<_> = answers.into_iter().map(|answer| answer.is(200)).collect();
        let distinct: BTreeSet<_> = successors.iter().map(|tokens| tokens["refresh_token"].to_string()).collect();
        assert_eq!(distinct.len(), 1, "{distinct:?}");
        refresh(&app, &successors[0]).await.is(200);
        app.stop().await;
    }

    async fn fifty_who_use_a_stolen_token_at_once_get_nothing(database: &TestDatabase) {
        let (app, clock) = with_clock(database).await;
        let first = ana(&app).await;
        let second = refresh(&app, &first).await.is(200);
        clock.advance(TimeDelta::seconds(11));
        let answers = join_all((0..50).map(|_| refresh(&app, &first))).await;
        let codes: Vec<_> = answers.into_iter().map(|answer| answer.is(401)["code"].take()).collect();
        assert_eq!(codes.iter().filter(|code| **code == "refresh.reused").count(), 1, "{codes:?}");
        refresh(&app, &second).await.refused(401, "unauthorized");
        app.stop().await;
    }

    async fn who_signs_out_is_out_and_may_do_so_twice(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let first = ana(&app).await;
        let other = login(&app, ANA, PASSWORD).await.is(200);
        let second = refresh(&app, &first).await.is(200);
        logout(&app, &json!({ "refresh_token": "sfs_nobody's" })).await.is(204);
        // The token that was used already ends its session as well.
        for tokens in [&first, &first, &second] {
            assert_eq!(logout(&app, tokens).await.is(204), Value::Null);
        }
        refresh(&app, &second).await.refused(401, "unauthorized");
        refresh(&app, &first).await.refused(401, "unauthorized");
        refresh(&app, &other).await.is(200);
        app.stop().await;
    }

    async fn a_refresh_token_is_good_for_thirty_days_and_its_successor_for_thirty_more(database: &TestDatabase) {
        let (app, clock) = with_clock(database).await;
        let first = ana(&app).await;
        let unused = login(&app, ANA, PASSWORD).await.is(200);
        clock.advance(TimeDelta::days(30) - TimeDelta::seconds(1));
        let second = refresh(&app, &first).await.is(200);
        assert_eq!(second["refresh_expires_in"], 2_592_000);
        clock.advance(TimeDelta::seconds(1));
        refresh(&app, &unused).await.refused(401, "unauthorized");
        clock.advance(TimeDelta::days(29));
        let third = refresh(&app, &second).await.is(200);
        clock.advance(TimeDelta::days(30));
        refresh(&app, &third).await.refused(401, "unauthorized");
        app.stop().await;
    }

    async fn neither_token_passes_as_the_other(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let tokens = ana(&app).await;
        let swapped = json!({ "access_token": tokens["refresh_token"], "refresh_token": tokens["access_token"] });
        with(&app, &swapped).get("/auth/me").await.refused(401, "unauthorized");
        refresh(&app, &swapped).await.refused(401, "unauthorized");
        logout(&app, &swapped).await.is(204);
        refresh(&app, &tokens).await.is(200);
        app.stop().await;
    }

    async fn a_refresh_that_is_wrong_is_refused_by_field_and_uses_nothing_up(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let tokens = ana(&app).await;
        let token = &tokens["refresh_token"];
        let refusals = [
            (json!({ "refresh_token": token, "role": "admin" }), "/role", "field.unknown"),
            (json!({}), "/refresh_token", "required"),
            (json!({ "refresh_token": [token] }), "/refresh_token", "type"),
        ];
        for (body, pointer, code) in refusals {
            for path in ["/auth/refresh", "/auth/logout"] {
                let refused = app.anonymous().post(path, body.clone()).await.refused(422, "body.invalid");
                assert_eq!(first_error(&refused), (pointer, code), "{refused}");
                assert!(!refused.to_string().contains(token.as_str().unwrap()), "{refused}");
            }
        }
        refresh(&app, &json!({ "refresh_token": "" })).await.refused(401, "unauthorized");
        refresh(&app, &tokens).await.is(200);
        app.stop().await;
    }

    async fn wrong_passwords_make_an_address_wait_whether_or_not_it_has_an_account(database: &TestDatabase) {
        let (app, clock) = with_clock(database).await;
        ana(&app).await;
        let addresses = [ANA, "nobody@example.com"];
        let all_wrong = async || {
            for email in addresses {
                login(&app, email, "a wrong password").await.refused(401, "unauthorized");
            }
        };
        for _ in 0..4 {
            all_wrong().await;
        }
        for seconds in [1, 2, 4] {
            all_wrong().await;
            for after in 0..seconds {
                for (email, password) in [(ANA, PASSWORD), (addresses[0], "wrong"), (addresses[1], PASSWORD)] {
                    let blocked = login(&app, email, password).await;
                    assert_eq!(blocked.header("retry-after"), (seconds - after).to_string());
                    blocked.refused(429, "login.blocked");
                }
                clock.advance(TimeDelta::seconds(1));
            }
        }
        login(&app, ANA, PASSWORD).await.is(200);
        for _ in 0..5 {
            login(&app, ANA, "a wrong password").await.refused(401, "unauthorized");
        }
        login(&app, ANA, PASSWORD).await.refused(429, "login.blocked");
        app.stop().await;
    }

    async fn who_is_signed_in_goes_on_while_the_address_is_blocked(database: &TestDatabase) {
        let (app, _) = with_clock(database).await;
        let tokens = ana(&app).await;
        let guesses = join_all((0..20).map(|_| login(&app, ANA, "a wrong password"))).await;
        let guessed = guesses.iter().filter(|answer| answer.status == 401).count();
        assert_eq!(guessed, 5, "guesses made at once all count");
        with(&app, &tokens).get("/auth/me").await.is(200);
        refresh(&app, &tokens).await.is(200);
        app.stop().await;
    }

    async fn tokens_outlive_a_key_that_is_still_named_as_a_previous_one(database: &TestDatabase) {
        let clock = Arc::new(ManualClock::at(now()));
        let signing = async |secret: &str, previous: Option<&str>| {
            TestApp::with(database, |config, parts| {
                config.auth.jwt_secret = Some(secret.into());
                config.auth.jwt_previous_secrets = previous.into_iter().map(Into::into).collect();
                parts.clock = clock.clone();
            })
            .await
        };
        let app = signing(SECRET, None).await;
        let first = ana(&app).await;
        let second = refresh(&app, &first).await.is(200);
        app.stop().await;

        let app = signing(NEXT_SECRET, Some(SECRET)).await;
        with(&app, &second).get("/auth/me").await.is(200);
        assert_eq!(refresh(&app, &first).await.is(200)["refresh_token"], second["refresh_token"]);
        let third = refresh(&app, &second).await.is(200);
        app.stop().await;

        let app = signing(NEXT_SECRET, None).await;
        with(&app, &second).get("/auth/me").await.refused(401, "unauthorized");
        with(&app, &third).get("/auth/me").await.is(200);
        refresh(&app, &third).await.is(200);
        app.stop().await;
    }

    async fn a_password_is_hashed_again_at_login_when_the_parameters_rose(database: &TestDatabase) {
        let hashing = async |kib: u32, iterations: u32| {
            TestApp::with(database, |config, _| {
                config.auth.argon2_memory_kib = kib;
                config.auth.argon2_iterations = iterations;
            })
            .await
        };
        let app = hashing(64, 1).await;
        ana(&app).await;
        app.stop().await;
        let old = stored_hash(database).await;
        assert!(old.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{old}");

        let app = hashing(128, 2).await;
        login(&app, ANA, "a wrong password").await.refused(401, "unauthorized");
        assert_eq!(stored_hash(database).await, old);
        login(&app, ANA, PASSWORD).await.is(200);
        let new = stored_hash(database).await;
        assert!(new.starts_with("$argon2id$v=19$m=128,t=2,p=1$"), "{new}");
        login(&app, ANA, PASSWORD).await.is(200);
        login(&app, ANA, "a wrong password").await.refused(401, "unauthorized");
        app.stop().await;

        let app = hashing(64, 1).await;
        login(&app, ANA, PASSWORD).await.is(200);
        assert_eq!(stored_hash(database).await, new);
        app.stop().await;
    }
}
