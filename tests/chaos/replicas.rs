//! Several processes on one PostgreSQL: paused, killed, started at once, asked for the same.

use std::time::{Duration, Instant};

use futures::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use reqwest::Method;

use crate::{
    driver::{Crowd, of_capacity},
    proxy::{Gate, Way},
    server::{Place, Server},
    world::{World, dose, promised},
};

/// A lease of a second.
const LEASE: (&str, &str) = ("SAFIRE_CALCULATIONS__LEASE_S", "1");

/// Connections so few that a dozen replicas leave some to others.
const FEW: [(&str, &str); 3] = [LEASE, ("SAFIRE_DATABASE__CONNECTIONS", "5"), ("SAFIRE_DATABASE__OVERFLOW", "3")];

/// So many servers, started at once on an empty database.
async fn together(world: &World, count: usize, settings: &[(&str, &str)]) -> (Vec<Place>, Vec<Server>) {
    let places: Vec<_> = (0..count).map(|_| world.place(settings)).collect();
    let servers = at_once(world, &places).await;
    (places, servers)
}

async fn at_once(world: &World, places: &[Place]) -> Vec<Server> {
    let mut servers: Vec<_> = places.iter().map(Place::start).collect();
    for (place, server) in places.iter().zip(&mut servers) {
        world.ready(place, server).await;
    }
    servers
}

fn late_results_refused(servers: &[Server]) -> usize {
    servers.iter().map(|server| server.says("held no longer") + server.says("late result was dropped")).sum()
}

async fn end(servers: Vec<Server>) {
    for mut server in servers {
        server.signal("TERM");
        assert!(server.end().await.0.success(), "{:#?}", server.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn replicas_that_are_paused_for_longer_than_their_lease_commit_nothing_late() {
    let mut world = World::on_postgres("pauses");
    world.patience = Duration::from_secs(1);
    // Many are paused at once, so that many pauses of a minute take some minutes.
    let (replicas, rounds, people) = dose((2, 4, 20), (11, 10, 40));
    let paused_for = dose(1500..2500, 60_000..62_000);
    let (places, mut servers) = together(&world, replicas, &FEW).await;
    world.audit().await;
    let all: Vec<_> = places.iter().collect();
    let ana = world.analyst(&all).await;
    let plants = world.plants(&ana, 200).await;
    let mut rng = world.rng();
    let crowd = Crowd::at_work(&ana, &plants, people, world.seed);
    for _ in 0..rounds {
        crowd.accepts(10).await;
        // All but one, whichever that is.
        servers.shuffle(&mut rng);
        for victim in &servers[1..] {
            victim.signal("STOP");
        }
        // Longer than the lease, the other's look, and then some.
        tokio::time::sleep(Duration::from_millis(rng.random_range(paused_for.clone()))).await;
        crowd.accepts(1).await;
        for victim in &servers[1..] {
            victim.signal("CONT");
        }
    }
    crowd.accepts(10).await;
    crowd.go_home().await;
    world.comes_to_rest().await;
    let figures = world.check().await;
    let refused = late_results_refused(&servers);
    let pauses = rounds * (replicas - 1);
    eprintln!(
        "pauses: {pauses} pauses, {} runs, {} taken over, {refused} late results refused",
        figures.runs, figures.takeovers
    );
    assert!(figures.takeovers > 0, "no pause left a run behind: nothing was tried");
    end(servers).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn a_replica_that_is_cut_off_from_the_database_commits_nothing_late_and_recovers() {
    let world = World::on_postgres("partitions");
    let server = world.postgres().port();
    let gate = Gate::before(("127.0.0.1", server)).await;
    let beyond = world.postgres().url_through(gate.port());
    let behind = world.place(&[LEASE]).with("DATABASE_URL", &beyond);
    let places = [world.place(&[LEASE]), behind];
    let servers = at_once(&world, &places).await;
    world.audit().await;
    let ana = world.analyst(&places.each_ref()).await;
    let plants = world.plants(&ana, 200).await;
    let mut rng = world.rng();
    let crowd = Crowd::at_work(&ana, &plants, 20, world.seed);
    let (cuts, lasts) = dose((4, 1500..2500), (100, 1500..10_000));
    for cut in 0..cuts {
        crowd.accepts(10).await;
        gate.set(if cut % 2 == 0 { Way::Silent } else { Way::Cut });
        tokio::time::sleep(Duration::from_millis(rng.random_range(lasts.clone()))).await;
        crowd.accepts(1).await;
        gate.set(Way::Open);
        // Who was cut off serves again.
        world.nobody(&[&places[1]]).must(Method::GET, "/health/ready", None, 200).await;
    }
    crowd.go_home().await;
    world.comes_to_rest().await;
    let figures = world.check().await;
    let slowest = world.history.entries().iter().map(|entry| entry.took_ms).max();
    eprintln!(
        "partitions: {cuts} partitions, {} runs, {} taken over, {} late results refused; the slowest answer took {slowest:?} ms",
        figures.runs,
        figures.takeovers,
        late_results_refused(&servers)
    );
    assert!(slowest <= Some(promised(Duration::from_secs(2)).as_millis() as u64), "somebody waited for {slowest:?} ms");
    assert!(figures.takeovers > 0, "no partition left a run behind: nothing was tried");
    end(servers).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn three_replicas_of_which_one_after_the_other_is_killed_lose_nothing() {
    let mut world = World::on_postgres("three-replicas");
    world.patience = Duration::from_secs(2);
    let (places, mut servers) = together(&world, 3, &[LEASE]).await;
    world.audit().await;
    let all: Vec<_> = places.iter().collect();
    let ana = world.analyst(&all).await;
    let plants = world.plants(&ana, 300).await;
    let mut rng = world.rng();
    let crowd = Crowd::at_work(&ana, &plants, 20, world.seed);
    let kills = dose(8, 200);
    for _ in 0..kills {
        crowd.accepts(10).await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..300))).await;
        let victim = rng.random_range(0..servers.len());
        servers[victim].kill();
        crowd.accepts(1).await;
        servers[victim] = world.start(&places[victim]).await;
    }
    crowd.go_home().await;
    world.comes_to_rest().await;
    let figures = world.check().await;
    eprintln!("three-replicas: {kills} kills, {} runs taken over", figures.takeovers);
    assert!(figures.takeovers > 0, "no kill left a run behind: nothing was tried");
    end(servers).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn many_who_ask_two_replicas_for_the_same_get_one_run_or_a_conflict() {
    let world = World::on_postgres("same");
    let (places, servers) = together(&world, 2, &[LEASE]).await;
    world.audit().await;
    let all: Vec<_> = places.iter().collect();
    let ana = world.analyst(&all).await;
    let (submits, plants, people) = (dose(1000, 10_000), world.plants(&ana, dose(10, 100)).await, 32);
    let askers = (0..people).map(|number| {
        let (ana, plants) = (ana.named(format!("asker {number}")), plants.clone());
        let mut rng = StdRng::seed_from_u64(world.seed + number);
        tokio::spawn(async move {
            let mut answers = [0_u64; 3];
            for _ in 0..submits / people {
                let plant = &plants[rng.random_range(0..plants.len())];
                if rng.random_ratio(1, 4) {
                    let edit = of_capacity(f64::from(rng.random_range(1000..900_000)));
                    ana.must(Method::PATCH, &format!("/scenarios/{plant}"), Some(edit), 200).await;
                }
                let reply = ana.ask(Method::POST, &format!("/scenarios/{plant}/calculate"), None, None).await;
                let kind = match (reply.status, reply.json["code"].as_str()) {
                    (Some(202), _) => 0,
                    (Some(200), _) => 1,
                    (Some(409), Some("calculation.in_motion" | "contended")) => 2,
                    _ => panic!("neither a run nor a conflict: {reply:?}"),
                };
                answers[kind] += 1;
            }
            answers
        })
    });
    let mut answers = [0; 3];
    for asker in join_all(askers).await {
        let own = asker.expect("only runs and conflicts");
        (0..3).for_each(|kind| answers[kind] += own[kind]);
    }
    world.comes_to_rest().await;
    let figures = world.check().await;
    let [accepted, there, conflicts] = answers;
    eprintln!("same: {accepted} accepted, {there} there already, {conflicts} conflicts; {} runs", figures.runs);
    assert!(figures.runs >= plants.len() && figures.acknowledged == figures.runs, "{figures:?}");
    assert_eq!(figures.succeeded, figures.runs);
    end(servers).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn what_one_replica_hands_back_another_takes_up_at_once() {
    let world = World::on_postgres("handed-back");
    // A lease and a look that are far longer than the test.
    let place = |seconds| world.place(&[("SAFIRE_CALCULATIONS__LEASE_S", seconds)]);
    let (first, second) = (place("600"), place("600"));
    let mut giver = world.start(&first).await;
    let mut taker = world.start(&second).await;
    world.audit().await;
    let ana = world.analyst(&[&first]).await;
    let plants = world.plants(&ana, 100).await;
    let crowd = Crowd::at_work(&ana, &plants, 20, world.seed);
    crowd.accepts(50).await;
    giver.signal("TERM");
    assert!(giver.end().await.0.success());
    let ended = Instant::now();
    crowd.go_home().await;
    world.comes_to_rest().await;
    eprintln!("handed-back: at rest {:?} after the first had ended", ended.elapsed());
    world.check().await;
    taker.signal("TERM");
    assert!(taker.end().await.0.success());
}
