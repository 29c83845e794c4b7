//! Ten times as many calculations are asked for as can be done.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures::future::join_all;
use reqwest::Method;
use serde_json::Value;

use crate::{
    driver::{Hand, Reply, long_analysis},
    history::percentile,
    server::{PATIENCE, Server},
    world::{World, dose, promised},
};

/// How long one calculation takes, about.
const WORTH: Duration = Duration::from_millis(50);

/// How many work at capacity.
const PEOPLE: usize = 8;

/// Work of which each piece is new.
struct Work<'a> {
    ana: &'a Hand,
    plants: &'a [String],
    samples: u64,
    next: AtomicUsize,
}

impl Work<'_> {
    /// The path to ask next, and what to ask for.
    fn piece(&self, samples: u64) -> (&str, Value) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (&self.plants[number % self.plants.len()], long_analysis(samples, number as u64))
    }

    async fn ask(&self) -> (String, Reply) {
        let (plant, body) = self.piece(self.samples);
        let path = format!("/scenarios/{plant}/calculate");
        (plant.to_owned(), self.ana.ask(Method::POST, &path, Some(body), None).await)
    }

    /// How many samples take about as long as a piece should.
    async fn weigh(&mut self) {
        let mut took = Duration::ZERO;
        self.samples = 1000;
        while took < 2 * WORTH {
            self.samples *= 2;
            let (plant, body) = self.piece(self.samples);
            let begun = Instant::now();
            self.ana.must(Method::POST, &format!("/scenarios/{plant}/calculate/sync"), Some(body), 200).await;
            took = begun.elapsed();
        }
        self.samples = (self.samples as f64 * WORTH.as_secs_f64() / took.as_secs_f64()) as u64;
    }

    /// As many people as keep the thread busy, for so long; what they were answered.
    async fn at_capacity(&self, lasts: Duration) -> Vec<Reply> {
        let begun = Instant::now();
        let people = (0..PEOPLE).map(|_| async {
            let mut replies = Vec::new();
            while begun.elapsed() < lasts {
                let (plant, reply) = self.ask().await;
                replies.push(reply);
                while self.ana.rests(&plant).await != Some(true) {
                    tokio::time::sleep(WORTH).await;
                }
            }
            replies
        });
        join_all(people).await.into_iter().flatten().collect()
    }

    /// So many a second, whatever becomes of them.
    async fn at_rate(&self, a_second: f64, lasts: Duration) -> Vec<Reply> {
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / a_second));
        let begun = Instant::now();
        let mut asked = Vec::new();
        while begun.elapsed() < lasts {
            ticks.tick().await;
            let (plant, body) = self.piece(self.samples);
            let (ana, path) = (self.ana.clone(), format!("/scenarios/{plant}/calculate"));
            asked.push(tokio::spawn(async move { ana.ask(Method::POST, &path, Some(body), None).await }));
        }
        join_all(asked).await.into_iter().map(|reply| reply.expect("nobody panics")).collect()
    }
}

/// Analyses that have succeeded; Bob asks for none.
async fn succeeded(world: &World) -> i64 {
    world.count("SELECT COUNT(*) FROM runs WHERE state = 'succeeded' AND analysis <> 'base'").await
}

fn of_status(replies: &[Reply], status: u16) -> Vec<Duration> {
    replies.iter().filter(|reply| reply.status == Some(status)).map(|reply| reply.took).collect()
}

const MIB: u64 = 1 << 20;

async fn shrinks(server: &Server, to: u64) -> Duration {
    let begun = Instant::now();
    while server.resident() > to {
        assert!(begun.elapsed() < PATIENCE, "still {} MiB, not {}", server.resident() / MIB, to / MIB);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn ten_times_the_load_is_refused_and_the_work_goes_on() {
    let world = World::on_postgres("overload");
    let place = world.place(&[("SAFIRE_CALCULATIONS__THREADS", "1"), ("SAFIRE_CALCULATIONS__QUEUE", "64")]);
    let mut server = world.start(&place).await;
    world.audit().await;
    let ana = world.analyst(&[&place]).await;
    let plants = world.plants(&ana, 400).await;
    let idle = server.resident();
    let mut work = Work { ana: &ana, plants: &plants, samples: 0, next: AtomicUsize::new(0) };
    work.weigh().await;

    let bob = world.account(vec![place.base()], "Bob").await.named("bob");
    let own = world.plants(&bob, 1).await;
    let lasts = dose(Duration::from_secs(5), Duration::from_secs(30));
    let (before, begun) = (succeeded(&world).await, Instant::now());
    let calm = work.at_capacity(lasts).await;
    let capacity = (succeeded(&world).await - before) as f64 / begun.elapsed().as_secs_f64();

    let (before, begun) = (succeeded(&world).await, Instant::now());
    let lasts = dose(Duration::from_secs(8), Duration::from_secs(60));
    let beside = bob.works(&own[0], lasts, Duration::from_millis(200), 1);
    let (replies, mut beside) = tokio::join!(work.at_rate(10.0 * capacity, lasts), beside);
    let goodput = (succeeded(&world).await - before) as f64 / begun.elapsed().as_secs_f64();
    let grown = server.peak().saturating_sub(idle);
    world.comes_to_rest().await;
    let shrunk = shrinks(&server, idle + 64 * MIB).await;

    let strange = |reply: &&Reply| match reply.status {
        Some(202 | 409) => false,
        Some(429 | 503) => reply.retry_after.is_none(),
        _ => true,
    };
    let strange: Vec<_> = replies.iter().filter(strange).take(5).collect();
    assert!(strange.is_empty(), "neither accepted nor refused: {strange:#?}");
    let mut refused = [of_status(&replies, 429), of_status(&replies, 503)].concat();
    let (mut calm, mut accepted) = (of_status(&calm, 202), of_status(&replies, 202));
    let p99 = [&mut calm, &mut accepted, &mut refused].map(|took| percentile(took, 0.99));
    eprintln!(
        "overload: capacity {capacity:.1} runs/s; asked {} times in {:?}: {} accepted, {} refused; \
         {goodput:.1} runs/s, {:.2} of capacity; p99 of acceptance {:?}, at capacity {:?}, of refusal {:?}; \
         {} MiB at rest, {} MiB more at most, less than 64 more {shrunk:?} after the last run",
        replies.len(),
        begun.elapsed(),
        accepted.len(),
        refused.len(),
        goodput / capacity,
        p99[1],
        p99[0],
        p99[2],
        idle / MIB,
        grown / MIB,
    );
    eprintln!(
        "overload: {} requests of somebody else all went well, p99 {:?}",
        beside.len(),
        percentile(&mut beside, 0.99)
    );
    assert!(refused.len() > 5 * accepted.len(), "it was no overload");
    assert!(grown <= 256 * MIB, "{} MiB more", grown / MIB);
    // In the small dose a few seconds decide, and what else the machine does in them: it only tells of a collapse.
    assert!(goodput >= dose(0.2, 0.9) * capacity, "{goodput:.1} runs/s of {capacity:.1}");
    assert!(p99[1] <= dose(10, 2) * p99[0], "acceptance took {:?}, {:?} at capacity", p99[1], p99[0]);
    assert!(p99[2] <= promised(Duration::from_millis(100)), "a refusal took {:?}", p99[2]);
    let figures = world.check().await;
    assert_eq!(figures.succeeded, figures.runs, "all that was accepted is right");
    server.signal("TERM");
    assert!(server.end().await.0.success());
}
