//! What is done for a run beside its actor: the calculation, and the commitment of how it ended.

use std::{
    cell::Cell,
    sync::Arc,
    time::{Duration, Instant},
};

use ractor::ActorRef;
use safire_domain::{
    RunId, Timestamp,
    engine::Progress,
    run::{Advance, Order, Outcome},
};
use safire_store::runs;
use tokio_util::sync::CancellationToken;

use super::scenario::Message;
use crate::{
    calculations::{Calculations, OnProgress, Place},
    context::Context,
    database::Database,
    pause::Pause,
};

/// How often the pool is heard of it at most.
const HEARD: Duration = Duration::from_millis(100);

/// Calculates, again when the pool fails under it; nothing when the run was called off meanwhile.
pub(super) async fn compute(
    calculations: &Calculations,
    myself: &ActorRef<Message>,
    run: RunId,
    mut place: Option<Place>,
    order: Arc<Order>,
    cancel: CancellationToken,
) -> Option<Outcome> {
    let mut pause = Pause::default();
    while !cancel.is_cancelled() {
        let place = match place.take() {
            Some(place) => place,
            None => calculations.admit_when_free().await.ok()?,
        };
        let heard = hear(myself.clone(), run);
        match calculations.run(place, Arc::clone(&order), cancel.clone(), Some(heard)).await {
            Ok(outcome) => return Some(outcome).filter(|_| !cancel.is_cancelled()),
            Err(unavailable) => {
                tracing::warn!(%unavailable, "the calculation begins again");
                pause.wait().await;
            }
        }
    }
    None
}

/// Passes on how far a run is, as often as somebody might look.
pub(super) fn hear(actor: ActorRef<Message>, run: RunId) -> OnProgress {
    let last = Cell::new(None::<Instant>);
    Box::new(move |progress| {
        if last.get().is_none_or(|last| last.elapsed() >= HEARD) {
            last.set(Some(Instant::now()));
            let _ = actor.cast(Message::Progressed(run, progress));
        }
    })
}

pub(super) fn advance(progress: Progress, started_at: Timestamp) -> Advance {
    let number = |evaluations| i64::try_from(evaluations).unwrap_or(i64::MAX);
    let Progress { done, total, stage } = progress;
    Advance { stage: stage.to_owned(), done: number(done), total: number(total), started_at }
}

pub(super) async fn settle(context: &Context, database: &Database, run: RunId, attempt: i64, outcome: Outcome) {
    let mut pause = Pause::default();
    let ended = if outcome.is_ok() { "succeeded" } else { "failed" };
    loop {
        let (outcome, node, now) = (outcome.clone(), context.node, context.clock.now());
        let settled = database.write(move |c| Box::pin(runs::settle(c, run, attempt, node, outcome, now))).await;
        match settled {
            Ok(true) => {
                context.metrics.runs.of(ended).increment(1);
                return tracing::debug!(outcome = ended, "the run has ended");
            }
            Ok(false) => return tracing::info!("a late result was dropped"),
            Err(error) if error.is_passing() => pause.wait().await,
            Err(error) => return tracing::error!(%error, "a result could not be committed"),
        }
    }
}
