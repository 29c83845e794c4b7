//! One subscriber's stream: from its mailbox while it keeps up, from the database when it does not.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use safire_domain::event::{Filter, Place, Viewer};
use safire_store::events;

use super::{
    Events,
    mailbox::{Mailbox, Message, Taken},
    render,
};

/// Events read from the database at once.
const WINDOW: i64 = 50;

/// The wait before the database is asked again, when it gave nothing new or no answer.
const SOON: Duration = Duration::from_millis(10);
const LATER: Duration = Duration::from_millis(500);

/// The events and the progress that a subscriber asked for, in order, none left out.
pub struct Stream {
    pub(super) id: u64,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) events: Events,
    /// Everything up to here was told, or is not for this subscriber.
    pub(super) place: Place,
    /// What was read from the database and not told yet.
    pub(super) read: VecDeque<Message>,
}

impl Stream {
    /// The next message; `None` when the stream has ended and its reader should come again. May be called off.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.read.pop_front() {
                return Some(message);
            }
            match self.mailbox.take() {
                Taken::Message(message) => {
                    // What was read from the database already is passed over.
                    if message.place.is_none_or(|place| place > self.place) {
                        self.place = message.place.unwrap_or(self.place);
                        return Some(message);
                    }
                }
                Taken::Behind => self.catch_up().await,
                Taken::Nothing => self.mailbox.news().await,
                Taken::End => return None,
            }
        }
    }

    /// Reads a window of what was missed; at the end of it the mailbox is used again.
    async fn catch_up(&mut self) {
        let (told, access, place) = (self.mailbox.told(), self.mailbox.viewer().access(), self.place);
        let batch = self.events.database.read(move |c| Box::pin(events::after(c, Some(access), place, WINDOW))).await;
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                tracing::debug!(%error, "a stream waits for the database");
                return tokio::time::sleep(LATER).await;
            }
        };
        let is_last = (batch.events.len() as i64) < WINDOW;
        self.place = batch.events.last().map_or(place, |event| event.place);
        let wanted = batch.events.iter().filter(|event| self.mailbox.wants(&event.about()));
        self.read.extend(wanted.map(render));
        if !is_last {
            return;
        }
        // Whatever was told before the question is in the answer.
        self.place = self.place.max(told);
        if !self.mailbox.is_live_after(self.place) && self.read.is_empty() {
            tokio::time::sleep(SOON).await;
        }
    }

    /// From now on the viewer may see this.
    pub fn set_viewer(&self, viewer: Viewer) {
        self.mailbox.set_viewer(viewer);
    }

    /// From now on these events are asked for.
    pub fn set_filters(&self, filters: Vec<Filter>) {
        self.mailbox.set_filters(filters);
    }

    /// Tells the subscriber first that events are missing.
    pub(super) fn reset(&mut self, message: Message) {
        self.read.push_front(message);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.events.leave(self.id);
    }
}

/// Whether a subscriber that was told everything up to `place` can go on from there.
pub(super) fn goes_on(place: Place, removed: Place, head: Place) -> bool {
    (removed..=head).contains(&place)
}
