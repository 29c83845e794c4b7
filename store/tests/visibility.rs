//! Who may see and who may change what: every function of projects, scenarios and runs, for the owner,
//! a zone mate, a stranger, a viewer and an administrator, on both engines.

use std::time::Duration;

use safire_domain::{
    NodeId, ProjectId, RunId, ScenarioId,
    name::ZoneId,
    project::Project,
    run,
    scenario::Scenario,
    user::{Access, Role, User},
};
use safire_store::{
    Connection, Window,
    access::{Removal, Right, Written},
    projects,
    runs::{self, Accepted, Ask, Cancelled, Filter, Lease, Request},
    scenarios, users, zones,
};
use safire_test_support::{analyst, now, on_both_engines, project, scenario, zone};

/// A project with a scenario and a run, and everybody who might ask for them.
struct Stage {
    project: Project,
    scenario: Scenario,
    run: RunId,
    owner: Access,
    mate: Access,
    stranger: Access,
    nobody: Access,
    viewer: Access,
    admin: Access,
}

async fn user(c: &mut Connection, role: Role, zone: Option<&ZoneId>) -> User {
    let user = User { role, zone_id: zone.cloned(), ..analyst() };
    users::insert(c, &user, None).await.unwrap();
    user
}

async fn stage(c: &mut Connection) -> Stage {
    let (here, there) = (zone("here"), zone("there"));
    zones::insert(c, &here).await.unwrap();
    zones::insert(c, &there).await.unwrap();
    let owner = user(c, Role::Analyst, Some(&here.zone_id)).await;
    let project = project(&owner);
    let scenario = scenario(&project);
    projects::insert(c, &project).await.unwrap();
    assert_eq!(scenarios::insert(c, Access::of(&owner), &scenario).await.unwrap(), Written::Yes);
    let mut stage = Stage {
        run: RunId::new(now()),
        owner: Access::of(&owner),
        mate: Access::of(&user(c, Role::Analyst, Some(&here.zone_id)).await),
        stranger: Access::of(&user(c, Role::Analyst, Some(&there.zone_id)).await),
        // Two users without a zone are not in the same zone.
        nobody: Access::of(&user(c, Role::Analyst, None).await),
        viewer: Access::of(&user(c, Role::Viewer, Some(&here.zone_id)).await),
        admin: Access::of(&user(c, Role::Admin, None).await),
        project,
        scenario,
    };
    let Accepted::New(run, _) = runs::accept(c, stage.request(stage.owner)).await.unwrap() else { panic!() };
    stage.run = run.id;
    stage
}

impl Stage {
    fn request(&self, access: Access) -> Request {
        let now = now();
        let lease = Lease { owner: NodeId::new(now), length: Duration::from_secs(15) };
        let ask = Ask::Analysis(Box::new(run::base()));
        Request {
            access,
            key: None,
            scenario: self.scenario.id,
            ask,
            inputs: None,
            versions: None,
            run: RunId::new(now),
            lease,
            now,
        }
    }

    fn ids(&self) -> (ProjectId, ScenarioId, RunId) {
        (self.project.id, self.scenario.id, self.run)
    }

    /// What everybody may do with the owner's project.
    fn table(&self) -> [(&'static str, Access, Right); 6] {
        [
            ("owner", self.owner, Right::Write),
            ("zone mate", self.mate, Right::Read),
            ("stranger", self.stranger, Right::None),
            ("stranger without a zone", self.nobody, Right::None),
            ("viewer of the zone", self.viewer, Right::Read),
            ("administrator", self.admin, Right::Write),
        ]
    }
}

on_both_engines! {
    async fn what_is_read_is_ones_own_or_the_zones_or_everything(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let stage = stage(&mut c).await;
        let (project, scenario, run) = stage.ids();
        for (who, access, right) in stage.table() {
            let sees = right != Right::None;
            let one = i64::from(sees);
            assert_eq!(projects::right(&mut c, access, project).await.unwrap(), right, "{who}");
            assert_eq!(projects::find(&mut c, access, project).await.unwrap().is_some(), sees, "{who}");
            assert_eq!(projects::list(&mut c, access, Window::first(9)).await.unwrap().len(), usize::from(sees), "{who}");
            assert_eq!(projects::count(&mut c, access).await.unwrap(), one, "{who}");
            assert_eq!(scenarios::find(&mut c, access, scenario).await.unwrap().is_some(), sees, "{who}");
            let found = scenarios::find_with_right(&mut c, access, scenario).await.unwrap();
            assert_eq!(found.map_or(Right::None, |(_, right)| right), right, "{who}");
            let listed = scenarios::list(&mut c, access, project, Window::first(9)).await.unwrap();
            assert_eq!(listed.len(), usize::from(sees), "{who}");
            assert_eq!(scenarios::count(&mut c, access, project).await.unwrap(), one, "{who}");
            assert_eq!(runs::find(&mut c, access, scenario, run).await.unwrap().is_some(), sees, "{who}");
            assert_eq!(runs::list(&mut c, access, scenario, Filter::default(), Window::first(9)).await.unwrap().len(), usize::from(sees), "{who}");
            assert_eq!(runs::count(&mut c, access, scenario, Filter::default()).await.unwrap(), one, "{who}");
        }
    }

    async fn what_is_written_is_ones_own_and_administrators_write_everything(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let stage = stage(&mut c).await;
        let (id, scenario_id, mut run) = stage.ids();
        for (who, access, right) in stage.table() {
            let write = match right {
                Right::None => Written::Unknown,
                Right::Read => Written::Forbidden,
                Right::Write => Written::Yes,
            };
            let removal = match right {
                Right::None => Removal::Unknown,
                Right::Read => Removal::Forbidden,
                Right::Write => Removal::InMotion,
            };
            let project = projects::find(&mut c, stage.admin, id).await.unwrap().unwrap();
            let scenario = scenarios::find(&mut c, stage.admin, scenario_id).await.unwrap().unwrap();
            assert_eq!(projects::update(&mut c, access, &project, now()).await.unwrap(), write, "{who}");
            assert_eq!(scenarios::update(&mut c, access, &scenario, now()).await.unwrap(), write, "{who}");
            let new = safire_test_support::scenario(&project);
            assert_eq!(scenarios::insert(&mut c, access, &new).await.unwrap(), write, "{who}");
            assert_eq!(projects::remove(&mut c, access, id, None, now()).await.unwrap(), removal, "{who}");
            assert_eq!(scenarios::remove(&mut c, access, scenario_id, None, now()).await.unwrap(), removal, "{who}");
            let accepted = runs::accept(&mut c, stage.request(access)).await.unwrap();
            match right {
                Right::None => assert!(matches!(accepted, Accepted::Unknown), "{who}: {accepted:?}"),
                Right::Read => assert!(matches!(accepted, Accepted::Forbidden), "{who}: {accepted:?}"),
                Right::Write => assert!(matches!(accepted, Accepted::Same(same) if same.id == run), "{who}"),
            }
            let cancelled = runs::cancel(&mut c, access, scenario_id, None, now()).await.unwrap();
            match right {
                Right::None => assert_eq!(cancelled, Cancelled::Unknown, "{who}"),
                Right::Read => assert_eq!(cancelled, Cancelled::Forbidden, "{who}"),
                Right::Write => assert!(matches!(cancelled, Cancelled::Yes(_)), "{who}"),
            }
            if right == Right::Write {
                assert_eq!(scenarios::remove(&mut c, access, new.id, None, now()).await.unwrap(), Removal::Removed, "{who}");
                let again = runs::accept(&mut c, stage.request(access)).await.unwrap();
                let Accepted::New(begun, _) = again else { panic!("{who}: {again:?}") };
                run = begun.id;
            }
        }
    }

    async fn an_owner_who_became_a_viewer_reads_and_writes_nothing(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let stage = stage(&mut c).await;
        let viewer = Access { role: Role::Viewer, ..stage.owner };
        let (project, scenario, _) = stage.ids();
        assert_eq!(projects::right(&mut c, viewer, project).await.unwrap(), Right::Read);
        assert_eq!(projects::update(&mut c, viewer, &stage.project, now()).await.unwrap(), Written::Forbidden);
        assert_eq!(projects::remove(&mut c, viewer, project, None, now()).await.unwrap(), Removal::Forbidden);
        assert_eq!(scenarios::remove(&mut c, viewer, scenario, None, now()).await.unwrap(), Removal::Forbidden);
        assert_eq!(runs::cancel(&mut c, viewer, scenario, None, now()).await.unwrap(), Cancelled::Forbidden);
    }

    async fn a_transfer_counts_at_once(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let stage = stage(&mut c).await;
        let there = Some(zone("there").zone_id);
        users::transfer(&mut c, stage.owner.user, there, now()).await.unwrap();
        assert_eq!(projects::find(&mut c, stage.mate, stage.project.id).await.unwrap(), None);
        assert!(projects::find(&mut c, stage.stranger, stage.project.id).await.unwrap().is_some());
        users::transfer(&mut c, stage.owner.user, None, now()).await.unwrap();
        assert_eq!(projects::find(&mut c, stage.stranger, stage.project.id).await.unwrap(), None);
        assert_eq!(projects::find(&mut c, stage.nobody, stage.project.id).await.unwrap(), None);
        assert!(projects::find(&mut c, stage.owner, stage.project.id).await.unwrap().is_some());
    }

    async fn users_see_themselves_their_zone_mates_and_nobody_else(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let stage = stage(&mut c).await;
        for (who, access, sees) in [
            ("owner", stage.owner, 3),
            ("zone mate", stage.mate, 3),
            ("viewer", stage.viewer, 3),
            ("stranger", stage.stranger, 1),
            ("without a zone", stage.nobody, 1),
            ("administrator", stage.admin, 6),
        ] {
            assert_eq!(users::list(&mut c, access, None, Window::first(9)).await.unwrap().len(), sees, "{who}");
            assert_eq!(users::count(&mut c, access, None).await.unwrap(), sees as i64, "{who}");
            let owner = users::find_visible(&mut c, access, stage.owner.user).await.unwrap();
            assert_eq!(owner.is_some(), sees > 1, "{who}");
            assert!(users::find_visible(&mut c, access, access.user).await.unwrap().is_some(), "{who}");
        }
    }
}
