//! How far operations are: which are in motion, here and elsewhere, and what is told of them.

use std::{collections::HashMap, time::Duration};

use safire_domain::{
    RunId,
    event::{About, Event, Topic},
    run::Advance,
};
use safire_store::{Connection, operations, streams};
use tokio::time::Instant;
use uuid::Uuid;

/// Runs, and other operations, whose progress is followed.
const FOLLOWED: i64 = 1000;

/// For how long after its last word an operation counts as one of this process.
const OWN: Duration = Duration::from_secs(3);

/// How long it is remembered that an operation has ended: longer than what was asked of it before is on its way.
const ENDED: Duration = Duration::from_secs(10);

/// Progress to be told: of which operation, what it is about, how far it is.
pub(super) type Told = (Uuid, About, Advance);

/// What is known of operations in motion.
#[derive(Default)]
pub(super) struct Motions {
    /// What the runs in motion are about.
    runs: HashMap<RunId, About>,
    /// Operations of this process, and when they last advanced.
    own: HashMap<Uuid, Instant>,
    /// Operations whose end was told lately: nothing more is said of them.
    ended: HashMap<Uuid, Instant>,
}

impl Motions {
    /// Notes what an event says of its operation.
    pub fn note(&mut self, event: &Event) {
        // Whatever is told of a run later, as that its result is stale, is of no operation.
        let Some(operation) = event.what.operation else { return };
        if event.what.kind.topic() == Topic::OperationComplete {
            self.runs.remove(&operation.into());
            self.own.remove(&operation);
            self.ended.insert(operation, Instant::now());
        } else if let Some(run) = event.what.run {
            self.runs.insert(run, event.about());
        }
    }

    /// What to tell of operations of this process that have advanced.
    pub fn of_own(&mut self, latest: HashMap<Uuid, (Option<About>, Advance)>) -> Vec<Told> {
        let mut told = Vec::with_capacity(latest.len());
        for (operation, (about, advance)) in latest {
            if self.ended.contains_key(&operation) {
                continue;
            }
            // A run whose beginning was not told yet is told of later.
            let Some(about) = about.or_else(|| self.runs.get(&operation.into()).cloned()) else { continue };
            self.own.insert(operation, Instant::now());
            told.push((operation, About { topic: Some(Topic::ProgressUpdate), ..about }, advance));
        }
        told
    }

    /// What to tell of operations wherever they are worked on: those of this process tell it themselves.
    pub fn of_others(&mut self, running: Vec<(About, Advance)>) -> Vec<Told> {
        let mut told = Vec::new();
        for (about, advance) in running {
            let Some(operation) = about.operation.filter(|operation| !self.ended.contains_key(operation)) else {
                continue;
            };
            if let Some(run) = about.run {
                self.runs.insert(run, about.clone());
            }
            if !self.own.contains_key(&operation) {
                told.push((operation, about, advance));
            }
        }
        told
    }

    /// Forgets what is long ago.
    pub fn forget(&mut self) {
        self.own.retain(|_, advanced| advanced.elapsed() < OWN);
        self.ended.retain(|_, at| at.elapsed() < ENDED);
    }
}

/// How far runs and other operations are, wherever they are worked on.
pub(super) async fn running(connection: &mut Connection) -> safire_store::Result<Vec<(About, Advance)>> {
    let mut all = streams::running(connection, FOLLOWED).await?;
    all.extend(operations::running(connection, FOLLOWED).await?);
    Ok(all)
}
