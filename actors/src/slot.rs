//! A slot: where callers find an actor, whichever life it is in.
//!
//! A caller takes a permit, sends a message that carries it, and awaits the reply within a deadline.
//! The permit travels with the message and is given back when the message has been answered or
//! dropped, so that the mailbox, which is unbounded, never holds more than the slot's capacity, even
//! when callers give up early.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use ractor::{ActorRef, Message};
use thiserror::Error;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};

use crate::{
    limits::Subject,
    origin::Origin,
    shares::{Share, Shares},
};

/// The resource gave no answer: try again a little later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{resource} {why}")]
pub struct Unavailable {
    /// The resource that was asked.
    pub resource: &'static str,
    /// Why it did not answer.
    pub why: Why,
}

/// Why a resource did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Why {
    /// The actor is being restarted, or stops.
    #[error("is not there")]
    Down,
    /// As many requests as it admits are waiting.
    #[error("is full")]
    Full,
    /// The deadline passed.
    #[error("did not answer in time")]
    Late,
}

/// A place in an actor's bounded queue, free again when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _place: OwnedSemaphorePermit,
    _share: Option<Share>,
}

impl Permit {
    fn of(place: OwnedSemaphorePermit) -> Self {
        Self { _place: place, _share: None }
    }
}

/// The places in an actor's bounded queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// The actor's name.
    pub actor: &'static str,
    /// Requests that are admitted at once.
    pub capacity: usize,
    /// Requests that are admitted now.
    pub taken: usize,
}

/// Where the answer to one message goes, exactly once.
pub struct Reply<T> {
    port: oneshot::Sender<Result<T, Unavailable>>,
    resource: &'static str,
    origin: Option<Origin>,
    permit: Option<Permit>,
}

impl<T> Reply<T> {
    /// Answers.
    pub fn send(self, value: T) {
        self.answer(Ok(value));
    }

    /// Answers that there will be no answer.
    pub fn refuse(self, why: Why) {
        let unavailable = Unavailable { resource: self.resource, why };
        self.answer(Err(unavailable));
    }

    fn answer(self, answer: Result<T, Unavailable>) {
        // First the place, then the answer: who has been answered finds the place free.
        drop(self.permit);
        // The caller may have given up; then nobody wants the answer.
        let _ = self.port.send(answer);
    }

    /// The request that the caller answers, if it answers one.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Whether the caller has given up, so that the work need not be done.
    pub fn is_abandoned(&self) -> bool {
        self.port.is_closed()
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({})", self.resource)
    }
}

/// A handle on an actor that survives the actor's restarts.
pub struct Slot<M> {
    shared: Arc<Shared<M>>,
}

struct Shared<M> {
    resource: &'static str,
    actor: ArcSwapOption<ActorRef<M>>,
    permits: Arc<Semaphore>,
    capacity: usize,
    deadline: Duration,
}

impl<M> Clone for Slot<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<M: Message> Slot<M> {
    /// An empty slot that admits `capacity` requests at once and gives each `deadline`.
    pub fn new(resource: &'static str, capacity: usize, deadline: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(capacity));
        Self { shared: Arc::new(Shared { resource, actor: ArcSwapOption::empty(), permits, capacity, deadline }) }
    }

    /// Puts an actor's new life in place.
    pub fn fill(&self, actor: ActorRef<M>) {
        self.shared.actor.store(Some(Arc::new(actor)));
    }

    /// The actor's present life.
    pub fn actor(&self) -> Option<Arc<ActorRef<M>>> {
        self.shared.actor.load_full()
    }

    /// The resource's name.
    pub fn resource(&self) -> &'static str {
        self.shared.resource
    }

    /// Requests that could be admitted now.
    pub fn free(&self) -> usize {
        self.shared.permits.available_permits()
    }

    /// How many requests are admitted at once, and how many are now.
    pub fn places(&self) -> Places {
        let capacity = self.shared.capacity;
        Places { actor: self.shared.resource, capacity, taken: capacity.saturating_sub(self.free()) }
    }

    /// Takes a place in the queue, if there is one.
    pub fn reserve(&self) -> Result<Permit, Unavailable> {
        let permit = Arc::clone(&self.shared.permits).try_acquire_owned();
        permit.map(Permit::of).map_err(|_| self.full())
    }

    /// Takes a place in the queue for somebody who may not have all of them.
    pub(crate) fn reserve_for(&self, who: Subject, shares: &Shares) -> Result<Permit, Unavailable> {
        let share = shares.take(who).ok_or(self.full())?;
        Ok(Permit { _share: Some(share), ..self.reserve()? })
    }

    /// Waits for a place in the queue, for work that has been accepted already.
    pub async fn reserve_when_free(&self) -> Result<Permit, Unavailable> {
        let permit = Arc::clone(&self.shared.permits).acquire_owned().await;
        permit.map(Permit::of).map_err(|_| self.unavailable(Why::Down))
    }

    /// Sends a message and awaits its reply within the slot's deadline.
    pub async fn call<T>(&self, message: impl FnOnce(Reply<T>) -> M) -> Result<T, Unavailable> {
        self.call_within(self.shared.deadline, message).await
    }

    /// Sends a message and awaits its reply within `deadline`.
    pub async fn call_within<T>(
        &self,
        deadline: Duration,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, Unavailable> {
        self.in_time(deadline, self.call_reserved(self.reserve()?, message)).await
    }

    /// Sends a message on a place taken before and awaits its reply within the slot's deadline.
    pub async fn call_on<T>(&self, permit: Permit, message: impl FnOnce(Reply<T>) -> M) -> Result<T, Unavailable> {
        self.in_time(self.shared.deadline, self.call_reserved(permit, message)).await
    }

    async fn in_time<T>(
        &self,
        deadline: Duration,
        answer: impl Future<Output = Result<T, Unavailable>>,
    ) -> Result<T, Unavailable> {
        timeout(deadline, answer).await.unwrap_or(Err(self.unavailable(Why::Late)))
    }

    /// Sends a message on a place taken before and awaits its reply, however long it takes: whoever
    /// handles the message bounds the time.
    pub async fn call_reserved<T>(
        &self,
        permit: Permit,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, Unavailable> {
        let (port, answer) = oneshot::channel();
        let (resource, origin) = (self.shared.resource, Origin::current());
        self.cast(message(Reply { port, resource, origin, permit: Some(permit) }))?;
        answer.await.unwrap_or(Err(self.unavailable(Why::Down)))
    }

    /// Sends a message that has no reply.
    pub fn cast(&self, message: M) -> Result<(), Unavailable> {
        let actor = self.shared.actor.load();
        let Some(actor) = actor.as_ref() else { return Err(self.unavailable(Why::Down)) };
        actor.cast(message).map_err(|_| self.unavailable(Why::Down))
    }

    /// What a caller is told for whom there is no place.
    pub fn full(&self) -> Unavailable {
        self.unavailable(Why::Full)
    }

    fn unavailable(&self, why: Why) -> Unavailable {
        Unavailable { resource: self.shared.resource, why }
    }
}

#[cfg(test)]
mod tests {
    use ractor::{Actor, ActorProcessingErr};

    use super::*;

    struct Echo;

    enum Message {
        Say(u32, Reply<u32>),
        Keep(Reply<u32>),
    }

    impl Actor for Echo {
        type Msg = Message;
        type State = Vec<Reply<u32>>;
        type Arguments = ();

        async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<Self::State, ActorProcessingErr> {
            Ok(Vec::new())
        }

        async fn handle(
            &self,
            _: ActorRef<Message>,
            message: Message,
            kept: &mut Self::State,
        ) -> Result<(), ActorProcessingErr> {
            match message {
                Message::Say(0, _) => panic!("asked to"),
                Message::Say(n, reply) => reply.send(n),
                Message::Keep(reply) => kept.push(reply),
            }
            Ok(())
        }
    }

    async fn slot(capacity: usize) -> Slot<Message> {
        let slot = Slot::new("echo", capacity, Duration::from_millis(200));
        slot.fill(Actor::spawn(None, Echo, ()).await.expect("spawns").0);
        slot
    }

    #[tokio::test]
    async fn a_full_slot_refuses_at_once_and_admits_again_when_a_reply_was_sent() {
        let slot = slot(1).await;
        let held = slot.reserve().expect("one place");
        assert_eq!(slot.call(|r| Message::Say(1, r)).await.unwrap_err().why, Why::Full);
        drop(held);
        assert_eq!(slot.call(|r| Message::Say(1, r)).await, Ok(1));
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_leaves_its_permit_with_the_message() {
        let slot = slot(1).await;
        let late = slot.call_within(Duration::from_millis(10), Message::Keep).await;
        assert_eq!(late.unwrap_err().why, Why::Late);
        assert_eq!(slot.free(), 0);
    }

    #[tokio::test]
    async fn a_panic_answers_down_to_everybody_who_waits() {
        let slot = slot(64).await;
        let kept: Vec<_> = (0..32)
            .map(|_| {
                tokio::spawn({
                    let slot = slot.clone();
                    async move { slot.call(Message::Keep).await }
                })
            })
            .collect();
        while slot.free() > 32 {
            tokio::task::yield_now().await;
        }
        assert_eq!(slot.call(|r| Message::Say(0, r)).await.unwrap_err().why, Why::Down);
        for waiting in kept {
            assert_eq!(waiting.await.unwrap().unwrap_err().why, Why::Down);
        }
        assert_eq!(slot.free(), 64);
    }
}
