//! What waits for one subscriber: bounded, so that one who does not read costs little and delays nobody.
//!
//! Of progress only the newest of each operation waits. When more events wait than there is room for, none is
//! dropped: the subscriber is *behind*, and reads from the database what it missed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use safire_domain::event::{About, Filter, Place, Topic, Viewer};
use tokio::sync::Notify;
use uuid::Uuid;

/// Events that wait at most, and their bytes.
const EVENTS: usize = 64;
const BYTES: usize = 32 << 10;

/// Operations whose progress waits at most.
const OPERATIONS: usize = 16;

/// A message to subscribers, rendered once for all of them.
#[derive(Debug, Clone)]
pub struct Message {
    /// The event's place; progress has none, and is not told again.
    pub place: Option<Place>,
    /// What it is about.
    pub topic: Topic,
    /// The whole message as JSON.
    pub json: Arc<str>,
}

/// What a subscriber finds in its mailbox.
pub(super) enum Taken {
    Message(Message),
    /// What comes next is in the database.
    Behind,
    Nothing,
    /// Nothing more will come.
    End,
}

pub(super) struct Mailbox {
    inner: Mutex<Inner>,
    news: Notify,
}

struct Inner {
    viewer: Viewer,
    filters: Vec<Filter>,
    events: VecDeque<Message>,
    bytes: usize,
    progress: VecDeque<(Uuid, Message)>,
    /// How far all subscribers were told.
    told: Place,
    behind: bool,
    /// Since when something waits that nobody takes.
    waits: Option<Instant>,
    ended: bool,
}

impl Mailbox {
    pub fn new(viewer: Viewer, filters: Vec<Filter>, told: Place, behind: bool) -> Self {
        let inner = Inner {
            viewer,
            filters,
            events: VecDeque::new(),
            bytes: 0,
            progress: VecDeque::new(),
            told,
            behind,
            waits: None,
            ended: false,
        };
        Self { inner: Mutex::new(inner), news: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when there may be something to take.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Puts events in, all up to the last of them.
    pub fn tell(&self, events: &[(About, Message)], last: Place) {
        let mut inner = self.inner();
        for (about, message) in events {
            inner.tell(about, message);
        }
        inner.told = last;
        self.wake(inner);
    }

    /// Puts the progress of an operation in, in place of what waits of it.
    pub fn progress(&self, operation: Uuid, about: &About, message: &Message) {
        let mut inner = self.inner();
        if !inner.wants(about) {
            return;
        }
        inner.forget_progress(operation);
        if inner.progress.len() == OPERATIONS {
            inner.progress.pop_front();
        }
        inner.progress.push_back((operation, message.clone()));
        self.wake(inner);
    }

    fn wake(&self, mut inner: MutexGuard<'_, Inner>) {
        if inner.is_waiting() {
            inner.waits.get_or_insert_with(Instant::now);
            self.news.notify_one();
        }
    }

    /// Nothing more comes.
    pub fn end(&self) {
        self.inner().ended = true;
        self.news.notify_one();
    }

    /// Whether something has waited for so long.
    pub fn has_stalled(&self, patience: Duration) -> bool {
        self.inner().waits.is_some_and(|since| since.elapsed() > patience)
    }

    pub fn take(&self) -> Taken {
        let mut inner = self.inner();
        let taken = inner.take();
        inner.waits = inner.is_waiting().then(Instant::now);
        taken
    }

    /// How far all subscribers were told.
    pub fn told(&self) -> Place {
        self.inner().told
    }

    /// Events are put in again, if everything up to `through` has been read and nothing was told beyond.
    pub fn is_live_after(&self, through: Place) -> bool {
        let mut inner = self.inner();
        inner.behind = inner.told > through;
        !inner.behind
    }

    pub fn wants(&self, about: &About) -> bool {
        self.inner().wants(about)
    }

    pub fn viewer(&self) -> Viewer {
        self.inner().viewer.clone()
    }

    pub fn set_viewer(&self, viewer: Viewer) {
        self.inner().viewer = viewer;
    }

    pub fn set_filters(&self, filters: Vec<Filter>) {
        self.inner().filters = filters;
    }
}

impl Inner {
    fn wants(&self, about: &About) -> bool {
        self.filters.iter().any(|filter| filter.matches(about)) && self.viewer.sees(about)
    }

    fn tell(&mut self, about: &About, message: &Message) {
        if !self.wants(about) {
            return;
        }
        if let (Topic::OperationComplete, Some(operation)) = (message.topic, about.operation) {
            self.forget_progress(operation);
        }
        let room = self.events.len() < EVENTS && self.bytes + message.json.len() <= BYTES;
        if self.behind || !room {
            self.behind = true;
            return;
        }
        self.bytes += message.json.len();
        self.events.push_back(message.clone());
    }

    fn forget_progress(&mut self, operation: Uuid) {
        self.progress.retain(|(of, _)| *of != operation);
    }

    fn is_waiting(&self) -> bool {
        self.ended || self.behind || !self.events.is_empty() || !self.progress.is_empty()
    }

    fn take(&mut self) -> Taken {
        if self.ended {
            return Taken::End;
        }
        if let Some(message) = self.events.pop_front() {
            self.bytes -= message.json.len();
            return Taken::Message(message);
        }
        if self.behind {
            return Taken::Behind;
        }
        self.progress.pop_front().map_or(Taken::Nothing, |(_, message)| Taken::Message(message))
    }
}

#[cfg(test)]
mod tests {
    use safire_domain::{Timestamp, UserId, user::Role};

    use super::*;

    fn mailbox() -> (Mailbox, About) {
        let user = UserId::new(Timestamp::UNIX_EPOCH);
        let viewer = Viewer { user, role: Role::Analyst, zone: None };
        let about = About { owner: Some(user), operation: Some(Uuid::nil()), ..About::default() };
        (Mailbox::new(viewer, vec![Filter::default()], Place::default(), false), about)
    }

    fn event(n: i64, topic: Topic) -> Message {
        Message { place: Some(Place { tx: 0, n }), topic, json: "{}".into() }
    }

    fn progress(percent: u32) -> Message {
        Message { place: None, topic: Topic::ProgressUpdate, json: percent.to_string().into() }
    }

    fn taken(mailbox: &Mailbox) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            match mailbox.take() {
                Taken::Message(Message { place: Some(place), .. }) => all.push(place.to_string()),
                Taken::Message(message) => all.push(message.json.to_string()),
                Taken::Behind => all.push("behind".into()),
                Taken::End => all.push("end".into()),
                Taken::Nothing => return all,
            }
            if matches!(all.last().map(String::as_str), Some("behind" | "end")) {
                return all;
            }
        }
    }

    #[test]
    fn of_progress_only_the_newest_waits_and_none_after_the_end() {
        let (mailbox, about) = mailbox();
        for percent in 0..100 {
            mailbox.progress(Uuid::nil(), &about, &progress(percent));
        }
        mailbox.progress(Uuid::max(), &about, &progress(7));
        assert_eq!(taken(&mailbox), ["99", "7"]);
        mailbox.progress(Uuid::nil(), &about, &progress(100));
        mailbox.tell(&[(about, event(1, Topic::OperationComplete))], Place { tx: 0, n: 1 });
        assert_eq!(taken(&mailbox), ["0-1"]);
    }

    #[test]
    fn a_reader_that_does_not_read_is_behind_and_live_again_when_it_has_caught_up() {
        let (mailbox, about) = mailbox();
        let last = |n| Place { tx: 0, n };
        for n in 1..=1000 {
            mailbox.tell(&[(about.clone(), event(n, Topic::Scenario))], last(n));
        }
        assert!(mailbox.has_stalled(Duration::ZERO));
        let seen = taken(&mailbox);
        assert_eq!((seen.len(), seen.last().map(String::as_str)), (EVENTS + 1, Some("behind")));
        assert!(!mailbox.is_live_after(last(999)), "one was told beyond");
        mailbox.tell(&[(about.clone(), event(1001, Topic::Scenario))], last(1001));
        assert!(mailbox.is_live_after(last(1001)));
        mailbox.tell(&[(about, event(1002, Topic::Scenario))], last(1002));
        assert_eq!(taken(&mailbox), ["0-1002"]);
        assert!(!mailbox.has_stalled(Duration::ZERO));
    }

    #[test]
    fn large_events_leave_room_for_few() {
        let (mailbox, about) = mailbox();
        let large = Message { json: "x".repeat(BYTES / 2).into(), ..event(1, Topic::Scenario) };
        for n in 1..=3 {
            mailbox.tell(&[(about.clone(), large.clone())], Place { tx: 0, n });
        }
        assert_eq!(taken(&mailbox), ["0-1", "0-1", "behind"]);
        mailbox.end();
        assert_eq!(taken(&mailbox), ["end"]);
    }
}
