//! Actors that panic at one message in a hundred, whichever it is, while two hundred people work.
//!
//! The program that is shipped has no place where a panic could be asked for, so the service runs in the test.

use std::{
    panic,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;
use safire_actors::Faults;
use serde_json::Value;

use crate::{
    driver::{Hand, Reply, of_capacity},
    history::percentile,
    world::{World, dose, promised},
};

const PEOPLE: usize = 200;
const ASKED_FOR: &str = "a panic that the test asked for";

/// One message in a hundred panics, while it is on.
struct OneInAHundred {
    on: AtomicBool,
    rng: Mutex<StdRng>,
    met: AtomicU64,
    struck: AtomicU64,
}

impl Faults for OneInAHundred {
    fn strike(&self, _: &'static str) {
        if !self.on.load(Ordering::Relaxed) {
            return;
        }
        self.met.fetch_add(1, Ordering::Relaxed);
        let strikes = self.rng.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..100) == 0;
        if strikes {
            self.struck.fetch_add(1, Ordering::Relaxed);
            panic!("{ASKED_FOR}");
        }
    }
}

/// Thousands of them would hide all else that is said.
fn keep_quiet_about_ours() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some(ASKED_FOR) {
            others(info);
        }
    }));
}

/// Mostly looks, as people do; of twenty requests one is an edit and one asks for a calculation.
async fn works(ana: Hand, plant: String, mut rng: StdRng, until: Instant) -> Vec<Reply> {
    let path = format!("/scenarios/{plant}");
    let mut replies = Vec::new();
    while Instant::now() < until {
        let reply = match rng.random_range(0..20) {
            0 => {
                let edit = of_capacity(f64::from(rng.random_range(1_000..900_000)));
                ana.ask(Method::PATCH, &path, Some(edit), None).await
            }
            1 => ana.ask(Method::POST, &format!("{path}/calculate"), None, None).await,
            2..4 => ana.ask(Method::GET, &format!("{path}/calculate/status"), None, None).await,
            4..8 => ana.ask(Method::GET, "/master-data", None, None).await,
            _ => ana.ask(Method::GET, &path, None, None).await,
        };
        // What was told would fill the memory.
        replies.push(Reply { json: Value::Null, ..reply });
        // Without a pause all would wait for the one writer of SQLite.
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..400))).await;
    }
    replies
}

async fn panics(world: World) {
    keep_quiet_about_ours();
    let chance = Arc::new(OneInAHundred {
        on: AtomicBool::new(false),
        rng: Mutex::new(world.rng()),
        met: AtomicU64::new(0),
        struck: AtomicU64::new(0),
    });
    let faults = Arc::clone(&chance);
    let service = world.serve(|_, parts| parts.faults = Some(faults)).await;
    world.audit().await;
    let ana = world.account(vec![format!("http://{}", service.address())], "Ana").await;
    let plants = world.plants(&ana, PEOPLE).await;
    for plant in &plants {
        // There is a status to look at.
        ana.must(Method::POST, &format!("/scenarios/{plant}/calculate"), None, 202).await;
    }
    chance.on.store(true, Ordering::Relaxed);
    let until = Instant::now() + dose(Duration::from_secs(10), Duration::from_secs(600));
    let people = plants.iter().enumerate().map(|(number, plant)| {
        let rng = StdRng::seed_from_u64(world.seed ^ (number as u64 + 1) << 32);
        tokio::spawn(works(ana.named(format!("analyst {number}")), plant.clone(), rng, until))
    });
    let replies: Vec<Reply> =
        join_all(people).await.into_iter().flat_map(|person| person.expect("nobody panics")).collect();
    chance.on.store(false, Ordering::Relaxed);

    let went_well = |reply: &&Reply| matches!(reply.status, Some(200 | 202 | 409));
    let (good, bad): (Vec<_>, Vec<_>) = replies.iter().partition(went_well);
    let strange: Vec<_> = bad.iter().filter(|reply| reply.status != Some(503)).take(5).collect();
    assert!(strange.is_empty(), "neither an answer nor 503: {strange:#?}");
    let mut took: Vec<_> = bad.iter().map(|reply| reply.took).collect();
    let (share, slowest) = (good.len() as f64 / replies.len() as f64, percentile(&mut took, 1.0));
    let (met, struck) = (chance.met.load(Ordering::Relaxed), chance.struck.load(Ordering::Relaxed));
    eprintln!(
        "{}: {struck} panics at {met} messages; {} requests, {:.2} % went well, the slowest error took {slowest:?}",
        world.name,
        replies.len(),
        share * 100.0
    );
    assert!(struck > 20, "hardly a panic: {struck}");
    assert!(!service.exhausted().is_cancelled(), "the process would have ended");
    assert!(share >= 0.985, "{:.2} % went well", share * 100.0);
    assert!(slowest <= promised(Duration::from_secs(1)), "an error took {slowest:?}");
    ana.must(Method::GET, "/health/ready", None, 200).await;
    world.comes_to_rest().await;
    let figures = world.check().await;
    assert!(figures.runs > PEOPLE, "hardly a run: {figures}");
    service.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn panics_of_actors_cost_the_requests_that_meet_them_on_sqlite() {
    panics(World::on_sqlite("panics-sqlite")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn panics_of_actors_cost_the_requests_that_meet_them_on_postgres() {
    panics(World::on_postgres("panics-postgres")).await;
}
