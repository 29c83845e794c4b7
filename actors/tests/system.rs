//! The actors under work, panic, overload and drain, on both engines.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};

use futures::future::{join_all, select_all};
use safire_actors::{
    Context, Faults, Origin, Settings, System, Unavailable, cache,
    calculations::{self, Compute, base_analysis},
    database::{self, DatabaseError, Keep},
    events::Subscription,
    scenarios::{self, Asker, CalculateAnswer},
    slot::Why,
    supervisor::Policy,
};
use safire_domain::{
    NodeId, RunId, ScenarioId, UserId,
    clock::SystemClock,
    engine::Quantity,
    event::{Filter, Viewer},
    lifecycle::RunState,
    run::{Run, base},
    trace::{SpanId, TraceId, Traceparent},
    user::Access,
};
use safire_store::{
    Connection,
    access::Written,
    projects,
    runs::{self, Accepted, Ask, Cancelled, Lease, Request},
    scenarios as store, users,
};
use safire_test_support::{BUSY, PATIENCE, TestDatabase, analyst, now, on_both_engines, project, scenario};
use tokio_util::sync::CancellationToken;
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
    subscriber::set_global_default,
};
use tracing_subscriber::{
    Layer,
    layer::{self, SubscriberExt},
    registry,
};

/// Panics at a point as often as it was armed, and counts who came by.
#[derive(Default)]
struct Traps {
    armed: Mutex<HashMap<&'static str, u32>>,
    passed: Mutex<HashMap<&'static str, u32>>,
}

impl Traps {
    fn arm(&self, point: &'static str, times: u32) {
        self.armed.lock().unwrap().insert(point, times);
    }

    fn is_armed(&self, point: &'static str) -> bool {
        self.armed.lock().unwrap().get(point).is_some_and(|&left| left > 0)
    }

    fn passed(&self, point: &'static str) -> u32 {
        self.passed.lock().unwrap().get(point).copied().unwrap_or_default()
    }
}

impl Faults for Traps {
    fn strike(&self, point: &'static str) {
        *self.passed.lock().unwrap().entry(point).or_default() += 1;
        let armed = self.armed.lock().unwrap().get_mut(point).is_some_and(|left| {
            let armed = *left > 0;
            *left = left.saturating_sub(1);
            armed
        });
        assert!(!armed, "a trap at {point}");
    }
}

/// The jobs of the database, counted by the span of what caused them: others have jobs of their own at the same time.
#[derive(Clone, Default)]
struct Jobs(Arc<Mutex<HashMap<String, u32>>>);

impl Jobs {
    /// Those of this process, from the first call on.
    fn counted() -> &'static Self {
        static COUNTED: LazyLock<Jobs> = LazyLock::new(|| {
            let jobs = Jobs::default();
            set_global_default(registry().with(jobs.clone())).expect("nobody else listens");
            jobs
        });
        &COUNTED
    }

    fn caused_by(&self, span: SpanId) -> u32 {
        self.0.lock().unwrap().get(&span.to_string()).copied().unwrap_or_default()
    }
}

impl<S: Subscriber> Layer<S> for Jobs {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: layer::Context<'_, S>) {
        if span.metadata().name() == "database" {
            span.record(&mut self.clone());
        }
    }
}

impl Visit for Jobs {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "parent_id" {
            *self.0.lock().unwrap().entry(format!("{value:?}")).or_default() += 1;
        }
    }
}

/// A running system whose owner can look behind it.
struct Bench {
    system: Arc<System>,
    node: NodeId,
    traps: Arc<Traps>,
    rows: tokio::sync::Mutex<Connection>,
    user: Access,
}

/// The engine, but a capacity of 1 t/yr panics, 2 loops until it is called off, 3 loops and never
/// listens until the test is over.
fn poisoned() -> Arc<Compute> {
    let engine = base_analysis();
    Arc::new(move |inputs, cancel| {
        match inputs.plant.capacity_t_per_yr {
            1.0 => panic!("a poisoned input"),
            2.0 => {
                while !cancel.is_cancelled() {
                    std::thread::sleep(Duration::from_millis(1))
                }
            }
            3.0 => std::thread::sleep(Duration::from_secs(4)),
            _ => {}
        }
        engine(inputs, cancel)
    })
}

impl Bench {
    async fn start(database: &TestDatabase) -> Self {
        Self::with(database, |_| {}).await
    }

    async fn with(database: &TestDatabase, adapt: impl FnOnce(&mut Settings)) -> Self {
        let mut rows = database.prepared().await;
        let user = analyst();
        users::insert(&mut rows, &user, None).await.unwrap();
        let (system, node, traps) = start(database, adapt).await;
        Self { system, node, traps, rows: rows.into(), user: Access::of(&user) }
    }

    /// A new scenario of the user, with that capacity in t/yr.
    async fn scenario(&self, capacity: f64) -> ScenarioId {
        let mut c = self.rows.lock().await;
        let owner = users::find(&mut c, self.user.user).await.unwrap().unwrap();
        let project = project(&owner);
        let mut scenario = scenario(&project);
        scenario.inputs.plant.capacity = Some(Quantity::new(capacity, "t/yr"));
        projects::insert(&mut c, &project).await.unwrap();
        assert_eq!(store::insert(&mut c, self.user, &scenario).await.unwrap(), Written::Yes);
        scenario.id
    }

    fn asker(&self) -> Asker {
        Asker::new(self.user, None, Ask::Analysis(Box::new(base())))
    }

    async fn calculate(&self, scenario: ScenarioId) -> RunId {
        match self.system.scenarios.calculate(self.asker(), scenario).await {
            Ok(CalculateAnswer::Run(run)) => run.id,
            other => panic!("not accepted: {other:?}"),
        }
    }

    async fn run(&self, scenario: ScenarioId, run: RunId) -> Run {
        runs::find(&mut *self.rows.lock().await, self.user, scenario, run).await.unwrap().unwrap()
    }

    /// The run when it is in that state; fails when it takes too long.
    async fn reaches(&self, scenario: ScenarioId, run: RunId, state: RunState) -> Run {
        self.waits_for(scenario, run, |run| run.state == state).await
    }

    async fn waits_for(&self, scenario: ScenarioId, run: RunId, condition: impl Fn(&Run) -> bool) -> Run {
        let begun = Instant::now();
        loop {
            let now = self.run(scenario, run).await;
            if condition(&now) {
                return now;
            }
            assert!(begun.elapsed() < PATIENCE, "still {now:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn ping(&self) -> Result<(), DatabaseError> {
        self.system.database.read(|c| Box::pin(c.ping())).await
    }
}

async fn start(database: &TestDatabase, adapt: impl FnOnce(&mut Settings)) -> (Arc<System>, NodeId, Arc<Traps>) {
    let mut settings = Settings {
        database: database::Settings {
            target: database.target(),
            connections: 4,
            keep: Keep { overflow: 0, ..Keep::default() },
            queue: 1000,
            acquire_timeout: PATIENCE,
            statement_timeout: PATIENCE,
        },
        cache: cache::Settings { entries: 100, queue: 1000, deadline: PATIENCE, redis: None },
        calculations: calculations::Settings {
            threads: 2,
            queue: 64,
            deadline: Duration::from_secs(30),
            compute: poisoned(),
        },
        scenarios: scenarios::Settings { queue: 1000, deadline: PATIENCE },
        events: safire_actors::events::Settings::default(),
        feed: None,
        imports: safire_actors::imports::Settings::default(),
        policy: Policy { first_delay: Duration::from_millis(10), budget: 100, ..Policy::default() },
    };
    adapt(&mut settings);
    let traps = Arc::new(Traps::default());
    let context = Context { faults: Some(traps.clone()), ..Context::new(Arc::new(SystemClock)) };
    (Arc::new(System::start(settings, &context).await.unwrap()), context.node, traps)
}

/// Repeats until it succeeds; fails when that takes too long.
async fn eventually<T, E: std::fmt::Debug>(mut work: impl AsyncFnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        match work().await {
            Ok(value) => return value,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "still {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

on_both_engines! {
    async fn a_calculation_is_accepted_computed_and_committed(database: &TestDatabase) {
        let bench = Bench::start(database).await;
        let scenario = bench.scenario(500_000.0).await;
        let run = bench.calculate(scenario).await;
        bench.system.scenarios.wait(scenario, run, PATIENCE).await.unwrap();
        assert_eq!(bench.run(scenario, run).await.state, RunState::Succeeded);
        let (result, _) = runs::result(&mut *bench.rows.lock().await, run).await.unwrap().unwrap();
        assert!((result.base.lcop_usd_per_t - 1_495.814_340_594_6).abs() < 1e-9);
    }

    async fn accepting_a_calculation_is_one_job_of_the_database(database: &TestDatabase) {
        let bench = Bench::start(database).await;
        let jobs = Jobs::counted();
        for _ in 0..10 {
            let scenario = bench.scenario(10_000.0).await;
            let id = scenario.uuid();
            let request = Traceparent { trace: TraceId::of(id), span: SpanId::of(id, 0), is_sampled: true };
            let run = Origin::new(None, request).scope(bench.calculate(scenario)).await;
            bench.reaches(scenario, run, RunState::Succeeded).await;
            assert_eq!(jobs.caused_by(request.span), 1);
        }
    }

    async fn a_panic_in_a_calculation_fails_that_run_only(database: &TestDatabase) {
        let bench = Bench::start(database).await;
        let poisoned = bench.scenario(1.0).await;
        let healthy = join_all((0..8).map(|n| bench.scenario(f64::from(n) * 1000.0 + 1000.0))).await;
        let bad = bench.calculate(poisoned).await;
        for &scenario in &healthy {
            let run = bench.calculate(scenario).await;
            bench.reaches(scenario, run, RunState::Succeeded).await;
        }
        let failed = bench.reaches(poisoned, bad, RunState::Failed).await;
        assert_eq!(failed.failure.unwrap().code, "engine.panicked");
        assert!(bench.system.is_supervised());
    }

    async fn a_question_is_answered_in_steps_called_off_or_told_of_a_panic(database: &TestDatabase) {
        let bench = Bench::start(database).await;
        let pool = &bench.system.calculations;
        let (user, free) = (UserId::new(now()), pool.free());
        let mut left = 1000;
        let counted = move || {
            left -= 1;
            (left == 0).then_some("done")
        };
        let answer = pool.ask(pool.admit(user).unwrap(), CancellationToken::new(), counted).await.unwrap();
        assert_eq!(answer, Ok("done"));
        let panics = || -> Option<()> { panic!("asked to") };
        let answer = pool.ask(pool.admit(user).unwrap(), CancellationToken::new(), panics).await.unwrap();
        assert_eq!(answer.unwrap_err().code, "engine.panicked");
        let cancel = CancellationToken::new();
        let endless = pool.ask(pool.admit(user).unwrap(), cancel.clone(), || None::<()>);
        let (answer, ()) = tokio::join!(endless, async { cancel.cancel() });
        assert_eq!(answer.unwrap().unwrap_err().code, "run.cancelled");
        assert_eq!(pool.free(), free);
    }

    async fn a_calculation_that_takes_too_long_fails_and_frees_its_place(database: &TestDatabase) {
        let bench = Bench::with(database, |settings| {
            settings.calculations.deadline = Duration::from_millis(100);
            settings.calculations.threads = 1;
        })
        .await;
        for (capacity, what) in [(2.0, "listens"), (3.0, "does not listen")] {
            let endless = bench.scenario(capacity).await;
            let run = bench.calculate(endless).await;
            let failed = bench.reaches(endless, run, RunState::Failed).await;
            assert_eq!(failed.failure.unwrap().code, "run.deadline_exceeded", "one that {what}");
            let next = bench.scenario(10_000.0).await;
            let run = bench.calculate(next).await;
            bench.reaches(next, run, RunState::Succeeded).await;
        }
    }

    async fn calculations_without_end_hold_up_nobody(database: &TestDatabase) {
        let bench = Bench::with(database, |settings| settings.calculations.threads = 1).await;
        let mut endless = Vec::new();
        for capacity in [2.0, 3.0, 2.0, 3.0] {
            let scenario = bench.scenario(capacity).await;
            let run = bench.calculate(scenario).await;
            endless.push((scenario, run));
        }
        let next = bench.scenario(10_000.0).await;
        let run = bench.calculate(next).await;
        bench.reaches(next, run, RunState::Succeeded).await;
        for (scenario, run) in endless {
            bench.reaches(scenario, run, RunState::Running).await;
            assert_eq!(bench.system.scenarios.cancel(bench.user, scenario, None).await.unwrap().unwrap(), Cancelled::Yes(run));
        }
        eventually(async || if bench.system.calculations.free() == 65 { Ok(()) } else { Err("a place is held") }).await;
    }

    async fn a_cancelled_calculation_ends_and_leaves_a_draft(database: &TestDatabase) {
        let bench = Bench::start(database).await;
        let scenario = bench.scenario(2.0).await;
        let run = bench.calculate(scenario).await;
        bench.reaches(scenario, run, RunState::Running).await;
        let waiting = tokio::spawn({
            let system = Arc::clone(&bench.system);
            async move { system.scenarios.wait(scenario, run, PATIENCE).await }
        });
        let cancelled = bench.system.scenarios.cancel(bench.user, scenario, None).await.unwrap().unwrap();
        assert_eq!(cancelled, Cancelled::Yes(run));
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!(bench.run(scenario, run).await.state, RunState::Cancelled);
        let again = bench.system.scenarios.cancel(bench.user, scenario, None).await.unwrap().unwrap();
        assert_eq!(again, Cancelled::NotInMotion);
        eventually(async || if bench.system.calculations.free() == 66 { Ok(()) } else { Err("the place is held") }).await;
    }

    async fn a_full_pool_refuses_before_anything_is_stored(database: &TestDatabase) {
        let bench = Bench::with(database, |settings| {
            settings.calculations.threads = 1;
            settings.calculations.queue = 1;
        })
        .await;
        let endless = [bench.scenario(2.0).await, bench.scenario(2.0).await];
        for scenario in endless {
            bench.calculate(scenario).await;
        }
        let late = bench.scenario(10_000.0).await;
        let refused = bench.system.scenarios.calculate(bench.asker(), late).await;
        assert!(matches!(refused, Err(Unavailable { why: Why::Full, .. })), "{refused:?}");
        assert_eq!(runs::count(&mut *bench.rows.lock().await, bench.user, late, runs::Filter::default()).await.unwrap(), 0);
        for scenario in endless {
            bench.system.scenarios.cancel(bench.user, scenario, None).await.unwrap().unwrap();
        }
        let run = eventually(async || match bench.system.scenarios.calculate(bench.asker(), late).await {
            Ok(CalculateAnswer::Run(run)) => Ok(run.id),
            other => Err(other),
        })
        .await;
        bench.reaches(late, run, RunState::Succeeded).await;
    }

    async fn a_panic_in_any_actor_restarts_it_and_nobody_hangs(database: &TestDatabase) {
        let bench = Arc::new(Bench::start(database).await);
        for point in ["database", "cache", "calculations", "scenarios", "scenario"] {
            let scenarios = join_all((0..64).map(|n| bench.scenario(f64::from(n) * 1000.0 + 1000.0))).await;
            bench.traps.arm(point, 3);
            let begun = Instant::now();
            let callers = scenarios.iter().map(|&scenario| {
                let bench = Arc::clone(&bench);
                tokio::spawn(async move {
                    let _ = bench.ping().await;
                    let _ = bench.system.cache.stats().await;
                    bench.system.scenarios.calculate(bench.asker(), scenario).await
                })
            });
            for answer in join_all(callers).await {
                match answer.expect("no caller panics") {
                    Ok(CalculateAnswer::Run(_) | CalculateAnswer::Failed(_)) | Err(_) => {}
                    other => panic!("{point}: {other:?}"),
                }
            }
            assert!(begun.elapsed() < Duration::from_secs(5) + BUSY, "{point}: callers waited {:?}", begun.elapsed());
            for &scenario in &scenarios {
                let run = eventually(async || match bench.system.scenarios.calculate(bench.asker(), scenario).await {
                    Ok(CalculateAnswer::Run(run)) => Ok(run.id),
                    other => Err(other),
                })
                .await;
                bench.reaches(scenario, run, RunState::Succeeded).await;
            }
            eventually(async || bench.ping().await).await;
            eventually(async || bench.system.cache.stats().await).await;
            assert!(bench.system.is_supervised(), "{point}");
        }
    }

    async fn a_message_lost_to_a_panic_costs_nothing_else(database: &TestDatabase) {
        let bench = Arc::new(Bench::start(database).await);
        let viewer = Viewer { user: bench.user.user, role: bench.user.role, zone: None };
        let subscription = Subscription { viewer, filters: vec![Filter::default()], after: None };
        let mut told = bench.system.events.subscribe(subscription).await.unwrap();
        let scenario = bench.scenario(2.0).await;
        let run = bench.calculate(scenario).await;
        bench.reaches(scenario, run, RunState::Running).await;
        let waiting = tokio::spawn({
            let bench = Arc::clone(&bench);
            async move { bench.system.scenarios.wait(scenario, run, PATIENCE).await }
        });
        eventually(async || (bench.system.scenarios.places().taken == 1).then_some(()).ok_or("nobody waits")).await;
        let begun = bench.traps.passed("calculations");
        for point in ["scenarios", "events", "cache"] {
            bench.traps.arm(point, 1);
            eventually(async || {
                let _ = bench.system.cache.stats().await;
                let _ = bench.system.scenarios.wait(scenario, RunId::new(now()), Duration::from_millis(100)).await;
                if bench.traps.is_armed(point) { Err("not yet") } else { Ok(()) }
            })
            .await;
        }
        // The run was not begun again, whoever waits for it still does, and is told of its end.
        assert_eq!((bench.run(scenario, run).await.attempt, bench.traps.passed("calculations")), (1, begun));
        assert!(!waiting.is_finished());
        assert_eq!(bench.system.scenarios.cancel(bench.user, scenario, None).await.unwrap().unwrap(), Cancelled::Yes(run));
        waiting.await.unwrap().unwrap();
        let cancelled = async { while !told.next().await.unwrap().json.contains("cancelled") {} };
        tokio::time::timeout(PATIENCE, cancelled).await.expect("the stream goes on");
        bench.system.cache.stats().await.unwrap();
    }

    async fn a_run_in_hand_survives_the_panic_of_its_actor_and_the_end_of_the_registry(database: &TestDatabase) {
        let bench = Bench::start(database).await;
        // The registry outlives two panics in a row, not three.
        for (point, panics, attempt) in [("scenario", 1, 2), ("scenarios", 3, 1)] {
            let scenario = bench.scenario(2.0).await;
            let run = bench.calculate(scenario).await;
            bench.reaches(scenario, run, RunState::Running).await;
            let begun = bench.traps.passed("calculations");
            bench.traps.arm(point, panics);
            // Any message to it springs the trap.
            for _ in 0..panics {
                let _ = bench.system.scenarios.wait(scenario, run, Duration::from_millis(500)).await;
            }
            eventually(async || match bench.traps.passed("calculations") {
                again if again > begun => Ok(()),
                _ => Err("it has not begun again"),
            })
            .await;
            let again = bench.run(scenario, run).await;
            assert_eq!((again.attempt, again.state.has_ended()), (attempt, false), "{point}");
            let cancelled = eventually(async || bench.system.scenarios.cancel(bench.user, scenario, None).await).await;
            assert_eq!(cancelled.unwrap(), Cancelled::Yes(run));
        }
    }

    async fn a_run_accepted_just_when_its_actor_failed_is_found_and_calculated(database: &TestDatabase) {
        let bench = Bench::start(database).await;
        let scenario = bench.scenario(10_000.0).await;
        let lease = Lease { owner: bench.node, length: Duration::from_secs(15) };
        let (access, ask) = (bench.user, Ask::Analysis(Box::new(base())));
        let request = Request { access, key: None, scenario, ask, inputs: None, versions: None, run: RunId::new(now()), lease, now: now() };
        // As the task of an actor that is no more would do it.
        let accepted = runs::accept(&mut *bench.rows.lock().await, request.clone()).await.unwrap();
        assert!(matches!(accepted, Accepted::New(..)), "{accepted:?}");
        bench.reaches(scenario, request.run, RunState::Succeeded).await;
    }

    async fn a_spent_restart_budget_says_that_the_process_should_end(database: &TestDatabase) {
        let bench = Bench::with(database, |settings| {
            settings.policy = Policy { first_delay: Duration::from_millis(1), budget: 2, ..Policy::default() };
        })
        .await;
        bench.traps.arm("cache", 100);
        let exhausted = bench.system.exhausted();
        let begun = Instant::now();
        while !exhausted.is_cancelled() {
            let _ = bench.system.cache.stats().await;
            assert!(begun.elapsed() < PATIENCE, "the budget is never spent");
            tokio::task::yield_now().await;
        }
        assert!(!bench.system.is_supervised());
    }

    async fn draining_finishes_what_it_can_and_hands_back_the_rest(database: &TestDatabase) {
        let bench = Bench::start(database).await;
        let (endless, short) = (bench.scenario(2.0).await, bench.scenario(10_000.0).await);
        let unfinished = bench.calculate(endless).await;
        let finished = bench.calculate(short).await;
        let drained = bench.system.drain(Duration::from_millis(300)).await.unwrap();
        assert_eq!(drained.handed_back, 1);
        bench.system.stop().await.unwrap();
        assert_eq!(bench.run(short, finished).await.state, RunState::Succeeded);
        let back = bench.run(endless, unfinished).await;
        assert_eq!((back.state, back.attempt), (RunState::Queued, 0));
        assert!(bench.system.scenarios.calculate(bench.asker(), short).await.is_err());
        assert!(bench.ping().await.is_err());
    }

    async fn the_next_process_takes_up_what_was_handed_back(database: &TestDatabase) {
        let bench = Bench::with(database, |settings| {
            settings.calculations.compute = Arc::new(|_, cancel| {
                while !cancel.is_cancelled() { std::thread::sleep(Duration::from_millis(1)) }
                unreachable!("nobody wants the result of a calculation that was called off")
            });
        })
        .await;
        let scenarios = join_all((0..8).map(|n| bench.scenario(f64::from(n) * 1000.0 + 1000.0))).await;
        let mut motion = Vec::new();
        for scenario in scenarios {
            motion.push((scenario, bench.calculate(scenario).await));
        }
        assert_eq!(bench.system.drain(Duration::from_millis(10)).await.unwrap().handed_back, 8);
        bench.system.stop().await.unwrap();
        let (next, ..) = start(database, |_| {}).await;
        for (scenario, run) in motion {
            let run = bench.reaches(scenario, run, RunState::Succeeded).await;
            assert_eq!(run.attempt, 1);
        }
        next.drain(Duration::from_secs(5)).await.unwrap();
        next.stop().await.unwrap();
    }

    async fn more_callers_than_the_queue_holds_are_refused_at_once(database: &TestDatabase) {
        let bench = Bench::with(database, |settings| {
            settings.database.connections = 1;
            settings.database.queue = 99;
        })
        .await;
        let (release, _) = tokio::sync::broadcast::channel::<()>(1);
        let jobs = (0..111).map(|_| {
            let (system, mut released) = (Arc::clone(&bench.system), release.subscribe());
            tokio::spawn(async move {
                system.database.read(move |_| Box::pin(async move {
                    let _ = released.recv().await;
                    Ok(())
                })).await
            })
        });
        let (first, _, others) = select_all(jobs).await;
        let refused = first.unwrap();
        assert!(
            matches!(refused, Err(DatabaseError::Unavailable(Unavailable { why: Why::Full, .. }))),
            "{refused:?}"
        );
        release.send(()).unwrap();
        let mut served = 0;
        for job in join_all(others).await {
            match job.unwrap() {
                Ok(()) => served += 1,
                Err(error) => assert!(error.to_string().ends_with("is full"), "{error}"),
            }
        }
        // The registry, the imports and the events, who look for work, may have had some of the hundred places.
        assert!(served >= 90, "{served} of 100 places were used");
        bench.ping().await.unwrap();
    }
}
