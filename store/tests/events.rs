//! Events: one for each change, in one order that no reader can miss anything in.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use safire_domain::{
    NodeId, RunId,
    engine::{self, Failure, Plain},
    event::{Event, Kind, NewEvent, Place},
    project::Project,
    run::{self, Findings},
    scenario::Scenario,
    user::{Access, Role, User},
};
use safire_store::{
    Connection, Error,
    events::{self, Mark},
    projects,
    runs::{self, Accepted, Ask, Assignment, Lease, Request},
    scenarios, users, zones,
};
use safire_test_support::{PATIENCE, TestDatabase, analyst, now, on_both_engines, project, scenario, zone};

const NOWHERE: Place = Place { tx: 0, n: 0 };

/// A user with a project and a draft in it.
struct Plant {
    user: User,
    project: Project,
    scenario: Scenario,
}

async fn plant(c: &mut Connection, user: User) -> Plant {
    users::insert(c, &user, None).await.unwrap();
    let project = project(&user);
    projects::insert(c, &project).await.unwrap();
    let scenario = scenario(&project);
    scenarios::insert(c, Access::of(&user), &scenario).await.unwrap();
    Plant { user, project, scenario }
}

impl Plant {
    fn access(&self) -> Access {
        Access::of(&self.user)
    }

    async fn accept(&self, c: &mut Connection, node: NodeId) -> Assignment {
        let (now, ask) = (now(), Ask::Analysis(Box::new(run::base())));
        let lease = Lease { owner: node, length: Duration::from_secs(15) };
        let (access, scenario, run) = (self.access(), self.scenario.id, RunId::new(now));
        match runs::accept(
            c,
            Request { access, key: None, scenario, ask, inputs: None, versions: None, run, lease, now },
        )
        .await
        .unwrap()
        {
            Accepted::New(_, assignment) => *assignment,
            other => panic!("not a new run: {other:?}"),
        }
    }
}

/// All events after a place. Transactions of other tests on the same server hold them back for a moment.
async fn all_after(c: &mut Connection, access: Option<Access>, place: Place) -> Vec<Event> {
    let begun = Instant::now();
    loop {
        let batch = events::after(c, access, place, 1000).await.unwrap();
        if !batch.held_back {
            return batch.events;
        }
        assert!(begun.elapsed() < PATIENCE, "events are held back for ever");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn told(events: &[Event]) -> Vec<(Kind, Option<&'static str>, Option<i64>)> {
    events.iter().map(|e| (e.what.kind, e.what.status.map(|status| status.as_str()), e.what.version)).collect()
}

async fn append(c: &mut Connection, kind: Kind) {
    events::append(c, &NewEvent::new(kind, now())).await.unwrap();
}

on_both_engines! {
    async fn every_change_of_a_scenario_is_told_once_and_in_order(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c, analyst()).await;
        let (me, id, node) = (plant.access(), plant.scenario.id, NodeId::new(now()));
        let first = plant.accept(&mut c, node).await;
        let base = engine::analyse(&first.order.inputs, &mut Plain).unwrap();
        let lcop = base.lcop_usd_per_t;
        let found = Ok(Findings { base, analysis: None });
        assert!(runs::settle(&mut c, first.run, 1, node, found.clone(), now()).await.unwrap());
        assert!(!runs::settle(&mut c, first.run, 1, node, found, now()).await.unwrap());
        let mut changed = scenarios::find(&mut c, me, id).await.unwrap().unwrap();
        (changed.pathway.country, changed.revision) = ("Malaysia".into(), 2);
        scenarios::update(&mut c, me, &changed, now()).await.unwrap();
        scenarios::update(&mut c, me, &changed, now()).await.unwrap();
        let second = plant.accept(&mut c, node).await;
        let failure = Failure::new("engine.panicked", "it did");
        runs::settle(&mut c, second.run, 1, node, Err(failure), now()).await.unwrap();
        let third = plant.accept(&mut c, node).await;
        runs::cancel(&mut c, me, id, None, now()).await.unwrap();
        scenarios::remove(&mut c, me, id, None, now()).await.unwrap();
        scenarios::remove(&mut c, me, id, None, now()).await.unwrap();

        let seen = all_after(&mut c, None, NOWHERE).await;
        let expected = [
            (Kind::Created, Some("draft"), Some(1)),
            (Kind::Calculating, Some("calculating"), Some(2)),
            (Kind::Calculated, Some("calculated"), Some(3)),
            (Kind::Changed, Some("calculated"), Some(4)),
            (Kind::Calculating, Some("calculating"), Some(5)),
            (Kind::Failed, Some("failed"), Some(6)),
            (Kind::Calculating, Some("calculating"), Some(7)),
            (Kind::Cancelled, Some("failed"), Some(8)),
            (Kind::Deleted, None, Some(8)),
        ];
        assert_eq!(told(&seen), expected);
        assert!(seen.is_sorted_by(|a, b| a.place < b.place));
        let about = |e: &Event| (e.what.owner, e.what.project, e.what.scenario);
        assert!(seen.iter().all(|e| about(e) == (Some(plant.user.id), Some(plant.project.id), Some(id))));
        let runs: Vec<_> = seen.iter().filter_map(|e| e.what.run).collect();
        assert_eq!(runs, [first.run, first.run, second.run, second.run, third.run, third.run]);
        assert_eq!(seen[2].what.body["lcop_usd_per_t"], lcop);
        assert_eq!(seen[5].what.body["failure"]["code"], "engine.panicked");
        for (n, event) in seen.iter().enumerate() {
            assert_eq!(all_after(&mut c, None, event.place).await, seen[n + 1..]);
        }
    }

    async fn a_project_that_is_removed_tells_of_each_scenario(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c, analyst()).await;
        let other = scenario(&plant.project);
        scenarios::insert(&mut c, plant.access(), &other).await.unwrap();
        let head = all_after(&mut c, None, NOWHERE).await.last().unwrap().place;
        projects::remove(&mut c, plant.access(), plant.project.id, None, now()).await.unwrap();
        let seen = all_after(&mut c, None, head).await;
        let mut removed: Vec<_> = seen.iter().filter_map(|e| e.what.scenario).collect();
        removed.sort();
        assert_eq!(removed, [plant.scenario.id, other.id]);
    }

    async fn what_is_undone_is_not_told(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let undone = c.transaction(|c| Box::pin(async move {
            append(c, Kind::Alerted).await;
            Err::<(), _>(Error::Contended)
        }));
        assert!(undone.await.is_err());
        assert_eq!(all_after(&mut c, None, NOWHERE).await, []);
    }

    async fn events_are_for_owner_zone_and_administrators_and_without_an_owner_for_all(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let north = zone("north");
        zones::insert(&mut c, &north).await.unwrap();
        let owner = User { zone_id: Some(north.zone_id.clone()), ..analyst() };
        let mate = User { zone_id: Some(north.zone_id.clone()), ..analyst() };
        let (stranger, admin) = (analyst(), User { role: Role::Admin, ..analyst() });
        for user in [&mate, &stranger, &admin] {
            users::insert(&mut c, user, None).await.unwrap();
        }
        let plant = plant(&mut c, owner).await;
        append(&mut c, Kind::Alerted).await;
        let both = vec![Kind::Created, Kind::Alerted];
        let expected = [(&plant.user, &both), (&mate, &both), (&admin, &both), (&stranger, &vec![Kind::Alerted])];
        for (user, kinds) in expected {
            let seen = all_after(&mut c, Some(Access::of(user)), NOWHERE).await;
            assert_eq!(&seen.iter().map(|e| e.what.kind).collect::<Vec<_>>(), kinds, "{user:?}");
            let zones: Vec<_> = seen.into_iter().filter_map(|e| e.zone).collect();
            assert!(zones.iter().all(|zone| *zone == north.zone_id));
        }
    }

    async fn events_after_the_head_are_new(database: &TestDatabase) {
        let mut c = database.prepared().await;
        append(&mut c, Kind::Alerted).await;
        all_after(&mut c, None, NOWHERE).await;
        let head = events::head(&mut c).await.unwrap();
        assert_eq!(all_after(&mut c, None, head).await, []);
        append(&mut c, Kind::Logged).await;
        assert_eq!(told(&all_after(&mut c, None, head).await), [(Kind::Logged, None, None)]);
    }

    async fn old_events_are_removed_once_they_were_published_and_places_never_return(database: &TestDatabase) {
        let mut c = database.prepared().await;
        for _ in 0..5 {
            append(&mut c, Kind::Alerted).await;
        }
        let all = all_after(&mut c, None, NOWHERE).await;
        let later = now() + TimeDelta::hours(2);
        assert_eq!(events::remove_until(&mut c, later, true, 100).await.unwrap(), 0);
        assert_eq!(events::unpublished(&mut c, 3).await.unwrap(), 3);
        events::move_mark(&mut c, Mark::Published, all[2].place).await.unwrap();
        events::move_mark(&mut c, Mark::Published, all[1].place).await.unwrap();
        assert_eq!(events::unpublished(&mut c, 100).await.unwrap(), 2);
        assert_eq!(events::remove_until(&mut c, later, true, 2).await.unwrap(), 2);
        assert_eq!(events::remove_until(&mut c, later, true, 2).await.unwrap(), 1);
        assert_eq!(events::mark(&mut c, Mark::Removed).await.unwrap(), all[2].place);
        assert_eq!(all_after(&mut c, None, NOWHERE).await, all[3..]);
        assert_eq!(events::remove_until(&mut c, now() - TimeDelta::hours(1), false, 100).await.unwrap(), 0);
        assert_eq!(events::remove_until(&mut c, later, false, 100).await.unwrap(), 2);
        append(&mut c, Kind::Logged).await;
        let new = all_after(&mut c, None, NOWHERE).await;
        assert!(new.len() == 1 && new[0].place > all[4].place, "{new:?}");
    }

    async fn of_too_many_that_wait_to_be_published_the_oldest_are_given_up(database: &TestDatabase) {
        let mut c = database.prepared().await;
        for _ in 0..5 {
            append(&mut c, Kind::Alerted).await;
        }
        let all = all_after(&mut c, None, NOWHERE).await;
        assert_eq!(events::bound_unpublished(&mut c, 5).await.unwrap(), 0);
        assert_eq!(events::mark(&mut c, Mark::Published).await.unwrap(), NOWHERE);
        events::move_mark(&mut c, Mark::Published, all[0].place).await.unwrap();
        assert_eq!(events::bound_unpublished(&mut c, 1).await.unwrap(), 3);
        assert_eq!(events::mark(&mut c, Mark::Published).await.unwrap(), all[3].place);
        assert_eq!(events::unpublished(&mut c, 100).await.unwrap(), 1);
        assert_eq!(events::bound_unpublished(&mut c, 1).await.unwrap(), 0);
        assert_eq!(all_after(&mut c, None, NOWHERE).await, all, "whoever comes again is told them nevertheless");
    }

    async fn writers_hide_nothing_from_a_reader_who_follows(database: &TestDatabase) {
        // Where they take turns, many would only wait.
        let several: i64 = match database.prepared().await {
            Connection::Postgres(_) => 8,
            Connection::Sqlite(_) => 2,
        };
        let writers = (0..several).map(|writer| async move {
            let mut c = database.connect().await;
            for n in 0..125_i64 {
                let event = NewEvent { version: Some(writer * 1000 + n), ..NewEvent::new(Kind::Logged, now()) };
                c.transaction(|c| Box::pin(async move {
                    events::append(c, &event).await?;
                    // Transactions end in another order than they begin in.
                    tokio::time::sleep(Duration::from_micros(((writer * 7 + n * 13) % 5) as u64 * 300)).await;
                    Ok(())
                }))
                .await
                .unwrap();
            }
        });
        let reader = async {
            let mut c = database.connect().await;
            let (mut seen, mut place, begun) = (Vec::new(), NOWHERE, Instant::now());
            while seen.len() < several as usize * 125 && begun.elapsed() < Duration::from_secs(60) {
                let batch = events::after(&mut c, None, place, 50).await.unwrap();
                place = batch.events.last().map_or(place, |event| event.place);
                seen.extend(batch.events.into_iter().filter_map(|event| event.what.version));
                tokio::task::yield_now().await;
            }
            seen
        };
        let (_, mut seen) = tokio::join!(futures::future::join_all(writers), reader);
        for writer in 0..several {
            assert!(seen.iter().filter(|n| **n / 1000 == writer).is_sorted(), "out of order: {seen:?}");
        }
        seen.sort_unstable();
        let expected: Vec<_> = (0..several).flat_map(|writer| (0..125).map(move |n| writer * 1000 + n)).collect();
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./test"]
async fn a_transaction_that_still_runs_holds_back_what_comes_after_it() {
    let database = TestDatabase::postgres().await;
    let mut c = database.prepared().await;
    let mut slow = database.connect().await;
    let (appended, wait) = tokio::sync::oneshot::channel::<()>();
    let (go_on, told) = tokio::sync::oneshot::channel::<()>();
    let slow = tokio::spawn(async move {
        slow.transaction(|c| {
            Box::pin(async move {
                append(c, Kind::Created).await;
                appended.send(()).unwrap();
                told.await.unwrap();
                Ok(())
            })
        })
        .await
    });
    wait.await.unwrap();
    append(&mut c, Kind::Deleted).await;
    let batch = events::after(&mut c, None, NOWHERE, 10).await.unwrap();
    assert_eq!((batch.events, batch.held_back), (vec![], true));
    go_on.send(()).unwrap();
    slow.await.unwrap().unwrap();
    let seen = all_after(&mut c, None, NOWHERE).await;
    assert_eq!(seen.iter().map(|e| e.what.kind).collect::<Vec<_>>(), [Kind::Created, Kind::Deleted]);
}
