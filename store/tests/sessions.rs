//! The contract of sessions, API keys and sign-in attempts, held against both engines.

use std::collections::HashSet;

use chrono::TimeDelta;
use futures::future::join_all;
use safire_domain::{
    KeyId, SessionId, Timestamp, UserId,
    key::ApiKey,
    name::{Email, Name},
};
use safire_store::{
    Connection, Error, keys,
    logins::{self, Attempt},
    sessions::{self, Rotation, Token},
    users,
};
use safire_test_support::{analyst, now, on_both_engines};

async fn user(c: &mut Connection) -> UserId {
    let user = analyst();
    users::insert(c, &user, Some("hash")).await.unwrap();
    user.id
}

fn token(name: &str, session: SessionId) -> Token {
    Token { hash: format!("{name} of {session}"), expires_at: now() + TimeDelta::days(30) }
}

async fn session(c: &mut Connection, user: UserId) -> SessionId {
    let id = SessionId::new(now());
    sessions::begin(c, user, id, token("first", id), now()).await.unwrap();
    id
}

/// Uses `old`, with 10 s for a retry.
async fn rotate(c: &mut Connection, session: SessionId, old: &str, new: &str, at: Timestamp) -> Rotation {
    let retry_since = at - TimeDelta::seconds(10);
    sessions::rotate(c, token(old, session).hash, token(new, session), retry_since, at).await.unwrap()
}

fn successor(rotation: &Rotation) -> &str {
    match rotation {
        Rotation::Rotated { successor, .. } | Rotation::Repeated { successor, .. } => &successor.hash,
        other => panic!("gave no successor: {other:?}"),
    }
}

async fn key(c: &mut Connection, user: UserId, hash: &str, most: i64) -> Option<ApiKey> {
    let name = Name::try_from("notebook".to_owned()).unwrap();
    let key = ApiKey { id: KeyId::new(now()), name, prefix: "sfr_1".into(), created_at: now(), last_used_at: None };
    keys::insert(c, user, &key, hash, most).await.unwrap().then_some(key)
}

on_both_engines! {
    async fn a_refresh_token_is_used_once_and_its_successor_stands(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = user(&mut c).await;
        let session = session(&mut c, user).await;
        let at = now();
        let rotation = rotate(&mut c, session, "first", "second", at).await;
        assert!(matches!(&rotation, Rotation::Rotated { user: of, .. } if of.id == user), "{rotation:?}");
        let rotation = rotate(&mut c, session, "second", "third", at).await;
        assert_eq!(successor(&rotation), token("third", session).hash);
        assert_eq!(rotate(&mut c, session, "unknown", "fourth", at).await, Rotation::Refused);
    }

    async fn a_retry_within_ten_seconds_gets_the_same_successor(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = user(&mut c).await;
        let session = session(&mut c, user).await;
        let at = now();
        rotate(&mut c, session, "first", "second", at).await;
        let retry = rotate(&mut c, session, "first", "other", at + TimeDelta::seconds(10)).await;
        assert!(matches!(retry, Rotation::Repeated { .. }), "{retry:?}");
        assert_eq!(successor(&retry), token("second", session).hash);
    }

    async fn a_token_used_again_later_revokes_the_session(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = user(&mut c).await;
        let (stolen, other) = (session(&mut c, user).await, session(&mut c, user).await);
        let at = now();
        rotate(&mut c, stolen, "first", "second", at).await;
        let later = at + TimeDelta::milliseconds(10_001);
        let reused = Rotation::Reused { user, session: stolen };
        assert_eq!(rotate(&mut c, stolen, "first", "x", later).await, reused);
        assert_eq!(rotate(&mut c, stolen, "second", "y", later).await, Rotation::Refused);
        assert!(matches!(rotate(&mut c, other, "first", "second", later).await, Rotation::Rotated { .. }));
    }

    async fn a_token_used_again_after_its_successor_was_used_revokes_the_session(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = user(&mut c).await;
        let session = session(&mut c, user).await;
        let at = now();
        rotate(&mut c, session, "first", "second", at).await;
        rotate(&mut c, session, "second", "third", at).await;
        assert_eq!(rotate(&mut c, session, "first", "x", at).await, Rotation::Reused { user, session });
        assert_eq!(rotate(&mut c, session, "third", "y", at).await, Rotation::Refused);
    }

    async fn fifty_refreshes_at_once_leave_one_successor(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = user(&mut c).await;
        let session = session(&mut c, user).await;
        let at = now();
        let refreshes = (0..50).map(|n| async move {
            let mut c = database.connect().await;
            rotate(&mut c, session, "first", &format!("second {n}"), at).await
        });
        let ends = join_all(refreshes).await;
        assert_eq!(ends.iter().filter(|end| matches!(end, Rotation::Rotated { .. })).count(), 1);
        let successors: HashSet<&str> = ends.iter().map(successor).collect();
        assert_eq!(successors.len(), 1);
    }

    async fn a_refresh_beside_a_revocation_leaves_nothing_standing(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = user(&mut c).await;
        for _ in 0..10 {
            let session = session(&mut c, user).await;
            let at = now();
            let refresh = async {
                let mut c = database.connect().await;
                rotate(&mut c, session, "first", "second", at).await
            };
            let revoke = async {
                let mut c = database.connect().await;
                sessions::revoke(&mut c, session, at).await.unwrap()
            };
            let (_, revoked) = futures::join!(refresh, revoke);
            assert!(revoked);
            assert_eq!(rotate(&mut c, session, "second", "third", at).await, Rotation::Refused);
        }
    }

    async fn a_session_ends_when_it_is_revoked_or_its_time_is_over(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = user(&mut c).await;
        let revoked = session(&mut c, user).await;
        assert!(sessions::revoke_by_token(&mut c, &token("first", revoked).hash, now()).await.unwrap());
        assert!(!sessions::revoke_by_token(&mut c, &token("first", revoked).hash, now()).await.unwrap());
        assert!(!sessions::revoke_by_token(&mut c, "unknown", now()).await.unwrap());
        assert_eq!(rotate(&mut c, revoked, "first", "second", now()).await, Rotation::Refused);
        let expired = session(&mut c, user).await;
        let beyond = now() + TimeDelta::days(31);
        assert_eq!(rotate(&mut c, expired, "first", "second", beyond).await, Rotation::Refused);
    }

    async fn all_sessions_of_one_user_can_be_ended_at_once(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let (ana, ben) = (user(&mut c).await, user(&mut c).await);
        let (first, second, other) = (session(&mut c, ana).await, session(&mut c, ana).await, session(&mut c, ben).await);
        assert_eq!(sessions::revoke_all(&mut c, ana, now()).await.unwrap(), 2);
        assert_eq!(sessions::revoke_all(&mut c, ana, now()).await.unwrap(), 0);
        for ended in [first, second] {
            assert_eq!(rotate(&mut c, ended, "first", "second", now()).await, Rotation::Refused);
        }
        assert!(matches!(rotate(&mut c, other, "first", "second", now()).await, Rotation::Rotated { .. }));
    }

    async fn a_session_that_is_refreshed_for_long_forgets_its_oldest_tokens(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = user(&mut c).await;
        let session = session(&mut c, user).await;
        let day = |n| now() + TimeDelta::days(n);
        let rotate_at = async |c: &mut Connection, old: &str, new: &str, n| {
            let new = Token { expires_at: day(n + 30), ..token(new, session) };
            sessions::rotate(c, token(old, session).hash, new, day(n), day(n)).await.unwrap()
        };
        assert!(matches!(rotate_at(&mut c, "first", "second", 20).await, Rotation::Rotated { .. }));
        assert!(matches!(rotate_at(&mut c, "second", "third", 40).await, Rotation::Rotated { .. }));
        assert_eq!(rotate_at(&mut c, "first", "x", 40).await, Rotation::Refused);
        assert!(matches!(rotate_at(&mut c, "third", "fourth", 40).await, Rotation::Rotated { .. }));
    }

    async fn a_sign_in_removes_the_sessions_that_are_over(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = user(&mut c).await;
        let old = session(&mut c, user).await;
        let (id, later) = (SessionId::new(now()), now() + TimeDelta::days(31));
        sessions::begin(&mut c, user, id, Token { hash: "new".into(), expires_at: later }, later).await.unwrap();
        assert!(!sessions::revoke(&mut c, old, later).await.unwrap());
    }

    async fn an_api_key_is_found_by_its_hash_until_it_is_revoked(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let (user, stranger) = (user(&mut c).await, user(&mut c).await);
        let made = key(&mut c, user, "hash of the key", 10).await.unwrap();
        let holder = keys::holder(&mut c, "hash of the key").await.unwrap().unwrap();
        assert_eq!((holder.user.id, holder.key, holder.last_used_at), (user, made.id, None));
        let at = now();
        keys::touch(&mut c, made.id, at).await.unwrap();
        let used = ApiKey { last_used_at: Some(at), ..made.clone() };
        assert_eq!(keys::list(&mut c, user).await.unwrap(), [used]);
        assert_eq!(keys::list(&mut c, stranger).await.unwrap(), []);
        assert!(!keys::revoke(&mut c, stranger, made.id, at).await.unwrap());
        assert!(keys::revoke(&mut c, user, made.id, at).await.unwrap());
        assert!(!keys::revoke(&mut c, user, made.id, at).await.unwrap());
        assert_eq!(keys::holder(&mut c, "hash of the key").await.unwrap(), None);
        assert_eq!(keys::list(&mut c, user).await.unwrap(), []);
    }

    async fn a_user_has_a_bounded_number_of_keys(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = user(&mut c).await;
        let first = key(&mut c, user, "1", 2).await.unwrap();
        assert!(key(&mut c, user, "2", 2).await.is_some());
        assert!(key(&mut c, user, "3", 2).await.is_none());
        keys::revoke(&mut c, user, first.id, now()).await.unwrap();
        assert!(key(&mut c, user, "4", 2).await.is_some());
    }

    async fn nobody_signs_in_for_a_user_who_does_not_exist(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let id = SessionId::new(now());
        let begun = sessions::begin(&mut c, analyst().id, id, token("first", id), now()).await;
        assert!(matches!(begun, Err(Error::Dangling(_))), "{begun:?}");
    }

    async fn an_address_is_blocked_after_five_failures_and_longer_each_time(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let email = Email::try_from("nobody@example.com".to_owned()).unwrap();
        let start = now();
        for _ in 0..5 {
            assert_eq!(logins::attempt(&mut c, &email, start).await.unwrap(), Attempt::Allowed);
        }
        let until = start + TimeDelta::seconds(1);
        assert_eq!(logins::attempt(&mut c, &email, start).await.unwrap(), Attempt::Blocked(until));
        assert_eq!(logins::attempt(&mut c, &email, until).await.unwrap(), Attempt::Allowed);
        let longer = until + TimeDelta::seconds(2);
        assert_eq!(logins::attempt(&mut c, &email, until).await.unwrap(), Attempt::Blocked(longer));
        logins::forgive(&mut c, &email, until).await.unwrap();
        assert_eq!(logins::attempt(&mut c, &email, until).await.unwrap(), Attempt::Allowed);
    }

    async fn attempts_made_at_once_all_count(database: &TestDatabase) {
        database.prepared().await;
        let email = Email::try_from("target@example.com".to_owned()).unwrap();
        let at = now();
        let attempts = (0..30).map(|_| async {
            let mut c = database.connect().await;
            logins::attempt(&mut c, &email, at).await.unwrap()
        });
        let allowed = join_all(attempts).await.into_iter().filter(|end| *end == Attempt::Allowed).count();
        assert_eq!(allowed, 5);
    }

    async fn failures_are_forgotten_after_a_day(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let email = Email::try_from("nobody@example.com".to_owned()).unwrap();
        let start = now();
        for _ in 0..5 {
            logins::attempt(&mut c, &email, start).await.unwrap();
        }
        let later = start + TimeDelta::hours(25);
        for _ in 0..5 {
            assert_eq!(logins::attempt(&mut c, &email, later).await.unwrap(), Attempt::Allowed);
        }
        assert!(matches!(logins::attempt(&mut c, &email, later).await.unwrap(), Attempt::Blocked(_)));
    }

    async fn a_hash_is_replaced_only_while_the_password_is_the_same(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = analyst();
        users::insert(&mut c, &user, Some("old")).await.unwrap();
        let email = user.email.clone().unwrap();
        logins::rehash(&mut c, user.id, "other", "wrong").await.unwrap();
        logins::rehash(&mut c, user.id, "old", "new").await.unwrap();
        assert_eq!(users::credentials(&mut c, &email).await.unwrap().unwrap().1, "new");
    }
}
