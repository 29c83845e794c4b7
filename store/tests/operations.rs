//! Imports as they are stored: who may write what, whatever died before, on both engines.

use std::time::Duration;

use chrono::TimeDelta;
use safire_domain::{
    NodeId, OperationId,
    engine::Failure,
    operation::{Counts, Fault, Format, MAX_STUMBLES, Operation, State},
    project::Project,
    user::{Access, User},
};
use safire_store::{
    Connection, Window,
    idempotency::Once,
    operations::{self, Advanced, Ahead, Cancelled, Claim, Grip, Made, New, Next, Outcome, Settled},
    projects,
    runs::Lease,
    scenarios, users,
};
use safire_test_support::{analyst, now, on_both_engines, project, scenario};

struct World {
    access: Access,
    project: Project,
    operation: OperationId,
}

/// An import of as many chunks of one row each.
async fn import(c: &mut Connection, chunks: u8) -> World {
    let user: User = analyst();
    users::insert(c, &user, None).await.unwrap();
    let project = project(&user);
    projects::insert(c, &project).await.unwrap();
    let operation = Operation {
        id: OperationId::new(now()),
        project_id: project.id,
        user_id: user.id,
        file_name: "plants.csv".into(),
        format: Format::Csv,
        calculate: true,
        state: State::Queued,
        counts: Counts { rows: chunks.into(), ..Counts::default() },
        failure: None,
        created_at: now(),
        started_at: None,
        finished_at: None,
    };
    let (access, id) = (Access::of(&user), operation.id);
    let columns = vec![("/name".to_owned(), "name".to_owned())];
    let new = New { operation, columns, chunks: Box::new((0..chunks).map(|chunk| Ok(vec![chunk, 0, 255]))) };
    assert!(matches!(operations::accept(c, access, None, new).await.unwrap(), Once::Made(made) if made == id));
    World { access, project, operation: id }
}

async fn claim(c: &mut Connection, owner: NodeId, length: Duration) -> Vec<Grip> {
    let lease = Lease { owner, length };
    operations::claim(c, Claim { lease, abandoned: true, limit: 10, now: now() }).await.unwrap()
}

const LONG: Duration = Duration::from_secs(60);

fn node() -> NodeId {
    NodeId::new(now())
}

/// What a chunk of one row becomes.
fn made(world: &World, position: i64) -> Made {
    Made { position, created: vec![(position + 2, scenario(&world.project))], refused: Vec::new(), at: now() }
}

async fn scenarios(c: &mut Connection, world: &World) -> i64 {
    scenarios::count(c, world.access, world.project.id).await.unwrap()
}

on_both_engines! {
    async fn a_chunk_takes_effect_once_and_only_by_whoever_holds_the_operation(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let world = import(&mut c, 2).await;
        let (first, second) = (node(), node());
        let stale = claim(&mut c, first, Duration::ZERO).await[0];
        let grip = claim(&mut c, second, LONG).await[0];
        assert_eq!((stale.attempt, grip.attempt, grip.operation), (1, 2, world.operation));
        let Ahead { access, advance, next, .. } = operations::next(&mut c, grip, 8).await.unwrap().expect("it is held");
        assert_eq!(advance.map(|advance| (advance.done, advance.total)), Some((0, 4)));
        let Next::Chunk(chunk) = next else { panic!("no chunk: {next:?}") };
        assert_eq!((chunk.position, chunk.content.as_slice(), access), (0, &[0, 0, 255][..], world.access));
        assert!(operations::next(&mut c, stale, 8).await.unwrap().is_none());

        let advance = async |c: &mut Connection, grip, position| {
            operations::advance(c, grip, world.access, made(&world, position)).await.unwrap()
        };
        assert_eq!(advance(&mut c, stale, 0).await, Advanced::Lost);
        assert_eq!(advance(&mut c, grip, 1).await, Advanced::Lost, "it is not at that chunk");
        assert_eq!(scenarios(&mut c, &world).await, 0);
        assert_eq!(advance(&mut c, grip, 0).await, Advanced::Yes);
        assert_eq!(advance(&mut c, grip, 0).await, Advanced::Lost, "it was done");
        assert_eq!(scenarios(&mut c, &world).await, 1);
        assert_eq!(advance(&mut c, grip, 1).await, Advanced::Yes);

        let Ahead { next, .. } = operations::next(&mut c, grip, 8).await.unwrap().unwrap();
        let Next::Scenarios(found) = next else { panic!("no scenarios: {next:?}") };
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3]);
        let settled = Settled { line: 3, calculated: 1, not_calculated: 1, at: now() };
        assert!(!operations::settle(&mut c, stale, settled).await.unwrap());
        assert!(operations::settle(&mut c, grip, settled).await.unwrap());
        assert!(!operations::settle(&mut c, grip, settled).await.unwrap(), "it was settled");
        assert!(matches!(operations::next(&mut c, grip, 8).await.unwrap(), Some(Ahead { next: Next::Nothing, .. })));
        assert!(!operations::finish(&mut c, stale, Ok(()), now()).await.unwrap());
        assert!(operations::finish(&mut c, grip, Ok(()), now()).await.unwrap());
        let ended = operations::find(&mut c, world.access, world.operation).await.unwrap().unwrap();
        let counts = Counts { rows: 2, created: 2, refused: 0, calculated: 1, not_calculated: 1 };
        assert_eq!((ended.state, ended.counts), (State::Succeeded, counts));
        assert_eq!(claim(&mut c, first, LONG).await, []);
    }

    async fn a_living_owner_keeps_its_operation_and_what_is_given_back_is_free(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let world = import(&mut c, 1).await;
        let (first, second) = (node(), node());
        let grip = claim(&mut c, first, LONG).await[0];
        assert_eq!(claim(&mut c, first, LONG).await, [], "it has it already");
        if matches!(c, Connection::Postgres(_)) {
            assert_eq!(claim(&mut c, second, LONG).await, []);
            operations::renew(&mut c, Lease { owner: first, length: Duration::ZERO }).await.unwrap();
        }
        assert_eq!(claim(&mut c, second, LONG).await[0].attempt, 2);
        assert_eq!(operations::hand_back(&mut c, first, None).await.unwrap(), 0);
        assert_eq!(operations::hand_back(&mut c, second, Some(world.operation)).await.unwrap(), 1);
        let again = operations::claim(&mut c, Claim {
            lease: Lease { owner: first, length: LONG }, abandoned: false, limit: 10, now: now(),
        });
        assert_eq!(again.await.unwrap()[0].attempt, 3);
        assert!(operations::next(&mut c, grip, 8).await.unwrap().is_none(), "it is another attempt");
    }

    async fn an_operation_that_never_gets_further_is_given_up(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let world = import(&mut c, 2).await;
        let owner = node();
        for round in 0..MAX_STUMBLES {
            let grip = claim(&mut c, owner, LONG).await[0];
            if round == 0 {
                let advanced = operations::advance(&mut c, grip, world.access, made(&world, 0)).await.unwrap();
                assert_eq!(advanced, Advanced::Yes);
            }
            operations::hand_back(&mut c, owner, Some(world.operation)).await.unwrap();
        }
        assert_eq!(claim(&mut c, owner, LONG).await.len(), 1, "it got further once");
        operations::hand_back(&mut c, owner, Some(world.operation)).await.unwrap();
        assert_eq!(claim(&mut c, owner, LONG).await, []);
        let given_up = operations::find(&mut c, world.access, world.operation).await.unwrap().unwrap();
        let code = given_up.failure.map(|Failure { code, .. }| code);
        assert_eq!((given_up.state, code.as_deref()), (State::Failed, Some("operation.attempts_exhausted")));
        assert_eq!(given_up.counts.created, 1);
    }

    async fn what_is_called_off_takes_no_more_effect(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let world = import(&mut c, 2).await;
        let grip = claim(&mut c, node(), LONG).await[0];
        let faults = vec![Fault { column: None, pointer: "/name".into(), code: "required".into(), message: "m".into() }];
        let refused = Made { position: 0, created: Vec::new(), refused: vec![(2, faults.clone())], at: now() };
        assert_eq!(operations::advance(&mut c, grip, world.access, refused).await.unwrap(), Advanced::Yes);
        let stranger = analyst();
        users::insert(&mut c, &stranger, None).await.unwrap();
        let cancel = async |c: &mut Connection, access| operations::cancel(c, access, world.operation, now()).await.unwrap();
        assert_eq!(cancel(&mut c, Access::of(&stranger)).await, Cancelled::Unknown);
        assert_eq!(cancel(&mut c, world.access).await, Cancelled::Yes);
        assert_eq!(cancel(&mut c, world.access).await, Cancelled::Ended(State::Cancelled));
        assert_eq!(operations::advance(&mut c, grip, world.access, made(&world, 1)).await.unwrap(), Advanced::Lost);
        assert!(!operations::finish(&mut c, grip, Ok(()), now()).await.unwrap());
        let window = Window { after: None, skip: 0, limit: 10 };
        for which in [None, Some(true)] {
            let rows = operations::rows(&mut c, world.operation, which, window).await.unwrap();
            assert_eq!(rows, [(2, Outcome::Refused(faults.clone()))]);
        }
        assert_eq!(operations::rows(&mut c, world.operation, Some(false), window).await.unwrap(), []);
    }

    async fn what_ended_long_ago_is_removed_a_piece_at_a_time_and_nothing_else(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let (old, new, going) = (import(&mut c, 5).await, import(&mut c, 1).await, import(&mut c, 1).await);
        let grips = claim(&mut c, node(), LONG).await;
        for (world, chunks) in [(&old, 5), (&new, 1), (&going, 1)] {
            let grip = *grips.iter().find(|grip| grip.operation == world.operation).unwrap();
            for position in 0..chunks {
                let advanced = operations::advance(&mut c, grip, world.access, made(world, position)).await.unwrap();
                assert_eq!(advanced, Advanced::Yes);
            }
            let at = if world.operation == old.operation { now() - TimeDelta::days(2) } else { now() };
            if world.operation != going.operation {
                assert!(operations::finish(&mut c, grip, Ok(()), at).await.unwrap());
            }
        }
        let mut pieces = Vec::new();
        loop {
            match operations::remove_until(&mut c, now() - TimeDelta::days(1), 2).await.unwrap() {
                0 => break,
                removed => pieces.push(removed),
            }
        }
        assert_eq!(pieces, [2, 2, 2], "five rows and their operation");
        let window = Window { after: None, skip: 0, limit: 10 };
        for (world, kept) in [(&old, false), (&new, true), (&going, true)] {
            assert_eq!(operations::find(&mut c, world.access, world.operation).await.unwrap().is_some(), kept);
            let rows = operations::rows(&mut c, world.operation, None, window).await.unwrap();
            assert_eq!(rows.len(), usize::from(kept));
        }
        assert_eq!(scenarios(&mut c, &old).await, 5, "what was made stays");
    }

    async fn who_may_no_longer_change_the_project_makes_nothing_more(database: &TestDatabase) {
        let mut c = database.prepared().await;
        let world = import(&mut c, 1).await;
        let grip = claim(&mut c, node(), LONG).await[0];
        let stranger = analyst();
        users::insert(&mut c, &stranger, None).await.unwrap();
        let advanced = operations::advance(&mut c, grip, Access::of(&stranger), made(&world, 0)).await.unwrap();
        assert_eq!(advanced, Advanced::Forbidden);
        let found = operations::find(&mut c, world.access, world.operation).await.unwrap().unwrap();
        assert_eq!((found.counts.created, scenarios(&mut c, &world).await), (0, 0));
        projects::remove(&mut c, world.access, world.project.id, None, now()).await.unwrap();
        assert!(operations::next(&mut c, grip, 8).await.unwrap().is_none());
        assert_eq!(operations::advance(&mut c, grip, world.access, made(&world, 0)).await.unwrap(), Advanced::Lost);
    }
}
