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

/// The limits that are shipped, by user.
const LIMITS: [(&str, &str); 2] =
    [("SAFIRE_LIMITS__CALCULATE_PER_MINUTE", "10"), ("SAFIRE_LIMITS__REQUESTS_PER_MINUTE", "600")];

async fn storm(world: World) {
    let place = world.place(&LIMITS);
    let mut server = world.start(&place).await;
    world.audit().await;
    let ana = world.analyst(&[&place]).await;
    let own = world.plants(&ana, 1).await;
    let mallory = world.account(vec![place.base()], "Mallory").await.named("mallory");
    let plants = world.plants(&mallory, 100).await;
    let (lasts, nth) = dose((Duration::from_secs(3), 4), (Duration::from_secs(60), 40));
    let every = Duration::from_millis(250);

    let mut calm = ana.works(&own[0], lasts, every, nth).await;
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
    let mut beside = ana.works(&own[0], lasts, every, nth).await;
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
