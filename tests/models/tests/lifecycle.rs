//! The life of a scenario under seeded simulation: processes, users and mishaps take turns in an order that a
//! seed decides, over the rules of the service.
//!
//! The seed is printed; `SAFIRE_SIMULATION_SEED` repeats it.

use std::sync::Arc as StdArc;

use safire_domain::{
    RunId,
    lifecycle::{Event, Status},
};
use safire_models::lease::{Belief, Fence, Owner, Row};
use shuttle::{
    Config, Runner,
    rand::{Rng, thread_rng},
    scheduler::RandomScheduler,
    sync::{Arc, Mutex},
    thread,
};
use uuid::Uuid;

const PROCESSES: Owner = 3;
const REQUESTS: usize = 4;
const ORDERS: usize = 20_000;

/// The database: a scenario and its runs. Every statement holds the lock, as a transaction holds its rows.
struct Database {
    status: Status,
    runs: Vec<(RunId, Row)>,
}

impl Database {
    /// The run's end, and with it the scenario's next status: both or neither.
    fn end(&mut self, index: usize, event: fn(RunId) -> Event) {
        let (id, _) = self.runs[index];
        self.status = self.status.after(event(id)).expect("the run in motion is the scenario's");
    }

    fn accept(&mut self, by: Owner) -> Option<usize> {
        let id = RunId::from(Uuid::from_u128(self.runs.len() as u128 + 1));
        let status = self.status.after(Event::Accepted(id)).ok()?;
        assert!(self.runs.iter().all(|(_, run)| run.has_ended()), "two runs are in motion");
        self.status = status;
        self.runs.push((id, Row::accepted(by)));
        Some(self.runs.len() - 1)
    }

    fn claim(&mut self, index: usize, by: Owner) -> Belief {
        let ended = self.runs[index].1.has_ended();
        let given = self.runs[index].1.claim(by);
        if !ended && self.runs[index].1.has_ended() {
            self.end(index, Event::Failed);
        }
        given
    }

    fn settle(&mut self, index: usize, by: Owner, attempt: i64) -> bool {
        let settled = self.runs[index].1.settle(by, attempt, Fence::Whole);
        if settled {
            self.end(index, Event::Succeeded);
        }
        settled
    }
}

/// A process: accepts, calculates, is paused at any point, forgets, gives back, takes over.
fn process(database: &Mutex<Database>, me: Owner) {
    for _ in 0..REQUESTS {
        let accepted = database.lock().expect("no panic").accept(me);
        let work = accepted.map(|index| (index, 1)).or_else(|| {
            let mut database = database.lock().expect("no panic");
            let index = database.runs.len().checked_sub(1)?;
            if thread_rng().gen_bool(0.5) {
                database.runs[index].1.expired = true;
            }
            database.claim(index, me).map(|attempt| (index, attempt))
        });
        let Some((index, attempt)) = work else { continue };
        match thread_rng().gen_range(0..4) {
            // It dies: its lease will end.
            0 => database.lock().expect("no panic").runs[index].1.expired = true,
            1 => database.lock().expect("no panic").runs[index].1.hand_back(me),
            // It is done at once, or after the others had their turns.
            late => {
                (0..late).for_each(|_| thread::yield_now());
                database.lock().expect("no panic").settle(index, me, attempt);
            }
        }
    }
}

fn life() {
    let database = Arc::new(Mutex::new(Database { status: Status::DRAFT, runs: Vec::new() }));
    let processes: Vec<_> = (0..PROCESSES)
        .map(|me| {
            let database = Arc::clone(&database);
            thread::spawn(move || process(&database, me))
        })
        .collect();
    processes.into_iter().for_each(|process| process.join().expect("no panic"));

    let mut database = database.lock().expect("no panic");
    // Whoever lives in the end takes over what is left.
    let survivor = PROCESSES;
    for index in 0..database.runs.len() {
        database.runs[index].1.expired = true;
        if let Some(attempt) = database.claim(index, survivor) {
            assert!(database.settle(index, survivor, attempt));
        }
    }
    assert!(!database.runs.is_empty(), "nothing was accepted");
    assert!(database.runs.iter().all(|(_, run)| run.has_ended() && run.ends == 1 && !run.stolen));
    let last = database.runs.last().map(|(id, _)| *id);
    assert_eq!((database.status.in_motion(), database.status.rest().run()), (None, last));
}

#[test]
fn a_scenario_comes_to_rest_on_its_last_run_in_every_order_that_the_seed_makes() {
    let given = std::env::var("SAFIRE_SIMULATION_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = given.unwrap_or_else(rand::random);
    eprintln!("lifecycle: SAFIRE_SIMULATION_SEED={seed}, {ORDERS} orders");
    let done = StdArc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = StdArc::clone(&done);
    Runner::new(RandomScheduler::new_from_seed(seed, ORDERS), Config::new()).run(move || {
        life();
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(done.load(std::sync::atomic::Ordering::Relaxed), ORDERS);
}
