//! What a panic costs: the message that met it. The actor goes on, with its mailbox and all that it has in hand.
//!
//! A message that panics each time would otherwise cost everybody the actor, and a few of them the process. But an
//! actor that loses [`TOO_MANY`] messages in a row is broken itself: it fails, and its supervisor starts it anew.

use std::{any::Any, panic::AssertUnwindSafe};

use futures::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use safire_metrics::Counter;

/// So many messages in a row lost to panics are too many.
pub(crate) const TOO_MANY: u32 = 3;

/// An actor that can do without a message. Of its hooks, those for its start, for messages and for its children are
/// called.
pub(crate) trait Resilient: Actor {
    /// A message was lost, whichever it was: sets right what it would have.
    fn make_up(&self, myself: &ActorRef<Self::Msg>, state: &mut Self::State);
}

/// An actor that outlives panics.
pub(crate) struct Outlives<A> {
    pub actor: A,
    pub name: &'static str,
    /// Where messages lost to panics are counted.
    pub lost: Counter,
}

/// The actor's own memory, and how many messages in a row it has lost.
pub(crate) struct State<S> {
    own: S,
    lost: u32,
}

impl<A: Resilient> Actor for Outlives<A> {
    type Msg = A::Msg;
    type State = State<A::State>;
    type Arguments = A::Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<A::Msg>,
        arguments: A::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(State { own: self.actor.pre_start(myself, arguments).await?, lost: 0 })
    }

    async fn handle(
        &self,
        myself: ActorRef<A::Msg>,
        message: A::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let handled = self.actor.handle(myself.clone(), message, &mut state.own);
        match AssertUnwindSafe(handled).catch_unwind().await {
            Ok(handled) => {
                state.lost = 0;
                handled
            }
            Err(panic) => {
                state.lost += 1;
                self.lost.increment(1);
                let why = said(&*panic);
                if state.lost == TOO_MANY {
                    return Err(format!("{TOO_MANY} messages in a row were lost to panics, the last to: {why}").into());
                }
                tracing::error!(actor = self.name, panic = why, "a message was lost to a panic");
                self.actor.make_up(&myself, &mut state.own);
                Ok(())
            }
        }
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<A::Msg>,
        event: SupervisionEvent,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        self.actor.handle_supervisor_evt(myself, event, &mut state.own).await
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("something that is no text")
}
