//! Requests that are done at most once, on both engines.

use chrono::TimeDelta;
use safire_domain::{
    NodeId, RunId, UserId, run,
    user::{Access, User},
};
use safire_store::{
    Connection,
    access::Written,
    idempotency::{self, KEPT, Key, Known, Once},
    projects,
    runs::{self, Accepted, Ask, Lease, Request},
    scenarios, users,
};
use safire_test_support::{TestDatabase, analyst, now, on_both_engines, project, scenario};

async fn user(c: &mut Connection) -> User {
    let user = analyst();
    users::insert(c, &user, None).await.unwrap();
    user
}

fn key(user: UserId, name: &str, digest: &str) -> Key {
    Key { user, name: name.to_owned(), digest: digest.to_owned() }
}

/// Gives `value` unless the key knows better.
async fn once(c: &mut Connection, key: Option<Key>, value: u32) -> Once<u32, &'static str> {
    idempotency::once(c, key, now(), move |_| Box::pin(async move { Ok(Ok(value)) })).await.unwrap()
}

on_both_engines! {
    async fn what_was_made_under_a_key_is_not_made_again(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let (ana, bob) = (user(&mut c).await.id, user(&mut c).await.id);
        let key = |user, digest| Some(key(user, "k", digest));
        assert_eq!(once(&mut c, key(ana, "a"), 1).await, Once::Made(1));
        assert_eq!(once(&mut c, key(ana, "a"), 2).await, Once::Made(1));
        assert_eq!(once(&mut c, key(ana, "b"), 3).await, Once::Other);
        assert_eq!(once(&mut c, key(bob, "b"), 4).await, Once::Made(4));
        assert_eq!(once(&mut c, None, 5).await, Once::Made(5));
        assert_eq!(once(&mut c, None, 6).await, Once::Made(6));
    }

    async fn what_was_refused_or_failed_may_be_tried_again_under_its_key(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let ana = user(&mut c).await;
        let key = key(ana.id, "k", "a");
        let refused: Once<u32, _> = idempotency::once(&mut c, Some(key.clone()), now(), |_| {
            Box::pin(async { Ok(Err("no")) })
        })
        .await
        .unwrap();
        assert_eq!(refused, Once::Refused("no"));
        let twin = ana.clone();
        let failed = idempotency::once(&mut c, Some(key.clone()), now(), move |c| {
            Box::pin(async move { users::insert(c, &twin, None).await.map(|()| Ok::<_, ()>(1)) })
        });
        assert!(failed.await.is_err());
        assert_eq!(once(&mut c, Some(key), 7).await, Once::Made(7));
    }

    async fn a_key_is_forgotten_after_a_day(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let key = key(user(&mut c).await.id, "k", "a");
        idempotency::remember(&mut c, Some(&key), &1, now() - KEPT - TimeDelta::seconds(1)).await.unwrap();
        assert_eq!(once(&mut c, Some(key.clone()), 2).await, Once::Made(2));
        assert_eq!(once(&mut c, Some(key), 3).await, Once::Made(2));
    }

    async fn a_calculation_asked_for_again_under_its_key_is_the_same_run(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = user(&mut c).await;
        let project = project(&user);
        let scenario = scenario(&project);
        projects::insert(&mut c, &project).await.unwrap();
        assert_eq!(scenarios::insert(&mut c, Access::of(&user), &scenario).await.unwrap(), Written::Yes);
        let ask = |digest: &str| Request {
            access: Access::of(&user),
            key: Some(key(user.id, "k", digest)),
            scenario: scenario.id,
            ask: Ask::Analysis(Box::new(run::base())),
            inputs: None,
            versions: None,
            run: RunId::new(now()),
            lease: Lease { owner: NodeId::new(now()), length: std::time::Duration::from_secs(15) },
            now: now(),
        };
        let Accepted::New(run, _) = runs::accept(&mut c, ask("a")).await.unwrap() else { panic!() };
        runs::cancel(&mut c, Access::of(&user), scenario.id, None, now()).await.unwrap();
        // Without the key this would be a second run.
        let Accepted::Same(again) = runs::accept(&mut c, ask("a")).await.unwrap() else { panic!() };
        assert_eq!(again.id, run.id);
        assert!(matches!(runs::accept(&mut c, ask("b")).await.unwrap(), Accepted::OtherRequest));
    }
}

/// Only PostgreSQL has writers at the same time.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn a_request_that_another_process_is_doing_is_in_progress() {
    let database = TestDatabase::postgres().await;
    let mut c = database.prepared().await;
    let mut other = database.connect().await;
    let key = key(user(&mut c).await.id, "k", "a");
    let theirs = key.clone();
    let made: Once<u32, ()> = idempotency::once(&mut c, Some(key.clone()), now(), move |_| {
        Box::pin(async move {
            let known = other
                .transaction(|c| Box::pin(async move { idempotency::look_up::<u32>(c, Some(&theirs), now()).await }));
            assert_eq!(known.await.unwrap(), Known::InProgress);
            Ok(Ok(1))
        })
    })
    .await
    .unwrap();
    assert_eq!(made, Once::Made(1));
    assert_eq!(once(&mut c, Some(key), 2).await, Once::Made(1));
}
