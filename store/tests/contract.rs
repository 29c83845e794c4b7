//! The store's contract, held against both engines.

use std::{collections::HashSet, time::Duration};

use chrono::TimeDelta;
use futures::future::join_all;
use safire_domain::{
    NodeId, RunId, Timestamp,
    engine::{self, Failure, Plain, Quantity},
    lifecycle::{Rest, RunState, Status},
    master_data::MasterData,
    project::Project,
    run::{self, Advance, Findings, MAX_ATTEMPTS, Outcome},
    scenario::Scenario,
    user::{Access, Role, User},
};
use safire_store::{
    Connection, Error, Window,
    access::{Removal, Written},
    master_data, projects,
    runs::{self, Accepted, Ask, Assignment, Cancelled, Claim, Filter, Lease, Only, Request},
    scenarios, schema, users,
};
use safire_test_support::{analyst, now, on_both_engines, project, scenario};

/// A user with a project and a draft of the worked case.
struct Plant {
    user: User,
    project: Project,
    scenario: Scenario,
}

async fn plant(c: &mut Connection) -> Plant {
    let user = analyst();
    let project = project(&user);
    let scenario = scenario(&project);
    users::insert(c, &user, Some("hash")).await.unwrap();
    projects::insert(c, &project).await.unwrap();
    assert_eq!(scenarios::insert(c, Access::of(&user), &scenario).await.unwrap(), Written::Yes);
    Plant { user, project, scenario }
}

impl Plant {
    fn access(&self) -> Access {
        Access::of(&self.user)
    }

    async fn edit(&self, c: &mut Connection, scenario: &Scenario) {
        assert_eq!(scenarios::update(c, self.access(), scenario, now()).await.unwrap(), Written::Yes);
    }
}

fn lease(owner: NodeId) -> Lease {
    Lease { owner, length: Duration::from_secs(15) }
}

/// A lease that ends as it is taken.
fn ended(owner: NodeId) -> Lease {
    Lease { owner, length: Duration::ZERO }
}

fn request(plant: &Plant, node: NodeId) -> Request {
    let now = now();
    let (access, scenario, lease) = (plant.access(), plant.scenario.id, lease(node));
    let ask = Ask::Analysis(Box::new(run::base()));
    Request { access, key: None, scenario, ask, inputs: None, versions: None, run: RunId::new(now), lease, now }
}

async fn accepted(c: &mut Connection, plant: &Plant, node: NodeId) -> Assignment {
    match runs::accept(c, request(plant, node)).await.unwrap() {
        Accepted::New(_, assignment) => *assignment,
        other => panic!("not a new run: {other:?}"),
    }
}

fn outcome(assignment: &Assignment) -> Outcome {
    let base = engine::analyse(&assignment.order.inputs, &mut Plain)?;
    Ok(Findings { base, analysis: None })
}

async fn status(c: &mut Connection, plant: &Plant) -> Status {
    scenarios::find(c, plant.access(), plant.scenario.id).await.unwrap().unwrap().status
}

async fn run_state(c: &mut Connection, plant: &Plant, run: RunId) -> RunState {
    runs::find(c, plant.access(), plant.scenario.id, run).await.unwrap().unwrap().state
}

fn claim(node: NodeId) -> Claim {
    Claim { lease: lease(node), abandoned: true, own: false, only: None, blamed: false, limit: 100, now: now() }
}

on_both_engines! {
    async fn processes_that_start_together_migrate_and_seed_once(database: &TestDatabase) {
        let starts = (0..4).map(|_| async { drop(database.prepared().await) });
        join_all(starts).await;
        let mut c = database.connect().await;
        assert_eq!(schema::current_version(&mut c).await.unwrap(), schema::latest_version());
        assert_eq!(master_data::load(&mut c).await.unwrap(), *MasterData::seed());
    }

    async fn a_user_is_found_by_id_and_by_address_and_both_are_unique(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = analyst();
        users::insert(&mut c, &user, Some("hash")).await.unwrap();
        assert_eq!(users::find(&mut c, user.id).await.unwrap().as_ref(), Some(&user));
        let email = user.email.clone().unwrap();
        assert_eq!(users::credentials(&mut c, &email).await.unwrap(), Some((user.clone(), "hash".into())));
        let double = User { email: user.email, ..analyst() };
        assert!(matches!(users::insert(&mut c, &double, None).await, Err(Error::Duplicate(_))));
        assert!(!users::has_admin(&mut c).await.unwrap());
    }

    async fn a_user_without_credentials_cannot_sign_in(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = analyst();
        users::insert(&mut c, &user, None).await.unwrap();
        assert_eq!(users::credentials(&mut c, &user.email.unwrap()).await.unwrap(), None);
    }

    async fn a_project_is_written_over_the_version_that_was_read_and_no_other(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c).await;
        let (me, project) = (plant.access(), plant.project);
        assert_eq!(projects::update(&mut c, me, &project, now()).await.unwrap(), Written::Yes);
        assert_eq!(projects::update(&mut c, me, &project, now()).await.unwrap(), Written::Stale);
        assert_eq!(projects::find(&mut c, me, project.id).await.unwrap().unwrap().version, 2);
    }

    async fn lists_come_in_pages_and_in_order(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let Plant { user, project: first, .. } = plant(&mut c).await;
        for _ in 0..4 {
            projects::insert(&mut c, &project(&user)).await.unwrap();
        }
        assert_eq!(projects::count(&mut c, Access::of(&user)).await.unwrap(), 5);
        let newest = projects::list(&mut c, Access::of(&user), Window::first(3)).await.unwrap();
        let skipped = Window { skip: 3, ..Window::first(3) };
        let oldest = projects::list(&mut c, Access::of(&user), skipped).await.unwrap();
        assert_eq!((newest.len(), oldest.len()), (3, 2));
        let ids: Vec<_> = newest.iter().chain(&oldest).map(|project| project.id).collect();
        assert!(ids.is_sorted_by(|a, b| a > b));
        assert_eq!(oldest[1].id, first.id);
        // From a cursor on, what is new or gone shifts nothing.
        let after = Window { after: Some(newest[2].id), ..Window::first(3) };
        projects::insert(&mut c, &project(&user)).await.unwrap();
        assert_eq!(projects::list(&mut c, Access::of(&user), after).await.unwrap(), oldest);
    }

    async fn lists_of_scenarios_runs_and_users_go_on_from_a_cursor(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c).await;
        let (me, node) = (plant.access(), NodeId::new(now()));
        let second = scenario(&plant.project);
        scenarios::insert(&mut c, me, &second).await.unwrap();
        let after = Window { after: Some(plant.scenario.id), ..Window::first(9) };
        let listed = scenarios::list(&mut c, me, plant.project.id, after).await.unwrap();
        assert_eq!(listed.iter().map(|scenario| scenario.id).collect::<Vec<_>>(), [second.id]);

        let first = accepted(&mut c, &plant, node).await.run;
        runs::cancel(&mut c, me, plant.scenario.id, None, now()).await.unwrap();
        let last = accepted(&mut c, &plant, node).await.run;
        let before = Window { after: Some(last), ..Window::first(9) };
        let listed = runs::list(&mut c, me, plant.scenario.id, Filter::default(), before).await.unwrap();
        assert_eq!(listed.iter().map(|run| run.id).collect::<Vec<_>>(), [first]);

        let admin = User { role: Role::Admin, ..analyst() };
        users::insert(&mut c, &admin, None).await.unwrap();
        let after = Window { after: Some(plant.user.id), ..Window::first(9) };
        let listed = users::list(&mut c, Access::of(&admin), None, after).await.unwrap();
        assert_eq!(listed.iter().map(|user| user.id).collect::<Vec<_>>(), [admin.id]);
    }

    async fn inputs_come_back_to_the_bit(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c).await;
        let mut scenario = plant.scenario.clone();
        for value in [0.1 + 0.2, 1.0 / 3.0, 5e-324, 1.797e308, 123_456_789.123_456_79, 1e23] {
            scenario.inputs.plant.capacity = Some(Quantity::new(value, "kt/yr"));
            plant.edit(&mut c, &scenario).await;
            let read = scenarios::find(&mut c, plant.access(), scenario.id).await.unwrap().unwrap();
            assert_eq!(read.inputs.plant.capacity.as_ref().unwrap().value.to_bits(), value.to_bits());
            scenario.version = read.version;
        }
    }

    async fn a_calculation_asked_for_twice_is_one_run(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c).await;
        let node = NodeId::new(now());
        let assignment = accepted(&mut c, &plant, node).await;
        let Accepted::Same(again) = runs::accept(&mut c, request(&plant, node)).await.unwrap() else { panic!() };
        assert_eq!(again.id, assignment.run);
        assert_eq!(runs::count(&mut c, plant.access(), plant.scenario.id, Filter::default()).await.unwrap(), 1);
        assert!(matches!(status(&mut c, &plant).await, Status::Calculating { run, before: Rest::Draft } if run == again.id));
    }

    async fn many_who_ask_at_once_get_one_run(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c).await;
        let node = NodeId::new(now());
        let asked = (0..16).map(|_| async {
            let mut c = database.connect().await;
            match runs::accept(&mut c, request(&plant, node)).await.unwrap() {
                Accepted::New(run, _) => (true, run.id),
                Accepted::Same(run) => (false, run.id),
                other => panic!("{other:?}"),
            }
        });
        let answers = join_all(asked).await;
        assert_eq!(answers.iter().filter(|(new, _)| *new).count(), 1);
        assert_eq!(answers.iter().map(|(_, run)| run).collect::<HashSet<_>>().len(), 1);
    }

    async fn other_inputs_wait_for_the_run_in_motion(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c).await;
        let node = NodeId::new(now());
        let assignment = accepted(&mut c, &plant, node).await;
        let mut edited = scenarios::find(&mut c, plant.access(), plant.scenario.id).await.unwrap().unwrap();
        edited.inputs.plant.capacity = Some(Quantity::new(100.0, "kt/yr"));
        plant.edit(&mut c, &edited).await;
        let busy = runs::accept(&mut c, request(&plant, node)).await.unwrap();
        assert!(matches!(busy, Accepted::Busy(run) if run == assignment.run), "{busy:?}");
        assert!(runs::settle(&mut c, assignment.run, 1, node, outcome(&assignment), now()).await.unwrap());
        assert!(matches!(runs::accept(&mut c, request(&plant, node)).await.unwrap(), Accepted::New(..)));
    }

    async fn inputs_that_cannot_be_calculated_store_nothing(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let mut plant = plant(&mut c).await;
        plant.scenario.pathway.process = "ATJ".into();
        plant.edit(&mut c, &plant.scenario).await;
        let refused = runs::accept(&mut c, request(&plant, NodeId::new(now()))).await.unwrap();
        assert!(matches!(refused, Accepted::Invalid(_)), "{refused:?}");
        assert_eq!(runs::count(&mut c, plant.access(), plant.scenario.id, Filter::default()).await.unwrap(), 0);
        assert_eq!(status(&mut c, &plant).await, Status::DRAFT);
    }

    async fn a_result_is_committed_once_and_read_back_to_the_bit(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c).await;
        let node = NodeId::new(now());
        let assignment = accepted(&mut c, &plant, node).await;
        let (run, outcome) = (assignment.run, outcome(&assignment));
        assert!(runs::settle(&mut c, run, 1, node, outcome.clone(), now()).await.unwrap());
        assert!(!runs::settle(&mut c, run, 1, node, outcome.clone(), now()).await.unwrap());
        assert_eq!(status(&mut c, &plant).await, Status::Resting(Rest::Calculated(run)));
        let (stored, snapshot) = runs::result(&mut c, run).await.unwrap().unwrap();
        assert_eq!(stored, outcome.unwrap());
        assert_eq!(snapshot.resolve().unwrap().inputs, assignment.order.inputs);
        let Accepted::Same(same) = runs::accept(&mut c, request(&plant, node)).await.unwrap() else { panic!() };
        assert_eq!((same.id, same.state), (run, RunState::Succeeded));
    }

    async fn a_failed_run_keeps_its_failure_and_can_be_asked_for_again(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c).await;
        let node = NodeId::new(now());
        let run = accepted(&mut c, &plant, node).await.run;
        let failure = Failure::new("engine.panicked", "a defect");
        assert!(runs::settle(&mut c, run, 1, node, Err(failure.clone()), now()).await.unwrap());
        assert_eq!(status(&mut c, &plant).await, Status::Resting(Rest::Failed(run)));
        let read = runs::find(&mut c, plant.access(), plant.scenario.id, run).await.unwrap().unwrap();
        assert_eq!((read.state, read.failure), (RunState::Failed, Some(failure)));
        assert!(matches!(runs::accept(&mut c, request(&plant, node)).await.unwrap(), Accepted::New(..)));
    }

    async fn a_result_of_another_attempt_or_another_process_is_refused(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c).await;
        let (node, other) = (NodeId::new(now()), NodeId::new(now()));
        let assignment = accepted(&mut c, &plant, node).await;
        let (run, outcome) = (assignment.run, outcome(&assignment));
        assert!(!runs::settle(&mut c, run, 2, node, outcome.clone(), now()).await.unwrap());
        assert!(!runs::settle(&mut c, run, 1, other, outcome, now()).await.unwrap());
        assert_eq!(run_state(&mut c, &plant, run).await, RunState::Queued);
    }

    async fn a_cancelled_run_returns_the_scenario_to_where_it_was(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let mut plant = plant(&mut c).await;
        let (user, node) = (plant.access(), NodeId::new(now()));
        assert_eq!(runs::cancel(&mut c, user, plant.scenario.id, None, now()).await.unwrap(), Cancelled::NotInMotion);
        let first = accepted(&mut c, &plant, node).await;
        runs::settle(&mut c, first.run, 1, node, outcome(&first), now()).await.unwrap();
        plant.scenario = scenarios::find(&mut c, user, plant.scenario.id).await.unwrap().unwrap();
        plant.scenario.inputs.plant.capacity = Some(Quantity::new(100.0, "kt/yr"));
        plant.edit(&mut c, &plant.scenario).await;

        let second = accepted(&mut c, &plant, node).await;
        let advance = Advance { stage: "sampling".into(), done: 1, total: 4, started_at: now() };
        runs::record(&mut c, second.run, 1, node, &advance).await.unwrap();
        assert_eq!(run_state(&mut c, &plant, second.run).await, RunState::Running);
        let cancelled = runs::cancel(&mut c, user, plant.scenario.id, None, now()).await.unwrap();
        assert_eq!(cancelled, Cancelled::Yes(second.run));
        assert_eq!(status(&mut c, &plant).await, Status::Resting(Rest::Calculated(first.run)));
        assert!(!runs::settle(&mut c, second.run, 1, node, outcome(&second), now()).await.unwrap());
        assert_eq!(run_state(&mut c, &plant, second.run).await, RunState::Cancelled);
    }

    async fn only_abandoned_runs_are_taken_over(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c).await;
        let (node, other) = (NodeId::new(now()), NodeId::new(now()));
        let run = accepted(&mut c, &plant, node).await.run;
        let not_yet = Claim { abandoned: false, ..claim(other) };
        assert_eq!(runs::claim(&mut c, not_yet).await.unwrap(), []);
        // SQLite has one process: whoever else held a run is gone.
        if let Connection::Postgres(_) = c {
            assert_eq!(runs::claim(&mut c, claim(other)).await.unwrap(), []);
            runs::renew(&mut c, ended(node)).await.unwrap();
            runs::renew(&mut c, lease(node)).await.unwrap();
            assert_eq!(runs::claim(&mut c, claim(other)).await.unwrap(), []);
        }
        runs::renew(&mut c, ended(node)).await.unwrap();
        assert_eq!(runs::claim(&mut c, not_yet).await.unwrap(), []);
        let taken = runs::claim(&mut c, claim(other)).await.unwrap();
        assert_eq!(taken.iter().map(|a| (a.run, a.attempt)).collect::<Vec<_>>(), [(run, 2)]);
        assert!(!runs::settle(&mut c, run, 1, node, outcome(&taken[0]), now()).await.unwrap());
        assert!(runs::settle(&mut c, run, 2, other, outcome(&taken[0]), now()).await.unwrap());
    }

    async fn a_process_begins_its_own_runs_again_only_when_it_says_so(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let (one, two) = (plant(&mut c).await, plant(&mut c).await);
        let node = NodeId::new(now());
        let first = accepted(&mut c, &one, node).await.run;
        let second = accepted(&mut c, &two, node).await.run;
        assert_eq!(runs::claim(&mut c, claim(node)).await.unwrap(), []);
        let of_two = Claim { own: true, only: Some(Only::Scenario(two.scenario.id)), blamed: true, ..claim(node) };
        assert_eq!(runs::claim(&mut c, of_two).await.unwrap().iter().map(|a| a.run).collect::<Vec<_>>(), [second]);
        let orphaned = Claim { blamed: false, ..of_two };
        assert_eq!(runs::claim(&mut c, orphaned).await.unwrap()[0].attempt, 2);
        let all = Claim { own: true, ..claim(node) };
        let again: Vec<_> = runs::claim(&mut c, all).await.unwrap().iter().map(|a| (a.run, a.attempt)).collect();
        assert_eq!(again, [(first, 1), (second, 2)]);
    }

    async fn claims_at_once_never_take_the_same_run(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let gone = NodeId::new(now());
        for _ in 0..12 {
            let plant = plant(&mut c).await;
            accepted(&mut c, &plant, gone).await;
        }
        runs::hand_back(&mut c, gone).await.unwrap();
        let claims = (0..4).map(|_| async {
            let mut c = database.connect().await;
            let mut taken = Vec::new();
            loop {
                let some = Claim { limit: 2, abandoned: false, ..claim(NodeId::new(now())) };
                match runs::claim(&mut c, some).await.unwrap() {
                    none if none.is_empty() => return taken,
                    some => taken.extend(some.into_iter().map(|assignment| assignment.run)),
                }
            }
        });
        let taken: Vec<_> = join_all(claims).await.into_iter().flatten().collect();
        assert_eq!(taken.len(), 12);
        assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 12);
    }

    async fn a_run_that_never_ends_is_given_up_after_three_attempts(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c).await;
        let mut owner = NodeId::new(now());
        let run = accepted(&mut c, &plant, owner).await.run;
        for attempt in 2..=MAX_ATTEMPTS {
            runs::renew(&mut c, ended(owner)).await.unwrap();
            owner = NodeId::new(now());
            let taken = runs::claim(&mut c, claim(owner)).await.unwrap();
            assert_eq!(taken[0].attempt, attempt);
        }
        runs::renew(&mut c, ended(owner)).await.unwrap();
        assert_eq!(runs::claim(&mut c, claim(NodeId::new(now()))).await.unwrap(), []);
        let read = runs::find(&mut c, plant.access(), plant.scenario.id, run).await.unwrap().unwrap();
        assert_eq!(read.failure.unwrap().code, "run.attempts_exhausted");
        assert_eq!(status(&mut c, &plant).await, Status::Resting(Rest::Failed(run)));
    }

    async fn what_is_handed_back_costs_no_attempt_and_refuses_a_late_result(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c).await;
        let (node, next) = (NodeId::new(now()), NodeId::new(now()));
        let assignment = accepted(&mut c, &plant, node).await;
        assert_eq!(runs::hand_back(&mut c, node).await.unwrap(), 1);
        assert_eq!(runs::hand_back(&mut c, node).await.unwrap(), 0);
        assert!(!runs::settle(&mut c, assignment.run, 1, node, outcome(&assignment), now()).await.unwrap());
        let taken = runs::claim(&mut c, claim(next)).await.unwrap();
        assert_eq!((taken[0].run, taken[0].attempt), (assignment.run, 1));
    }

    async fn a_failed_run_is_tried_again_as_it_was_whatever_the_scenario_is_now(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c).await;
        let node = NodeId::new(now());
        let first = accepted(&mut c, &plant, node).await;
        let again = Request { ask: Ask::Again(first.run), ..request(&plant, node) };
        let answer = runs::accept(&mut c, again.clone()).await.unwrap();
        assert!(matches!(answer, Accepted::NotFailed(RunState::Queued)), "{answer:?}");
        let failure = Failure::new("engine.panicked", "a defect");
        assert!(runs::settle(&mut c, first.run, 1, node, Err(failure), now()).await.unwrap());
        let mut edited = plant.scenario.clone();
        edited.inputs.plant.capacity = Some(Quantity { value: 5000.0, unit: "t/yr".into() });
        edited.revision += 1;
        edited.version = scenarios::find(&mut c, plant.access(), edited.id).await.unwrap().unwrap().version;
        plant.edit(&mut c, &edited).await;

        let stranger = Request { ask: Ask::Again(RunId::new(now())), ..request(&plant, node) };
        assert!(matches!(runs::accept(&mut c, stranger).await.unwrap(), Accepted::UnknownRun));
        let Accepted::New(run, second) = runs::accept(&mut c, again.clone()).await.unwrap() else {
            panic!("not a new run")
        };
        assert_eq!((run.revision, run.attempt), (1, 1));
        assert_eq!(second.order, first.order);
        let other = Request { run: RunId::new(now()), ..again };
        assert!(matches!(runs::accept(&mut c, other).await.unwrap(), Accepted::Busy(busy) if busy == run.id));
        assert!(runs::settle(&mut c, run.id, 1, node, outcome(&second), now()).await.unwrap());
        assert_eq!(status(&mut c, &plant).await, Status::Resting(Rest::Calculated(run.id)));
    }

    async fn nothing_in_motion_can_be_removed(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let plant = plant(&mut c).await;
        let (user, node) = (plant.access(), NodeId::new(now()));
        let assignment = accepted(&mut c, &plant, node).await;
        assert_eq!(scenarios::remove(&mut c, user, plant.scenario.id, None, now()).await.unwrap(), Removal::InMotion);
        assert_eq!(projects::remove(&mut c, user, plant.project.id, None, now()).await.unwrap(), Removal::InMotion);
        runs::settle(&mut c, assignment.run, 1, node, outcome(&assignment), now()).await.unwrap();
        assert_eq!(projects::remove(&mut c, user, plant.project.id, None, now()).await.unwrap(), Removal::Removed);
        assert_eq!(projects::remove(&mut c, user, plant.project.id, None, now()).await.unwrap(), Removal::Unknown);
        assert_eq!(runs::result(&mut c, assignment.run).await.unwrap(), None);
    }

    async fn a_transaction_that_fails_leaves_nothing_and_the_connection_works_on(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let user = analyst();
        let twice = user.clone();
        let failed = c
            .transaction(|c| Box::pin(async move {
                users::insert(c, &twice, None).await?;
                users::insert(c, &twice, None).await
            }))
            .await;
        assert!(matches!(failed, Err(Error::Duplicate(_))));
        assert_eq!(users::find(&mut c, user.id).await.unwrap(), None);
        users::insert(&mut c, &user, None).await.unwrap();
        c.ping().await.unwrap();
    }

    async fn times_come_back_to_the_microsecond(database: &TestDatabase) {
        let mut c = database.prepared().await;
        for micros in [0, 1, 999_999, 500_000, 123_000] {
            let created_at = Timestamp::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::microseconds(micros);
            let user = User { created_at, ..analyst() };
            users::insert(&mut c, &user, None).await.unwrap();
            assert_eq!(users::find(&mut c, user.id).await.unwrap().unwrap().created_at, created_at);
        }
    }
}
