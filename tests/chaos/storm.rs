//! One user asks for all that there is, without a pause, and another for a little.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;

use crate::{
    driver::{Hand, long_analysis, of_capacity},
    history::percentile,
    server::PATIENCE,
    world::{World, dose, promised},
};

/// Connections on which Mallory asks.
const CONNECTIONS: u64 = 100;

/// How Mallory rages.
#[derive(Default)]
struct Rage {
    refused: AtomicU64,
    is_over: AtomicBool,
}

/// Asks for long calculations, edits and looks, each as soon as the one before is answered.
async fn rages(mallory: Hand, plants: Vec<String>, mut rng: StdRng, rage: Arc<Rage>) -> u64 {
    let mut asked = 0;
    while !rage.is_over.load(Ordering::Relaxed) {
        let plant = format!("/scenarios/{}", plants[rng.random_range(0..plants.len())]);
        let reply = match rng.random_range(0..4) {
            0 => mallory.ask(Method::GET, &plant, None, None).await,
            1 => {
                let edit = of_capacity(f64::from(rng.random_range(1_000..900_000)));
                mallory.ask(Method::PATCH, &plant, Some(edit), None).await
            }
            _ => {
                let long = long_analysis(2_000, rng.random_range(0..u64::from(u32::MAX)));
                mallory.ask(Method::POST, &format!("{plant}/calculate"), Some(long), None).await
            }
        };
        asked += 1;
        match reply.status {
            Some(200 | 202 | 409) => {}
            Some(429 | 503) if reply.retry_after.is_some() => _ = rage.refused.fetch_add(1, Ordering::Relaxed),
            _ => panic!("neither answered nor refused: {reply:?}"),
        }
    }
    asked
}

/// With limits as they are shipped, or with none: then it is turns that keep others served.
async fn storm(world: World, with_limits: bool) {
    let place = world.place(&[]);
    let place = if with_limits { place.without("SAFIRE_LIMITS__") } else { place };
    let mut server = world.start(&place).await;
    world.audit().await;
    let ana = world.analyst(&[&place]).await;
    let own = world.plants(&ana, 1).await;
    let mallory = world.account(vec![place.base()], "Mallory").await.named("mallory");
    // So many that without limits, too, she asks for more than one user may have.
    let plants = world.plants(&mallory, if with_limits { 100 } else { 400 }).await;
    let (lasts, nth) = dose((Duration::from_secs(3), 4), (Duration::from_secs(60), 40));
    let every = Duration::from_millis(250);

    let mut calm = ana.works(&own[0], lasts, every, nth).await;
    let (begun, rage) = (Instant::now(), Arc::new(Rage::default()));
    let raging: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let rng = StdRng::seed_from_u64(world.seed ^ (number + 1) << 32);
            tokio::spawn(rages(mallory.clone(), plants.clone(), rng, Arc::clone(&rage)))
        })
        .collect();
    while rage.refused.load(Ordering::Relaxed) == 0 {
        assert!(begun.elapsed() < PATIENCE, "Mallory never has all that one user may have");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut beside = ana.works(&own[0], lasts, every, nth).await;
    rage.is_over.store(true, Ordering::Relaxed);
    let asked: u64 = join_all(raging).await.into_iter().map(|one| one.expect("all answered or refused")).sum();
    world.comes_to_rest().await;
    world.check().await;
    let [p99, slowest] = [0.99, 1.0].map(|part| percentile(&mut beside, part));
    eprintln!(
        "{}: {asked} requests of one user, {} refused; {} of another, all answered 200: median {:?}, p99 {p99:?}, \
         longest {slowest:?}; without the storm {:?}, {:?}",
        world.name,
        rage.refused.load(Ordering::Relaxed),
        beside.len(),
        percentile(&mut beside, 0.5),
        percentile(&mut calm, 0.5),
        percentile(&mut calm, 0.99),
    );
    assert!(slowest <= promised(Duration::from_secs(2)), "Ana waited for {slowest:?}");
    server.signal("TERM");
    assert!(server.end().await.0.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_one_user_starves_no_other_on_sqlite() {
    storm(World::on_sqlite("storm-sqlite"), true).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn a_storm_of_one_user_starves_no_other_on_postgres() {
    storm(World::on_postgres("storm-postgres"), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_without_limits_starves_no_other_on_sqlite() {
    storm(World::on_sqlite("unlimited-sqlite"), false).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn a_storm_without_limits_starves_no_other_on_postgres() {
    storm(World::on_postgres("unlimited-postgres"), false).await;
}
