//! One scenario in motion: accepts its calculations, has them calculated, commits how they ended.
//!
//! The actor decides; the database and the calculation run beside it and report back by message. It
//! asks the database one question at a time, so that requests for one scenario take their turns, and
//! it forgets nothing that matters: what it knows is in the scenario's row, and when it dies the
//! registry claims the run again.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef};
use safire_domain::{
    RunId, ScenarioId,
    engine::Progress,
    run::{Advance, Kind, Outcome},
    user::Access,
};
use safire_store::runs::{self, Accepted, Assignment, Cancelled, Request};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{Instrument, Span, info_span};

use super::{
    Asker, CalculateAnswer, CancelAnswer, lease,
    work::{advance, compute, settle},
};
use crate::{
    calculations::{Calculations, Place},
    context::Context,
    database::{Database, DatabaseError},
    events::Events,
    ongoing::{Begun, Ongoing},
    origin::{Origin, on_behalf_of, span_for},
    slot::Reply,
};

/// A run that lasts longer than this is recorded as running; a shorter one goes from queued straight
/// to its end, and costs the database one write less.
const LINGERING: Duration = Duration::from_millis(200);

/// How often it is then recorded how far the run is.
const RECORDED: Duration = Duration::from_secs(1);

/// What a scenario is told: first what its registry forwards, then what it hears from its own tasks.
pub(super) enum Message {
    Calculate {
        asker: Asker,
        place: Place,
        reply: Reply<CalculateAnswer>,
    },
    Cancel {
        access: Access,
        run: Option<RunId>,
        reply: Reply<CancelAnswer>,
    },
    Wait {
        run: RunId,
        reply: Reply<()>,
    },
    Resume(Assignment),
    /// What the database says this process holds of the scenario, asked at that time.
    Held(Instant, Vec<(RunId, i64)>),
    Answered(Answer),
    Progressed(RunId, Progress),
    Lingered(RunId),
    Computed(RunId, i64, Outcome),
    Committed(RunId, i64),
}

/// The database's answer to one question.
pub(super) enum Answer {
    Calculate { answer: Box<Result<Accepted, DatabaseError>>, place: Place, reply: Reply<CalculateAnswer> },
    Cancel { answer: Result<Cancelled, DatabaseError>, reply: Reply<CancelAnswer> },
}

/// A message of a scenario to its registry.
pub(super) enum Said {
    /// It is at rest, having handled so many of the registry's messages.
    AtRest { scenario: ScenarioId, actor: ActorId, handled: u64 },
    /// This process holds a run of it that the actor knows nothing of.
    Orphaned(RunId),
}

/// Tells the registry.
pub(super) type Tell = Box<dyn Fn(Said) + Send + Sync>;

/// What a scenario works with.
pub(super) struct ScenarioActor {
    pub id: ScenarioId,
    pub context: Context,
    pub database: Database,
    pub calculations: Calculations,
    pub events: Events,
    /// Where its runs count.
    pub in_motion: Ongoing,
    pub tell: Tell,
}

#[derive(Default)]
pub(super) struct State {
    /// Questions to the database that wait for their turn.
    questions: VecDeque<Question>,
    asking: bool,
    /// The runs that this process calculates, at most one of each kind.
    motions: Vec<Motion>,
    /// Messages of the registry that were handled.
    handled: u64,
}

enum Question {
    Calculate { asker: Asker, place: Place, reply: Reply<CalculateAnswer> },
    Cancel { access: Access, run: Option<RunId>, reply: Reply<CancelAnswer> },
}

impl Question {
    fn origin(&self) -> Option<Origin> {
        match self {
            Self::Calculate { reply, .. } => reply.origin().cloned(),
            Self::Cancel { reply, .. } => reply.origin().cloned(),
        }
    }
}

/// A run that this process calculates.
struct Motion {
    run: RunId,
    kind: Kind,
    attempt: i64,
    /// When it was in the database for certain.
    since: Instant,
    /// Around all that is done for it, and named as it is.
    span: Span,
    origin: Origin,
    /// How far it is; `None` while it waits for a thread.
    advance: Option<Advance>,
    waiting: Vec<Reply<()>>,
    /// Dropped with the motion, they end the calculation and its counting.
    _guards: (DropGuard, Begun),
}

impl Motion {
    /// The run has ended: whoever waited for it may look.
    fn end(self) {
        self.waiting.into_iter().for_each(|reply| reply.send(()));
    }

    /// Does something for the run, beside the actor.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.origin.clone().scope(work).instrument(self.span.clone()));
    }
}

impl Actor for ScenarioActor {
    type Msg = Message;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<State, ActorProcessingErr> {
        Ok(State::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        self.context.pass("scenario");
        match message {
            Message::Calculate { asker, place, reply } => {
                state.handled += 1;
                state.questions.push_back(Question::Calculate { asker, place, reply });
            }
            Message::Cancel { access, run, reply } => {
                state.handled += 1;
                state.questions.push_back(Question::Cancel { access, run, reply });
            }
            Message::Wait { run, reply } => {
                state.handled += 1;
                state.wait(run, reply);
            }
            Message::Resume(assignment) => {
                state.handled += 1;
                self.begin(&myself, state, assignment, None, None);
            }
            Message::Held(asked, held) => {
                state.handled += 1;
                self.compare(state, asked, &held);
            }
            Message::Answered(answer) => self.answered(&myself, state, answer),
            Message::Progressed(run, progress) => self.progressed(state, run, progress),
            Message::Lingered(run) => self.record(&myself, state, run),
            Message::Computed(run, attempt, outcome) => self.commit(&myself, state, run, attempt, outcome),
            Message::Committed(run, attempt) => state.committed(run, attempt),
        }
        self.proceed(&myself, state);
        Ok(())
    }
}

impl State {
    fn motion(&mut self, run: RunId) -> Option<&mut Motion> {
        self.motions.iter_mut().find(|motion| motion.run == run)
    }

    fn wait(&mut self, run: RunId, reply: Reply<()>) {
        match self.motion(run) {
            Some(motion) => motion.waiting.push(reply),
            None => reply.send(()),
        }
    }

    /// An attempt has been committed, or was refused; a later attempt goes on.
    fn committed(&mut self, run: RunId, attempt: i64) {
        if self.is_current(run, attempt) {
            self.end(run);
        }
    }

    fn is_current(&self, run: RunId, attempt: i64) -> bool {
        self.motions.iter().any(|motion| (motion.run, motion.attempt) == (run, attempt))
    }

    /// A run that was taken over by another process, or has ended, is calculated here no longer.
    fn let_go(&mut self, asked: Instant, held: &[(RunId, i64)]) {
        let is_lost = |motion: &mut Motion| motion.since < asked && !held.contains(&(motion.run, motion.attempt));
        for motion in self.motions.extract_if(.., is_lost) {
            tracing::info!(run.id = %motion.run, attempt = motion.attempt, "the run is held no longer");
            motion.end();
        }
    }

    fn end(&mut self, run: RunId) {
        self.motions.extract_if(.., |motion| motion.run == run).for_each(Motion::end);
    }
}

impl ScenarioActor {
    /// Asks the next question, or tells the registry that there is nothing left to do.
    fn proceed(&self, myself: &ActorRef<Message>, state: &mut State) {
        if state.asking {
            return;
        }
        match state.questions.pop_front() {
            Some(question) => {
                state.asking = true;
                self.ask(myself, question);
            }
            None if state.motions.is_empty() => {
                let (scenario, actor, handled) = (self.id, myself.get_id(), state.handled);
                (self.tell)(Said::AtRest { scenario, actor, handled });
            }
            None => {}
        }
    }

    /// Compares the runs in motion here with those that the database says this process holds. While a question is
    /// asked, a run may have been accepted that is not known here yet.
    fn compare(&self, state: &mut State, asked: Instant, held: &[(RunId, i64)]) {
        state.let_go(asked, held);
        if !state.asking {
            let unknown = held.iter().filter(|(run, _)| state.motions.iter().all(|motion| motion.run != *run));
            unknown.for_each(|(run, _)| (self.tell)(Said::Orphaned(*run)));
        }
    }

    fn ask(&self, myself: &ActorRef<Message>, question: Question) {
        let (scenario, context, database, myself) =
            (self.id, self.context.clone(), self.database.clone(), myself.clone());
        let origin = question.origin();
        let span = span_for!(info_span, "scenario", origin.as_ref(), scenario.id = %scenario);
        let asked = async move {
            let now = context.clock.now();
            let answer = match question {
                Question::Calculate { asker: Asker { access, key, ask, inputs, versions }, place, reply } => {
                    let (run, lease) = (RunId::new(now), lease(&context));
                    let request = Request { access, key, scenario, ask, inputs, versions, run, lease, now };
                    let answer = database.write(move |c| Box::pin(runs::accept(c, request))).await;
                    Answer::Calculate { answer: Box::new(answer), place, reply }
                }
                Question::Cancel { access, run, reply } => {
                    let answer = database.write(move |c| Box::pin(runs::cancel(c, access, scenario, run, now))).await;
                    Answer::Cancel { answer, reply }
                }
            };
            let _ = myself.cast(Message::Answered(answer));
        };
        tokio::spawn(on_behalf_of(origin, asked).instrument(span));
    }

    fn answered(&self, myself: &ActorRef<Message>, state: &mut State, answer: Answer) {
        state.asking = false;
        match answer {
            Answer::Calculate { answer, place, reply } => match *answer {
                Ok(Accepted::New(run, assignment)) => {
                    self.begin(myself, state, *assignment, Some(place), reply.origin());
                    reply.send(CalculateAnswer::Run(Box::new(run)));
                }
                answer => reply.send(answer.into()),
            },
            Answer::Cancel { answer, reply } => {
                if let Ok(Cancelled::Yes(run)) = answer {
                    self.context.metrics.runs.of("cancelled").increment(1);
                    state.end(run);
                }
                reply.send(answer);
            }
        }
    }

    /// Has a run calculated; an earlier attempt, or an earlier run of its kind, ends.
    fn begin(
        &self,
        myself: &ActorRef<Message>,
        state: &mut State,
        Assignment { run, attempt, order, .. }: Assignment,
        place: Option<Place>,
        origin: Option<&Origin>,
    ) {
        let asker = origin.map(|asker| asker.cause().span);
        let origin = Origin::of_work(run.uuid(), attempt, origin);
        let span = info_span!(
            parent: None, "run", run.id = %run, scenario.id = %self.id, attempt, request.id = origin.request(),
            trace_id = origin.trace(), span_id = %origin.cause().span, parent_id = asker.map(tracing::field::display)
        );
        let cancel = CancellationToken::new();
        let kind = Kind::of(&order.analysis);
        let earlier = state.motions.extract_if(.., |motion| motion.kind == kind);
        let waiting = earlier.flat_map(|earlier| earlier.waiting).collect();
        let guards = (cancel.clone().drop_guard(), self.in_motion.begin());
        state.motions.push(Motion {
            run,
            kind,
            attempt,
            since: Instant::now(),
            span: span.clone(),
            origin: origin.clone(),
            advance: None,
            waiting,
            _guards: guards,
        });
        myself.send_after(LINGERING, move || Message::Lingered(run));
        let (calculations, myself) = (self.calculations.clone(), myself.clone());
        let computed = async move {
            let order = Arc::new(order);
            if let Some(outcome) = compute(&calculations, &myself, run, place, order, cancel).await {
                let _ = myself.cast(Message::Computed(run, attempt, outcome));
            }
        };
        tokio::spawn(origin.scope(computed).instrument(span));
    }

    /// Notes how far the run is, and tells whoever watches.
    fn progressed(&self, state: &mut State, run: RunId, progress: Progress) {
        let Some(motion) = state.motion(run) else { return };
        let begun = motion.advance.take().map_or_else(|| self.context.clock.now(), |advance| advance.started_at);
        let advance = advance(progress, begun);
        self.events.progress(run.uuid(), None, advance.clone());
        motion.advance = Some(advance);
    }

    /// Records how far the run is, now and again while it lasts.
    fn record(&self, myself: &ActorRef<Message>, state: &mut State, run: RunId) {
        let Some(motion) = state.motion(run) else { return };
        let Some(advance) = motion.advance.clone() else {
            myself.send_after(LINGERING, move || Message::Lingered(run));
            return;
        };
        myself.send_after(RECORDED, move || Message::Lingered(run));
        let (attempt, context, database) = (motion.attempt, self.context.clone(), self.database.clone());
        let recorded = async move {
            let recorded = database
                .write(move |c| Box::pin(async move { runs::record(c, run, attempt, context.node, &advance).await }))
                .await;
            if let Err(error) = recorded {
                tracing::debug!(%error, "it was not recorded how far the run is");
            }
        };
        motion.spawn(recorded);
    }

    /// Commits an outcome, however long the database is away; a late one is refused there.
    fn commit(&self, myself: &ActorRef<Message>, state: &mut State, run: RunId, attempt: i64, outcome: Outcome) {
        let Some(motion) = state.motion(run).filter(|motion| motion.attempt == attempt) else { return };
        let (context, database, myself) = (self.context.clone(), self.database.clone(), myself.clone());
        let settled = async move {
            settle(&context, &database, run, attempt, outcome).await;
            let _ = myself.cast(Message::Committed(run, attempt));
        };
        motion.spawn(settled);
    }
}
