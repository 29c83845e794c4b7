//! Calculations that panic, that never end and that are huge, beside people who want a base analysis each.
//!
//! The engine has no input that makes it panic or go on for ever, so the service runs in the test, with one
//! that has.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;
use safire_actors::calculations::{Compute, base_analysis};
use serde_json::{Value, json};

use crate::{
    driver::{Hand, long_analysis, of_capacity},
    history::percentile,
    world::{World, dose, promised},
};

/// Capacities, in t/yr, that the engine of the test knows.
pub const PANICS: f64 = 1.0;
pub const ENDLESS: f64 = 2.0;

const PEOPLE: usize = 2;

/// The engine, but one plant makes it panic, and one keeps a core busy and listens to nobody, until `over`.
fn poisoned(over: &Arc<AtomicBool>) -> Arc<Compute> {
    let (engine, over) = (base_analysis(), Arc::clone(over));
    Arc::new(move |inputs, cancel| {
        match inputs.plant.capacity_t_per_yr {
            PANICS => panic!("a poisoned input"),
            ENDLESS => {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            }
            _ => {}
        }
        engine(inputs, cancel)
    })
}

/// Has base analyses calculated, one after the other; how long each took.
async fn neighbour(ana: Hand, plant: String, seed: u64, until: Instant) -> Vec<Duration> {
    let (mut rng, mut all) = (StdRng::seed_from_u64(seed), Vec::new());
    let (path, sync) = (format!("/scenarios/{plant}"), format!("/scenarios/{plant}/calculate/sync"));
    while Instant::now() < until {
        let edit = of_capacity(rng.random_range(1_000.0..900_000.0));
        ana.must(Method::PATCH, &path, Some(edit), 200).await;
        let reply = ana.ask(Method::POST, &sync, None, None).await;
        assert_eq!((reply.status, &reply.json["run"]["state"]), (Some(200), &json!("succeeded")), "{reply:?}");
        all.push(reply.took);
        tokio::time::sleep(Duration::from_millis(rng.random_range(5..30))).await;
    }
    all
}

async fn neighbours(ana: &Hand, plants: &[String], seed: u64, until: Instant) -> Vec<Duration> {
    let all =
        plants.iter().zip(seed..).map(|(plant, seed)| tokio::spawn(neighbour(ana.clone(), plant.clone(), seed, until)));
    join_all(all).await.into_iter().flat_map(|one| one.expect("nobody fails")).collect()
}

/// A kind of calculation that somebody asks for again and again.
struct Poison {
    name: &'static str,
    plants: Vec<String>,
    /// What each run is about; the number is a new one each time.
    edit: fn(u32) -> Value,
    /// What is asked of them, where it is not the base analysis.
    analysis: Option<Value>,
    /// What they fail with; nothing where they do not.
    code: Option<&'static str>,
    /// How long each took to end.
    ended: Vec<Duration>,
    /// Base runs beside it.
    beside: Vec<Duration>,
}

impl Poison {
    async fn new(
        world: &World,
        ana: &Hand,
        (name, code): (&'static str, Option<&'static str>),
        (count, edit): (usize, fn(u32) -> Value),
    ) -> Self {
        let plants = world.plants(ana, count).await;
        Self { name, plants, edit, analysis: None, code, ended: Vec::new(), beside: Vec::new() }
    }

    /// All plants at once, each again and again.
    async fn take(&self, ana: &Hand, until: Instant) -> Vec<Duration> {
        join_all(self.plants.iter().map(|plant| self.of_one(ana, plant, until))).await.concat()
    }

    async fn of_one(&self, ana: &Hand, plant: &str, until: Instant) -> Vec<Duration> {
        let (at, path) = (format!("/scenarios/{plant}"), format!("/scenarios/{plant}/calculate"));
        let mut ended = Vec::new();
        while Instant::now() < until {
            let edit = (self.edit)(rand::rng().random_range(1..u32::MAX));
            ana.must(Method::PATCH, &at, Some(edit), 200).await;
            ana.must(Method::POST, &path, self.analysis.clone(), 202).await;
            let begun = Instant::now();
            while ana.rests(plant).await != Some(true) {
                if Instant::now() >= until {
                    // Nothing of this kind is to be left for those who are timed without it.
                    ana.ask(Method::DELETE, &path, None, None).await;
                    return ended;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let took = begun.elapsed();
            let run = ana.must(Method::GET, &format!("{path}/status"), None, 200).await;
            let code = run["failure"]["code"].as_str();
            assert_eq!((code, run["state"] == "succeeded"), (self.code, self.code.is_none()), "{}: {run}", self.name);
            ended.push(took);
        }
        ended
    }
}

async fn poisons(world: &World, ana: &Hand) -> [Poison; 4] {
    // As many samples as may be asked for.
    let huge = long_analysis(10_000_000, 1);
    let (panicked, too_long) = (Some("engine.panicked"), Some("run.deadline_exceeded"));
    let nrel = |_| json!({ "inputs": { "finance": { "profile": "nrel-nth-plant" } } });
    [
        Poison::new(world, ana, ("one that is well", None), (1, |new| of_capacity(1e3 + f64::from(new) / 1e4))).await,
        Poison::new(world, ana, ("a panic", panicked), (1, |_| of_capacity(PANICS))).await,
        Poison::new(world, ana, ("two endless loops", too_long), (2, |_| of_capacity(ENDLESS))).await,
        Poison { analysis: Some(huge), ..Poison::new(world, ana, ("a huge analysis", too_long), (1, nrel)).await },
    ]
}

fn figures(took: &mut [Duration]) -> [Duration; 3] {
    [0.5, 0.99, 1.0].map(|part| percentile(took, part))
}

async fn poisoned_calculations(world: World) {
    // The first backtrace reads the program's debug information: that may take longer than a small dose gives a run.
    std::thread::spawn(|| panic!("the first of many")).join().expect_err("a panic");
    let over = Arc::new(AtomicBool::new(false));
    let serving = world.serve(|config, parts| {
        config.calculations.deadline_s = dose(1, config.calculations.deadline_s);
        parts.compute = poisoned(&over);
    });
    let service = serving.await;
    world.audit().await;
    let ana = world.account(vec![format!("http://{}", service.address())], "Ana").await;
    let plants = world.plants(&ana, PEOPLE).await;
    let poisoner = ana.named("poisoner");
    let mut poisons = poisons(&world, &ana).await;
    let (lasts, rounds) = dose((Duration::from_secs(3), 1), (Duration::from_secs(45), 2));
    let mut alone = Vec::new();
    for round in 0..rounds {
        let seed = world.seed ^ round << 32;
        alone.extend(neighbours(&ana, &plants, seed, Instant::now() + lasts).await);
        for (poison, seed) in poisons.iter_mut().zip(seed + 1..) {
            over.store(false, Ordering::Relaxed);
            let until = Instant::now() + lasts;
            let (ended, beside) =
                tokio::join!(poison.take(&poisoner, until), neighbours(&ana, &plants, seed * 1000, until));
            poison.ended.extend(ended);
            poison.beside.extend(beside);
            over.store(true, Ordering::Relaxed);
            world.comes_to_rest().await;
        }
    }
    // Whoever asks ten times a second costs the others something, well or not: that is what poison is compared with.
    let [well, poisons @ ..] = &mut poisons;
    let calm = figures(&mut well.beside);
    eprintln!(
        "{}: a base run: median, p99 and longest {:.1?} alone, {calm:.1?} beside {}, {} times",
        world.name,
        figures(&mut alone),
        well.name,
        well.ended.len()
    );
    let mut held_up = Vec::new();
    for poison in poisons {
        assert!(!poison.ended.is_empty(), "nothing ended of {}", poison.name);
        let (beside, slowest) = (figures(&mut poison.beside), percentile(&mut poison.ended, 1.0));
        // The small dose is more poisonous, and too small to tell of one in a hundred.
        let (part, most) = dose((0, 3.0), (1, 1.2));
        let worse = beside[part].as_secs_f64() / calm[part].as_secs_f64();
        eprintln!(
            "{}: beside {}, which ended {} times, within {slowest:.1?}: {beside:.1?} of {}, {worse:.2} times",
            world.name,
            poison.name,
            poison.ended.len(),
            poison.beside.len(),
        );
        assert!(slowest <= promised(Duration::from_secs(30)), "it ended after {slowest:?}");
        held_up.extend((worse > most).then_some(poison.name));
    }
    assert!(held_up.is_empty(), "a base run takes too long beside {held_up:?}");
    world.check().await;
    service.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poisoned_calculations_hold_up_nobody_on_sqlite() {
    poisoned_calculations(World::on_sqlite("poison-sqlite")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn poisoned_calculations_hold_up_nobody_on_postgres() {
    poisoned_calculations(World::on_postgres("poison-postgres")).await;
}
