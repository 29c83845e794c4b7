//! The work on one file: its rows become scenarios, chunk by chunk, and then, if that was asked for, results.
//!
//! Rows are looked at by the calculation pool, in steps between which others have their turn, and after each
//! transaction the database is left alone for as long as it took: a large file takes what others leave.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use safire_domain::{
    OperationId, ProjectId, ScenarioId, Timestamp,
    draft::Draft,
    engine::{Failure, Violation},
    master_data::MasterData,
    operation::{Fault, Row},
    reading::{self, Unread},
    run::{self, Run},
    scenario::Scenario,
    table::column_of,
    user::Access,
};
use safire_store::{
    master_data,
    operations::{self, Advanced, Ahead, Chunk, Grip, Made, Next, Settled},
    runs::Ask,
};
use tokio_util::sync::CancellationToken;

use super::reading::unpack;
use crate::{
    calculations::Calculations,
    context::Context,
    database::{Database, DatabaseError},
    events::Events,
    pause::Pause,
    scenarios::{Asker, CalculateAnswer, Scenarios},
    slot::Unavailable,
};

/// What an import works with.
#[derive(Clone)]
pub(super) struct Work {
    pub context: Context,
    pub database: Database,
    pub calculations: Calculations,
    pub scenarios: Scenarios,
    pub events: Events,
}

/// Calculations of one import at once: few, so that others' find room.
const IN_FLIGHT: usize = 8;

/// The longest that the database is left alone between two chunks.
const BREATH: Duration = Duration::from_millis(250);

/// Why the work on an operation stops before its end.
enum Stop {
    /// It is no longer this attempt's.
    Lost,
    /// It was called off here, or the process stops.
    Cancelled,
    /// It cannot go on.
    Failed(Failure),
    /// Something broke: it is given back, and taken up again.
    Broken(String),
}

impl From<DatabaseError> for Stop {
    fn from(error: DatabaseError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Work {
    /// Works on an operation, and says whether it has ended.
    pub async fn run(self, grip: Grip, cancel: CancellationToken) -> bool {
        let outcome = match self.steps(grip, &cancel).await {
            Ok(()) => Ok(()),
            Err(Stop::Failed(failure)) => Err(failure),
            Err(Stop::Lost | Stop::Cancelled) => return false,
            Err(Stop::Broken(why)) => {
                tracing::error!(operation.id = %grip.operation, why, "an import broke off and is taken up again");
                return false;
            }
        };
        let now = self.context.clock.now();
        let ended = self.lasting(&cancel, || {
            let outcome = outcome.clone();
            self.database.write(move |c| Box::pin(operations::finish(c, grip, outcome, now)))
        });
        match ended.await {
            Ok(ended) => ended,
            Err(Stop::Broken(why)) => {
                tracing::error!(operation.id = %grip.operation, why, "the end of an import was not stored");
                false
            }
            Err(_) => false,
        }
    }

    /// Does what there is to do until there is nothing.
    async fn steps(&self, grip: Grip, cancel: &CancellationToken) -> Result<(), Stop> {
        let most = (self.calculations.capacity() / 4).clamp(1, IN_FLIGHT);
        let most = i64::try_from(most).unwrap_or(1);
        loop {
            let next = || self.database.read(move |c| Box::pin(operations::next(c, grip, most)));
            let Ahead { access, about, advance, next } = self.lasting(cancel, next).await?.ok_or(Stop::Lost)?;
            if let Some(advance) = advance {
                self.events.progress(grip.operation.uuid(), Some(about), advance);
            }
            self.context.pass("import");
            match next {
                Next::Chunk(chunk) => self.make(grip, access, chunk, cancel).await?,
                Next::Scenarios(scenarios) => self.calculate(grip, access, &scenarios, cancel).await?,
                Next::Nothing => return Ok(()),
            }
        }
    }

    /// Makes scenarios of a chunk of rows.
    async fn make(&self, grip: Grip, access: Access, chunk: Chunk, cancel: &CancellationToken) -> Result<(), Stop> {
        let load = || self.database.read(|c| Box::pin(master_data::load(c)));
        let master_data = self.lasting(cancel, load).await?;
        let position = chunk.position;
        let looked = self.look_at(chunk, master_data, cancel).await?;
        let looked = Arc::new(looked);
        let (begun, at) = (Instant::now(), self.context.clock.now());
        let advance = || {
            let made = Looked::clone(&looked).made(position, at);
            self.database.write(move |c| Box::pin(operations::advance(c, grip, access, made)))
        };
        match self.lasting(cancel, advance).await? {
            Advanced::Yes => {}
            Advanced::Lost => return Err(Stop::Lost),
            Advanced::Forbidden => {
                let message = "whoever began the import may no longer change the project";
                return Err(Stop::Failed(Failure::new("forbidden", message)));
            }
        }
        tokio::time::sleep(begun.elapsed().min(BREATH)).await;
        Ok(())
    }

    async fn look_at(&self, chunk: Chunk, master_data: MasterData, cancel: &CancellationToken) -> Result<Looked, Stop> {
        let rows = unpack(&chunk.content).map_err(|error| Stop::Broken(error.to_string()))?;
        let mut looking = Looking {
            rows: rows.into_iter(),
            master_data,
            project: chunk.project,
            columns: chunk.columns,
            now: self.context.clock.now(),
            looked: Looked::default(),
        };
        let place = self.calculations.admit_when_free().await.map_err(|error| Stop::Broken(error.to_string()))?;
        let answer = self.calculations.ask(place, cancel.child_token(), move || looking.step()).await;
        match answer {
            Ok(Ok(looked)) => Ok(looked),
            Ok(Err(_)) if cancel.is_cancelled() => Err(Stop::Cancelled),
            Ok(Err(failure)) => Err(Stop::Broken(failure.to_string())),
            Err(unavailable) => Err(Stop::Broken(unavailable.to_string())),
        }
    }

    /// Has scenarios calculated, as if their owner had asked, and waits for them.
    async fn calculate(
        &self,
        grip: Grip,
        access: Access,
        scenarios: &[(i64, ScenarioId)],
        cancel: &CancellationToken,
    ) -> Result<(), Stop> {
        let each = scenarios.iter().map(|(_, scenario)| self.calculate_one(access, *scenario, cancel));
        futures::future::try_join_all(each).await?;
        let ids: Vec<ScenarioId> = scenarios.iter().map(|(_, id)| *id).collect();
        let calculated = loop {
            let asked = || {
                let ids = ids.clone();
                self.database.read(move |c| Box::pin(async move { operations::calculated(c, &ids).await }))
            };
            match self.lasting(cancel, asked).await? {
                (calculated, 0) => break calculated,
                // Another process has taken one over.
                _ => self.rest(cancel, Duration::from_millis(200)).await?,
            }
        };
        let Some((line, _)) = scenarios.last().copied() else { return Ok(()) };
        let not_calculated = i64::try_from(scenarios.len()).unwrap_or(i64::MAX) - calculated;
        let settled = Settled { line, calculated, not_calculated, at: self.context.clock.now() };
        let settle = || self.database.write(move |c| Box::pin(operations::settle(c, grip, settled)));
        if self.lasting(cancel, settle).await? { Ok(()) } else { Err(Stop::Lost) }
    }

    /// Waits for a place like everybody; a scenario that cannot be calculated is not.
    async fn calculate_one(
        &self,
        access: Access,
        scenario: ScenarioId,
        cancel: &CancellationToken,
    ) -> Result<(), Stop> {
        let mut pause = Pause::default();
        loop {
            let asker = Asker::new(access, None, Ask::Analysis(Box::new(run::base())));
            match self.scenarios.calculate(asker, scenario).await {
                Ok(CalculateAnswer::Run(run)) => return self.wait(scenario, &run, cancel).await,
                Ok(CalculateAnswer::Failed(error)) if !error.is_passing() => return Err(error.into()),
                Ok(CalculateAnswer::Failed(_) | CalculateAnswer::InProgress) | Err(Unavailable { .. }) => {}
                Ok(_) => return Ok(()),
            }
            self.rest(cancel, pause.longer()).await?;
        }
    }

    /// Waits for the end of a run, unless the work is called off: a process that stops does not wait for it.
    async fn wait(&self, scenario: ScenarioId, run: &Run, cancel: &CancellationToken) -> Result<(), Stop> {
        if run.state.has_ended() {
            return Ok(());
        }
        tokio::select! {
            () = cancel.cancelled() => Err(Stop::Cancelled),
            // How it ended is in its row; a registry that is away has given it back.
            _ = self.scenarios.wait(scenario, run.id, Duration::from_secs(60)) => Ok(()),
        }
    }

    async fn rest(&self, cancel: &CancellationToken, time: Duration) -> Result<(), Stop> {
        tokio::select! {
            () = cancel.cancelled() => Err(Stop::Cancelled),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    /// Asks the database, again as long as it is away, unless the work is called off.
    async fn lasting<T, F>(&self, cancel: &CancellationToken, ask: impl Fn() -> F) -> Result<T, Stop>
    where
        F: Future<Output = Result<T, DatabaseError>>,
    {
        let mut pause = Pause::default();
        loop {
            if cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            match ask().await {
                Ok(value) => return Ok(value),
                Err(error) if error.is_passing() => self.rest(cancel, pause.longer()).await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives back what this process holds, or one operation of it. What is not given back is free when its lease ends.
    pub async fn give_back(&self, operation: Option<OperationId>) {
        let node = self.context.node;
        let mut pause = Pause::default();
        for _ in 0..TRIES {
            match self.database.write(move |c| Box::pin(operations::hand_back(c, node, operation))).await {
                Ok(_) => return,
                Err(error) if error.is_passing() => tokio::time::sleep(pause.longer()).await,
                Err(error) => return tracing::error!(%error, "operations were not given back"),
            }
        }
        tracing::warn!("operations were not given back: the database is away");
    }
}

/// How often it is tried to give something back.
const TRIES: usize = 4;

/// What rows have become.
#[derive(Debug, Clone, Default)]
struct Looked {
    created: Vec<(i64, Scenario)>,
    refused: Vec<(i64, Vec<Fault>)>,
}

impl Looked {
    fn made(self, position: i64, at: Timestamp) -> Made {
        Made { position, created: self.created, refused: self.refused, at }
    }
}

/// Rows that are looked at one by one.
struct Looking {
    rows: std::vec::IntoIter<Row>,
    master_data: MasterData,
    project: ProjectId,
    columns: Vec<(String, String)>,
    /// When the first scenario is made; each is made a microsecond later, so that they sort like their rows.
    now: Timestamp,
    looked: Looked,
}

impl Looking {
    /// Looks at the next row; gives everything when there is none.
    fn step(&mut self) -> Option<Looked> {
        let Some(row) = self.rows.next() else { return Some(std::mem::take(&mut self.looked)) };
        let line = row.line;
        match self.draft(row) {
            Ok(draft) => {
                let now = self.now + TimeDelta::microseconds(self.looked.created.len() as i64);
                let scenario = draft.scenario(ScenarioId::new(now), self.project, now);
                self.looked.created.push((line, scenario));
            }
            Err(faults) => self.looked.refused.push((line, faults)),
        }
        None
    }

    /// The draft of a row: read and checked like the body of a request.
    fn draft(&self, row: Row) -> Result<Draft, Vec<Fault>> {
        if !row.wrong.is_empty() {
            return Err(row.wrong);
        }
        let draft: Draft = reading::parse(row.body.get().as_bytes()).map_err(|unread| match unread {
            Unread::Wrong(violation) => vec![self.fault(violation)],
            Unread::Malformed(message) => {
                vec![self.fault(Violation { pointer: String::new(), code: "malformed", message, allowed: None })]
            }
        })?;
        let violations = draft.violations(&self.master_data);
        if violations.is_empty() {
            return Ok(draft);
        }
        Err(violations.into_iter().map(|violation| self.fault(violation)).collect())
    }

    fn fault(&self, violation: Violation) -> Fault {
        let Violation { pointer, code, message, .. } = violation;
        let column = column_of(&self.columns, &pointer).map(str::to_owned);
        Fault::of(column, pointer, code, &message)
    }
}
