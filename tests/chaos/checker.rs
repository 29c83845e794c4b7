//! The one checker: from the history and the database, whether every promise was kept.
//!
//! While a test lasts, triggers of its own write down how runs end and change hands, so that what happened
//! in between is known, too.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use safire_domain::{
    engine::{self, Analysis, Plain},
    run::Snapshot,
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection, types::Uuid};

use crate::{poison, world::World};

enum Db {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

macro_rules! on {
    ($db:expr, $c:ident => $body:expr) => {
        match $db {
            Db::Postgres($c) => $body,
            Db::Sqlite($c) => $body,
        }
    };
}

const AUDIT_POSTGRES: &str = "
CREATE TABLE audit_ends (run UUID NOT NULL, state TEXT NOT NULL);
CREATE TABLE audit_wrongs (run UUID NOT NULL, what TEXT NOT NULL);
CREATE TABLE audit_takeovers (run UUID NOT NULL);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state IN ('succeeded', 'failed', 'cancelled') THEN
        IF (NEW.state, NEW.attempt, NEW.result, NEW.failure, NEW.lease_owner)
           IS DISTINCT FROM (OLD.state, OLD.attempt, OLD.result, OLD.failure, OLD.lease_owner) THEN
            INSERT INTO audit_wrongs VALUES (OLD.id, 'changed after its end');
        END IF;
    ELSIF NEW.state IN ('succeeded', 'failed', 'cancelled') THEN
        INSERT INTO audit_ends VALUES (OLD.id, NEW.state);
    ELSIF OLD.lease_owner IS NOT NULL AND NEW.lease_owner IS NOT NULL AND OLD.lease_owner <> NEW.lease_owner THEN
        INSERT INTO audit_takeovers VALUES (OLD.id);
        IF OLD.lease_until > clock_timestamp() THEN
            INSERT INTO audit_wrongs VALUES (OLD.id, 'taken over before its lease had ended');
        END IF;
        IF NEW.attempt <> OLD.attempt + 1 THEN
            INSERT INTO audit_wrongs VALUES (OLD.id, 'taken over without a new attempt');
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit AFTER UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION audit();
CREATE FUNCTION audit_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_ends VALUES (NEW.id, NEW.state);
    RETURN NEW;
END $$;
CREATE TRIGGER audit_insert AFTER INSERT ON runs
FOR EACH ROW WHEN (NEW.state IN ('succeeded', 'failed', 'cancelled')) EXECUTE FUNCTION audit_insert();
";

const AUDIT_SQLITE: &str = "
CREATE TABLE audit_ends (run UUID NOT NULL, state TEXT NOT NULL);
CREATE TABLE audit_wrongs (run UUID NOT NULL, what TEXT NOT NULL);
CREATE TABLE audit_takeovers (run UUID NOT NULL);
CREATE TRIGGER audit_after_the_end AFTER UPDATE ON runs
WHEN OLD.state IN ('succeeded', 'failed', 'cancelled')
 AND (NEW.state <> OLD.state OR NEW.attempt <> OLD.attempt OR NEW.result IS NOT OLD.result
      OR NEW.failure IS NOT OLD.failure OR NEW.lease_owner IS NOT OLD.lease_owner)
BEGIN
    INSERT INTO audit_wrongs VALUES (OLD.id, 'changed after its end');
END;
CREATE TRIGGER audit_the_end AFTER UPDATE ON runs
WHEN OLD.state IN ('queued', 'running') AND NEW.state IN ('succeeded', 'failed', 'cancelled')
BEGIN
    INSERT INTO audit_ends VALUES (OLD.id, NEW.state);
END;
CREATE TRIGGER audit_insert AFTER INSERT ON runs WHEN NEW.state IN ('succeeded', 'failed', 'cancelled')
BEGIN
    INSERT INTO audit_ends VALUES (NEW.id, NEW.state);
END;
CREATE TRIGGER audit_takeover AFTER UPDATE ON runs
WHEN OLD.lease_owner IS NOT NULL AND NEW.lease_owner IS NOT NULL AND OLD.lease_owner <> NEW.lease_owner
BEGIN
    INSERT INTO audit_takeovers VALUES (OLD.id);
END;
";

#[derive(sqlx::FromRow)]
struct Run {
    id: Uuid,
    scenario_id: Uuid,
    state: String,
    attempt: i64,
    snapshot: String,
    result: Option<String>,
    failure: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Scenario {
    id: Uuid,
    status: String,
    run_id: Option<Uuid>,
}

/// A step that a transaction took through a partition of what is taken in.
#[derive(sqlx::FromRow)]
pub struct FeedStep {
    pub topic: String,
    pub part: i64,
    pub since: i64,
    pub next: i64,
}

const STEPS: &str = "CREATE TABLE audit_steps (topic TEXT NOT NULL, part BIGINT NOT NULL, since BIGINT NOT NULL,
                                               next BIGINT NOT NULL);";

const AUDIT_FEED_POSTGRES: &str = "
CREATE FUNCTION audit_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_steps VALUES (NEW.topic, NEW.part, OLD.next, NEW.next);
    RETURN NEW;
END $$;
CREATE TRIGGER audit_step AFTER UPDATE ON feed_offsets
FOR EACH ROW WHEN (NEW.next <> OLD.next) EXECUTE FUNCTION audit_step();
";

const AUDIT_FEED_SQLITE: &str = "
CREATE TRIGGER audit_step AFTER UPDATE ON feed_offsets WHEN NEW.next <> OLD.next
BEGIN
    INSERT INTO audit_steps VALUES (NEW.topic, NEW.part, OLD.next, NEW.next);
END;
";

/// What was found when nothing was wrong.
#[derive(Debug)]
pub struct Figures {
    pub requests: usize,
    pub unanswered: usize,
    pub acknowledged: usize,
    pub runs: usize,
    pub succeeded: usize,
    pub exhausted: usize,
    pub takeovers: usize,
    pub most_attempts: i64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, unanswered, acknowledged, runs, succeeded, exhausted, takeovers, most_attempts } = self;
        write!(f, "{requests} requests ({unanswered} unanswered), {acknowledged} runs acknowledged, {runs} stored: ")?;
        write!(f, "{succeeded} right, {exhausted} given up; {takeovers} taken over, at most {most_attempts} attempts")
    }
}

impl World {
    async fn database(&self) -> Db {
        let url = self.url();
        match url.starts_with("postgres") {
            true => Db::Postgres(PgConnection::connect(&url).await.expect("the database is there")),
            false => Db::Sqlite(SqliteConnection::connect(&url).await.expect("the database is there")),
        }
    }

    /// Has the database write down how runs end and change hands.
    pub async fn audit(&self) {
        match self.database().await {
            Db::Postgres(mut c) => sqlx::raw_sql(AUDIT_POSTGRES).execute(&mut c).await.map(drop),
            Db::Sqlite(mut c) => sqlx::raw_sql(AUDIT_SQLITE).execute(&mut c).await.map(drop),
        }
        .expect("the triggers can be made");
    }

    /// Has the database write down how far messages are taken in, step by step.
    pub async fn audit_feed(&self) {
        match self.database().await {
            Db::Postgres(mut c) => {
                sqlx::raw_sql(AssertSqlSafe(format!("{STEPS}{AUDIT_FEED_POSTGRES}"))).execute(&mut c).await.map(drop)
            }
            Db::Sqlite(mut c) => {
                sqlx::raw_sql(AssertSqlSafe(format!("{STEPS}{AUDIT_FEED_SQLITE}"))).execute(&mut c).await.map(drop)
            }
        }
        .expect("the triggers can be made");
    }

    pub async fn feed_steps(&self) -> Vec<FeedStep> {
        let mut db = self.database().await;
        let steps =
            on!(&mut db, c => sqlx::query_as("SELECT topic, part, since, next FROM audit_steps").fetch_all(c).await);
        steps.expect("the steps can be read")
    }

    /// The alerts that were told, as they came.
    pub async fn alerts(&self) -> Vec<Value> {
        let mut db = self.database().await;
        let bodies: Vec<String> = on!(&mut db, c => sqlx::query_scalar(
            "SELECT CAST(body AS TEXT) FROM events WHERE kind = 'alerted'"
        ).fetch_all(c).await)
        .expect("the alerts can be read");
        bodies.iter().map(|body| serde_json::from_str(body).expect("JSON")).collect()
    }

    /// The ids of each scenario's events, in their order.
    pub async fn events_of_scenarios(&self) -> HashMap<String, Vec<String>> {
        let mut db = self.database().await;
        let events: Vec<(i64, i64, Uuid)> = on!(&mut db, c => sqlx::query_as(
            "SELECT tx, n, scenario_id FROM events WHERE scenario_id IS NOT NULL ORDER BY tx, n"
        ).fetch_all(c).await)
        .expect("the events can be read");
        let mut of = HashMap::<String, Vec<String>>::new();
        for (tx, n, scenario) in events {
            of.entry(scenario.to_string()).or_default().push(format!("{tx}-{n}"));
        }
        of
    }

    /// How many runs are in motion.
    pub async fn in_motion(&self) -> i64 {
        self.count("SELECT COUNT(*) FROM runs WHERE state IN ('queued', 'running')").await
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        let mut db = self.database().await;
        let count = on!(&mut db, c => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(c).await);
        count.expect("the database answers")
    }

    /// Fails when a promise was broken. Nothing may be in motion any more.
    pub async fn check(&self) -> Figures {
        let mut db = self.database().await;
        let runs: Vec<Run> = on!(&mut db, c => sqlx::query_as(
            "SELECT id, scenario_id, state, attempt, CAST(snapshot AS TEXT) AS snapshot,
                    CAST(result AS TEXT) AS result, CAST(failure AS TEXT) AS failure
             FROM runs"
        ).fetch_all(c).await)
        .expect("the runs can be read");
        let scenarios: Vec<Scenario> = on!(&mut db, c => sqlx::query_as("SELECT id, status, run_id FROM scenarios")
            .fetch_all(c).await)
        .expect("the scenarios can be read");
        let ends: Vec<(Uuid, String)> = on!(&mut db, c => sqlx::query_as("SELECT run, state FROM audit_ends")
            .fetch_all(c).await)
        .expect("the ends can be read");
        let wrongs: Vec<(Uuid, String)> = on!(&mut db, c => sqlx::query_as("SELECT run, what FROM audit_wrongs")
            .fetch_all(c).await)
        .expect("the wrongs can be read");
        let takeovers: i64 = on!(&mut db, c => sqlx::query_scalar("SELECT COUNT(*) FROM audit_takeovers")
            .fetch_one(c).await)
        .expect("they can be counted");
        let mut found: Vec<String> = wrongs.iter().map(|(run, what)| format!("run {run} was {what}")).collect();
        if let Db::Sqlite(c) = &mut db {
            let said: Vec<String> =
                sqlx::query_scalar("PRAGMA integrity_check").fetch_all(c).await.expect("it answers");
            if said != ["ok"] {
                found.push(format!("the file is damaged: {said:?}"));
            }
        }

        let by_id: HashMap<String, &Run> = runs.iter().map(|run| (run.id.to_string(), run)).collect();
        found.extend(runs_that_are_wrong(&runs));
        found.extend(ends_that_are_wrong(&by_id, &ends));
        found.extend(scenarios_that_are_wrong(&by_id, &scenarios));
        let entries = self.history.entries();
        let acknowledged: HashSet<&str> = entries.iter().filter_map(|entry| entry.acknowledged()).collect();
        for lost in acknowledged.iter().filter(|run| !by_id.contains_key(**run)) {
            found.push(format!("run {lost} was acknowledged and is lost"));
        }
        for entry in &entries {
            let (Some(run), Some(state)) = (&entry.run, &entry.state) else { continue };
            let ended = ["succeeded", "failed", "cancelled"].contains(&state.as_str());
            if ended && by_id.get(run).is_some_and(|stored| stored.state != *state) {
                found.push(format!("run {run} was told to be {state} and is not"));
            }
        }
        assert!(found.is_empty(), "{} (seed {}): {:#?}", self.name, self.seed, &found[..found.len().min(20)]);

        let figures = Figures {
            requests: entries.len(),
            unanswered: entries.iter().filter(|entry| entry.status.is_none()).count(),
            acknowledged: acknowledged.len(),
            runs: runs.len(),
            succeeded: runs.iter().filter(|run| run.state == "succeeded").count(),
            exhausted: runs.iter().filter(|run| run.is_exhausted()).count(),
            takeovers: usize::try_from(takeovers).unwrap_or_default(),
            most_attempts: runs.iter().map(|run| run.attempt).max().unwrap_or_default(),
        };
        eprintln!("{}: {figures}", self.name);
        figures
    }
}

impl Run {
    /// Whether it was given up because the processes that worked on it died again and again.
    fn is_exhausted(&self) -> bool {
        self.failure.as_deref().is_some_and(|failure| failure.contains("run.attempts_exhausted"))
    }

    /// Whether it failed as a poisoned plant does, or as one of which more was asked than time allows.
    fn was_asked_to_fail(&self) -> bool {
        let snapshot: Snapshot = serde_json::from_str(&self.snapshot).expect("a snapshot");
        let capacity = snapshot.resolve().expect("inputs that were accepted").inputs.plant.capacity_t_per_yr;
        let fails_with = |code| self.failure.as_deref().is_some_and(|failure| failure.contains(code));
        match capacity {
            poison::PANICS => fails_with("engine.panicked"),
            poison::ENDLESS => fails_with("run.deadline_exceeded"),
            _ => snapshot.analysis != Analysis::Base {} && fails_with("run.deadline_exceeded"),
        }
    }

    /// Whether the stored result is, to the bit, what the engine computes of the snapshot.
    fn is_right(&self) -> bool {
        let snapshot: Snapshot = serde_json::from_str(&self.snapshot).expect("a snapshot");
        let inputs = snapshot.resolve().expect("inputs that were accepted").inputs;
        let computed = engine::analyse(&inputs, &mut Plain).expect("a result");
        let stored: Value = serde_json::from_str(self.result.as_deref().unwrap_or("null")).expect("JSON");
        // By way of text, as the stored one went.
        let computed = serde_json::to_string(&computed).expect("JSON");
        stored == serde_json::from_str::<Value>(&computed).expect("JSON")
    }
}

fn runs_that_are_wrong(runs: &[Run]) -> Vec<String> {
    let mut found = Vec::new();
    for run in runs {
        match run.state.as_str() {
            "succeeded" if run.is_right() => {}
            "succeeded" => found.push(format!("run {} has a wrong result", run.id)),
            "failed" if run.is_exhausted() && run.attempt > 3 => {}
            "failed" if run.was_asked_to_fail() => {}
            "cancelled" => {}
            state => found.push(format!("run {} is {state}: {:?}", run.id, run.failure)),
        }
        if run.attempt > 4 {
            found.push(format!("run {} was begun {} times", run.id, run.attempt));
        }
    }
    found
}

fn ends_that_are_wrong(runs: &HashMap<String, &Run>, ends: &[(Uuid, String)]) -> Vec<String> {
    let mut of: HashMap<String, Vec<&str>> = HashMap::new();
    for (run, state) in ends {
        of.entry(run.to_string()).or_default().push(state);
    }
    let mut found = Vec::new();
    for (id, run) in runs {
        let ends = of.get(id).map_or(&[][..], Vec::as_slice);
        if ends != [run.state.as_str()] {
            found.push(format!("run {id} is {} and ended as {ends:?}", run.state));
        }
    }
    found
}

fn scenarios_that_are_wrong(runs: &HashMap<String, &Run>, scenarios: &[Scenario]) -> Vec<String> {
    let mut found = Vec::new();
    for scenario in scenarios {
        let run = scenario.run_id.and_then(|run| runs.get(&run.to_string()));
        let expected = match run.map(|run| run.state.as_str()) {
            None => "draft",
            Some("succeeded") => "calculated",
            Some("failed") => "failed",
            Some(_) => "nothing that a scenario can rest on",
        };
        let own = run.is_none_or(|run| run.scenario_id == scenario.id);
        if scenario.status != expected || !own {
            found.push(format!("scenario {} is {}, and its run says {expected}", scenario.id, scenario.status));
        }
    }
    found
}
