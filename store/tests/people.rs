//! Users and zones, on both engines.

use std::sync::Arc;

use safire_domain::{
    name::{GlobalId, Name, ZoneId},
    user::{Access, Role, User},
    zone::Zone,
};
use safire_store::{
    Connection, Error, Window,
    idempotency::Once,
    obstacles::{Clash, Obstacle},
    projects,
    users::{self, Group, NewUser, Transferred, Updated, UserRemoval},
    zones::{self, ZoneFigures, ZoneRemoval},
};
use safire_test_support::{analyst, now, on_both_engines, project, zone};

async fn stored(c: &mut Connection, user: User) -> User {
    users::insert(c, &user, None).await.unwrap();
    user
}

async fn member(c: &mut Connection, zone: &Zone) -> User {
    stored(c, User { zone_id: Some(zone.zone_id.clone()), ..analyst() }).await
}

async fn stored_zone(c: &mut Connection, id: &str) -> Zone {
    let zone = zone(id);
    zones::insert(c, &zone).await.unwrap();
    zone
}

async fn admin(c: &mut Connection) -> Access {
    Access::of(&stored(c, User { role: Role::Admin, ..analyst() }).await)
}

fn new(user: &User) -> NewUser {
    NewUser { user: user.clone(), password_hash: None }
}

async fn create<const N: usize>(c: &mut Connection, users: [&User; N]) -> Vec<(usize, Obstacle)> {
    let new: Arc<[NewUser]> = users.map(new).into();
    let clashes = match users::create(c, None, new, now()).await.unwrap() {
        Once::Made(_) => Vec::new(),
        Once::Refused(clashes) => clashes,
        other => panic!("{other:?}"),
    };
    clashes.into_iter().map(|Clash { index, obstacle }| (index, obstacle)).collect()
}

on_both_engines! {
    async fn many_users_are_made_at_once(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let zone = stored_zone(&mut c, "north").await;
        let many: Vec<_> =
            (0..1000).map(|_| User { zone_id: Some(zone.zone_id.clone()), ..analyst() }).collect();
        let made: Arc<[NewUser]> = many.iter().map(new).collect();
        assert_eq!(users::create(&mut c, None, made, now()).await.unwrap(), Once::Made(many.clone()));
        let admin = admin(&mut c).await;
        assert_eq!(users::count(&mut c, admin, None).await.unwrap(), 1001);
        assert_eq!(users::count(&mut c, admin, Some(&zone.zone_id)).await.unwrap(), 1000);
        assert_eq!(users::find(&mut c, many[999].id).await.unwrap().as_ref(), Some(&many[999]));
        let window = Window { skip: 10, ..Window::first(5) };
        let page = users::list(&mut c, admin, Some(&zone.zone_id), window).await.unwrap();
        let mut ids: Vec<_> = many.iter().map(|user| user.id).collect();
        ids.sort();
        assert_eq!(page.iter().map(|user| user.id).collect::<Vec<_>>(), ids[10..15]);
        assert_eq!(users::names(&mut c, admin).await.unwrap().len(), 1001);
        assert_eq!(users::names(&mut c, Access::of(&many[0])).await.unwrap().len(), 1000);
    }

    async fn of_users_made_at_once_all_are_stored_or_none(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let known = stored(&mut c, analyst()).await;
        let nowhere: ZoneId = "nowhere".parse().unwrap();
        let (good, same_id) = (analyst(), User { global_id: known.global_id.clone(), ..analyst() });
        let same_email = User { email: known.email.clone(), ..analyst() };
        let lost = User { zone_id: Some(nowhere), ..analyst() };
        let found = create(&mut c, [&good, &same_id, &same_email, &lost]).await;
        let expected = [(1, Obstacle::GlobalIdTaken), (2, Obstacle::EmailTaken), (3, Obstacle::NoSuchZone)];
        assert_eq!(found, expected);
        assert_eq!(users::find(&mut c, good.id).await.unwrap(), None);
        assert_eq!(create(&mut c, [&good]).await, []);
        assert_eq!(create(&mut c, []).await, []);
    }

    /// Whoever asks checks the list itself; what slips through is refused without a trace.
    async fn users_who_clash_with_each_other_are_not_stored(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let one = analyst();
        let twin = User { global_id: one.global_id.clone(), ..analyst() };
        let refused = users::create(&mut c, None, [new(&one), new(&twin)].into(), now()).await;
        assert!(matches!(refused, Err(Error::Contended)), "{refused:?}");
        assert_eq!(users::find(&mut c, one.id).await.unwrap(), None);
        c.ping().await.unwrap();
    }

    async fn a_user_is_written_over_the_version_that_was_read(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let zone = stored_zone(&mut c, "north").await;
        let before = stored(&mut c, analyst()).await;
        let after = User {
            name: Name::try_from("Another".to_owned()).unwrap(),
            global_id: GlobalId::try_from("ldap:7".to_owned()).unwrap(),
            email: None,
            role: Role::Viewer,
            zone_id: Some(zone.zone_id),
            ..before.clone()
        };
        let later = now();
        assert_eq!(users::update(&mut c, &after, later).await.unwrap(), Updated::Yes);
        assert_eq!(users::update(&mut c, &after, later).await.unwrap(), Updated::Stale);
        let read = users::find(&mut c, before.id).await.unwrap().unwrap();
        assert_eq!(read, User { version: 2, updated_at: later, ..after });
        assert_eq!(users::find_role(&mut c, before.id).await.unwrap(), Some(Role::Viewer));
        assert_eq!(users::find_role(&mut c, analyst().id).await.unwrap(), None);
    }

    async fn a_change_that_clashes_names_what_is_in_the_way(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let (one, other) = (stored(&mut c, analyst()).await, stored(&mut c, analyst()).await);
        let nowhere: ZoneId = "nowhere".parse().unwrap();
        for (user, obstacle) in [
            (User { global_id: other.global_id.clone(), ..one.clone() }, Obstacle::GlobalIdTaken),
            (User { email: other.email.clone(), ..one.clone() }, Obstacle::EmailTaken),
            (User { zone_id: Some(nowhere), ..one.clone() }, Obstacle::NoSuchZone),
        ] {
            assert_eq!(users::update(&mut c, &user, now()).await.unwrap(), Updated::No(obstacle));
        }
        assert_eq!(users::find(&mut c, one.id).await.unwrap(), Some(one));
    }

    async fn a_transfer_moves_a_user_or_changes_nothing(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let zone = stored_zone(&mut c, "north").await;
        let user = stored(&mut c, analyst()).await;
        let moved = users::transfer(&mut c, user.id, Some(zone.zone_id.clone()), now()).await.unwrap();
        let Transferred::Yes(moved) = moved else { panic!("{moved:?}") };
        assert_eq!((moved.zone_id.as_ref(), moved.version), (Some(&zone.zone_id), 2));
        let nowhere: ZoneId = "nowhere".parse().unwrap();
        let lost = users::transfer(&mut c, user.id, Some(nowhere), now()).await.unwrap();
        assert_eq!(lost, Transferred::NoSuchZone);
        assert_eq!(users::find(&mut c, user.id).await.unwrap(), Some(*moved));
        let unknown = users::transfer(&mut c, analyst().id, Some(zone.zone_id), now()).await.unwrap();
        assert_eq!(unknown, Transferred::Unknown);
        let Transferred::Yes(out) = users::transfer(&mut c, user.id, None, now()).await.unwrap() else { panic!() };
        assert_eq!(out.zone_id, None);
    }

    async fn a_user_who_owns_projects_stays(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = stored(&mut c, analyst()).await;
        let project = project(&user);
        projects::insert(&mut c, &project).await.unwrap();
        assert_eq!(users::remove(&mut c, user.id, None).await.unwrap(), UserRemoval::OwnsProjects);
        projects::remove(&mut c, Access::of(&user), project.id, None, now()).await.unwrap();
        assert_eq!(users::remove(&mut c, user.id, None).await.unwrap(), UserRemoval::Removed);
        assert_eq!(users::remove(&mut c, user.id, None).await.unwrap(), UserRemoval::Unknown);
    }

    async fn users_are_counted_by_role_and_zone(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let zone = stored_zone(&mut c, "north").await;
        member(&mut c, &zone).await;
        users::insert(&mut c, &User { zone_id: Some(zone.zone_id), ..analyst() }, Some("hash")).await.unwrap();
        let admin = admin(&mut c).await;
        let expected = [
            Group { role: Role::Admin, zone_id: None, users: 1, with_credentials: 0 },
            Group { role: Role::Analyst, zone_id: Some("north".into()), users: 2, with_credentials: 1 },
        ];
        assert_eq!(users::groups(&mut c, admin).await.unwrap(), expected);
    }

    async fn a_zone_is_made_found_changed_and_removed(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let south = stored_zone(&mut c, "south").await;
        let north = stored_zone(&mut c, "north").await;
        assert!(matches!(zones::insert(&mut c, &north).await, Err(Error::Duplicate(_))));
        assert_eq!(zones::find(&mut c, &north.zone_id).await.unwrap().as_ref(), Some(&north));
        assert_eq!(zones::list(&mut c, Window::first(9)).await.unwrap(), [north.clone(), south.clone()]);
        assert_eq!(zones::list(&mut c, Window { skip: 1, ..Window::first(9) }).await.unwrap(), std::slice::from_ref(&south));
        let after = Window { after: Some(north.zone_id.clone()), ..Window::first(9) };
        assert_eq!(zones::list(&mut c, after).await.unwrap(), [south]);
        assert_eq!(zones::count(&mut c).await.unwrap(), 2);
        let (renamed, later) = (Zone { name: Name::try_from("N".to_owned()).unwrap(), ..north.clone() }, now());
        assert!(zones::update(&mut c, &renamed, later).await.unwrap());
        assert!(!zones::update(&mut c, &renamed, later).await.unwrap());
        let read = zones::find(&mut c, &north.zone_id).await.unwrap().unwrap();
        assert_eq!(read, Zone { version: 2, updated_at: later, ..renamed });
        assert_eq!(zones::remove(&mut c, north.zone_id.clone(), None).await.unwrap(), ZoneRemoval::Removed);
        assert_eq!(zones::remove(&mut c, north.zone_id.clone(), None).await.unwrap(), ZoneRemoval::Unknown);
    }

    async fn a_zone_with_members_stays(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let zone = stored_zone(&mut c, "north").await;
        let user = member(&mut c, &zone).await;
        assert_eq!(zones::remove(&mut c, zone.zone_id.clone(), None).await.unwrap(), ZoneRemoval::HasMembers);
        users::transfer(&mut c, user.id, None, now()).await.unwrap();
        assert_eq!(zones::remove(&mut c, zone.zone_id.clone(), None).await.unwrap(), ZoneRemoval::Removed);
    }

    async fn a_zones_members_are_seen_by_members_and_administrators(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let (zone, empty) = (stored_zone(&mut c, "north").await, stored_zone(&mut c, "empty").await);
        let members = vec![member(&mut c, &zone).await, member(&mut c, &zone).await];
        let (mate, stranger) = (Access::of(&members[0]), Access::of(&stored(&mut c, analyst()).await));
        let admin = admin(&mut c).await;
        for (who, access, sees) in [("mate", mate, true), ("admin", admin, true), ("stranger", stranger, false)] {
            let found = zones::find_with_members(&mut c, access, &zone.zone_id).await.unwrap().unwrap();
            assert_eq!(found.zone, zone, "{who}");
            assert_eq!(found.members, sees.then(|| sorted(&members)), "{who}");
            assert_eq!(zones::shows_members(&mut c, access, &zone.zone_id).await.unwrap(), Some(sees), "{who}");
        }
        let found = zones::find_with_members(&mut c, admin, &empty.zone_id).await.unwrap().unwrap();
        assert_eq!(found.members, Some(vec![]));
        let nowhere: ZoneId = "nowhere".parse().unwrap();
        assert_eq!(zones::find_with_members(&mut c, admin, &nowhere).await.unwrap(), None);
        assert_eq!(zones::shows_members(&mut c, admin, &nowhere).await.unwrap(), None);
    }

    async fn zones_are_counted_with_members_and_projects(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let (zone, _) = (stored_zone(&mut c, "north").await, stored_zone(&mut c, "empty").await);
        let user = member(&mut c, &zone).await;
        member(&mut c, &zone).await;
        for _ in 0..3 {
            projects::insert(&mut c, &project(&user)).await.unwrap();
        }
        let figures = |zone_id: &str, members, projects| ZoneFigures {
            zone_id: zone_id.into(),
            name: "Zone".into(),
            members,
            projects,
        };
        let admin = admin(&mut c).await;
        assert_eq!(zones::figures(&mut c, admin).await.unwrap(), [figures("empty", 0, 0), figures("north", 2, 3)]);
        let own = zones::figures(&mut c, Access::of(&user)).await.unwrap();
        assert_eq!(own, [figures("north", 2, 3)]);
        let zoneless = stored(&mut c, analyst()).await;
        assert_eq!(zones::figures(&mut c, Access::of(&zoneless)).await.unwrap(), []);
    }
}

fn sorted(users: &[User]) -> Vec<User> {
    let mut users = users.to_vec();
    users.sort_by_key(|user| user.id);
    users
}
