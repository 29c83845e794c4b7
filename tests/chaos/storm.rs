//! One user asks for all that there is, without a pause, and another for a little.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::json;

use crate::{
    driver::{Hand, of_capacity},
    history::percentile,
    world::{World, dose},
};

/// Connections on which Mallory asks.
const CONNECTIONS: u64 = 100;

/// Asks for long calculations, edits and looks, each as soon as the one before is answered.
async fn rages(mallory: Hand, plants: Vec<String>, mut rng: StdRng, until: Instant, refused: Arc<AtomicU64>) -> u64 {
    let price = json!({
        "input": "/feedstocks/UCO/price", "unit": "USD/t",
        "distribution": { "kind": "triangular", "min": 800, "mode": 930, "max": 1200 }
    });
    let mut asked = 0;
    while Instant::now() < until {
        let plant = format!("/scenarios/{}", plants[rng.random_range(0..plants.len())]);
        let reply = match rng.random_range(0..4) {
            0 => mallory.ask(Method::GET, &plant, None, None).await,
            1 => {
                let edit = of_capacity(f64::from(rng.random_range(1_000..900_000)));
                mallory.ask(Method::PATCH, &plant, Some(edit), None).await
            }
            _ => {
                let long = json!({
                    "analysis": "monte-carlo", "samples": 10_000, "seed": rng.random_range(0..u32::MAX),
                    "inputs": [price], "metrics": ["discounted_payback"]
                });
                mallory.ask(Method::POST, &format!("{plant}/calculate"), Some(long), None).await
            }
        };
        asked += 1;
        match reply.status {
            Some(200 | 202 | 409) => {}
            Some(429 | 503) if reply.retry_after.is_some() => _ = refused.fetch_add(1, Ordering::Relaxed),
            _ => panic!("neither answered nor refused: {reply:?}"),
        }
    }
    asked
}

/// Edits a plant, has it calculated and looks at it, ten times a second; how long each of that took.
async fn works(ana: &Hand, plant: &str, lasts: Duration) -> Vec<Duration> {
    let (path, sync) = (format!("/scenarios/{plant}"), format!("/scenarios/{plant}/calculate/sync"));
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let (begun, mut took) = (Instant::now(), Vec::new());
    for round in 0_u32.. {
        if begun.elapsed() > lasts {
            break;
        }
        ticks.tick().await;
        let edit = of_capacity(f64::from(round) + 1000.0);
        for (method, path, body) in
            [(Method::PATCH, &path, Some(edit)), (Method::POST, &sync, None), (Method::GET, &path, None)]
        {
            let reply = ana.ask(method, path, body, None).await;
            assert_eq!(reply.status, Some(200), "Ana is held up: {reply:?}");
            took.push(reply.took);
        }
    }
    took
}

/// Without limits by rate, so that only places, queues and turns are left to keep one user from the other.
async fn storm(world: World) {
    let place = world.place(&[]);
    let mut server = world.start(&place).await;
    world.audit().await;
    let ana = world.analyst(&[&place]).await;
    let own = world.plants(&ana, 1).await;
    let mallory = world.account(vec![place.base()], "Mallory").await.named("mallory");
    let plants = world.plants(&mallory, 400).await;
    let lasts = dose(Duration::from_secs(3), Duration::from_secs(60));

    let mut calm = works(&ana, &own[0], lasts).await;
    let until = Instant::now() + lasts + Duration::from_secs(1);
    let refused = Arc::new(AtomicU64::new(0));
    let raging: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let rng = StdRng::seed_from_u64(world.seed ^ (number + 1) << 32);
            tokio::spawn(rages(mallory.clone(), plants.clone(), rng, until, Arc::clone(&refused)))
        })
        .collect();
    while refused.load(Ordering::Relaxed) == 0 {
        assert!(Instant::now() < until, "Mallory never has all that one user may have");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut beside = works(&ana, &own[0], lasts).await;
    let asked: u64 = join_all(raging).await.into_iter().map(|one| one.expect("all answered or refused")).sum();
    for plant in &plants {
        mallory.ask(Method::DELETE, &format!("/scenarios/{plant}/calculate"), None, None).await;
    }
    world.comes_to_rest().await;
    world.check().await;
    let [p99, slowest] = [0.99, 1.0].map(|part| percentile(&mut beside, part));
    eprintln!(
        "{}: {asked} requests of one user, {} refused; {} of another, all answered 200: median {:?}, p99 {p99:?}, \
         longest {slowest:?}; without the storm {:?}, {:?}",
        world.name,
        refused.load(Ordering::Relaxed),
        beside.len(),
        percentile(&mut beside, 0.5),
        percentile(&mut calm, 0.5),
        percentile(&mut calm, 0.99),
    );
    assert!(slowest <= Duration::from_secs(2), "Ana waited for {slowest:?}");
    server.signal("TERM");
    assert!(server.end().await.0.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_one_user_starves_no_other_on_sqlite() {
    storm(World::on_sqlite("storm-sqlite")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_one_user_starves_no_other_on_postgres() {
    storm(World::on_postgres("storm-postgres")).await;
}
