//! Live streams: who watches, what they are told, and when that ends. How it travels is the business of the routes.

use std::time::Duration;

use axum::extract::FromRequestParts;
use http::{HeaderName, StatusCode, request::Parts};
use safire_actors::events::{Message, NoStream, STREAMS_PER_USER, Stream, Subscription};
use safire_domain::{
    ProjectId, ScenarioId, Timestamp,
    event::{Filter, Place, Topic, Viewer},
};
use safire_store::streams::{self, Credential};
use serde::Deserialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    App, Problem,
    auth::{Caller, digest},
    extract::Query,
};

pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How often it is looked whether who watches still may.
const LOOK: Duration = Duration::from_secs(3);

/// The length of a ticket: 256 bits in hexadecimal digits.
const TICKET: usize = 64;

/// How soon somebody with too many streams may try again.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// What is asked for, and by whom.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct LiveQuery {
    /// Only what happens in this project.
    project: Option<ProjectId>,
    /// Only what happens to this scenario.
    scenario: Option<ScenarioId>,
    /// Only what is about this operation; a calculation is the operation with the id of its run.
    operation: Option<Uuid>,
    /// The id of the last event that was seen: what came after it is told first. Like the header Last-Event-ID.
    #[param(max_length = 64, pattern = "^[0-9]{1,18}-[0-9]{1,18}$")]
    last_event_id: Option<String>,
    /// From `POST /events/ticket`, instead of a token: a page cannot send headers with a stream.
    #[param(pattern = "^[0-9a-f]{64}$")]
    ticket: Option<String>,
}

impl LiveQuery {
    /// What is asked for.
    pub fn filter(&self) -> Filter {
        Filter { topic: None, project: self.project, scenario: self.scenario, operation: self.operation }
    }
}

/// Somebody who watches, until they may no more.
#[derive(Debug, Clone)]
pub(crate) struct Watcher {
    pub query: LiveQuery,
    after: Option<Place>,
    viewer: Viewer,
    credential: Credential,
    ends_at: Option<Timestamp>,
}

impl FromRequestParts<App> for Watcher {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let asked = Query::<LiveQuery>::from_request_parts(parts, app).await;
        let ticket = asked.as_ref().ok().and_then(|Query(query)| query.ticket.clone());
        let (user, credential, ends_at) = match ticket {
            Some(ticket) => {
                let ticket = redeem(app, &ticket).await?;
                (ticket.user, ticket.credential, ticket.ends_at)
            }
            None => {
                let caller = Caller::from_request_parts(parts, app).await?;
                (caller.user, caller.credential, caller.ends_at)
            }
        };
        let Query(query) = asked?;
        let header = parts.headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?").to_owned());
        let after = header.as_ref().or(query.last_event_id.as_ref()).map(|id| id.parse()).transpose();
        let after = after.map_err(|_| {
            let detail = "the id of the last event is none: take the `id` of an event as it is";
            Problem::new(StatusCode::BAD_REQUEST, "last_event_id.invalid", detail)
        })?;
        let now = app.now();
        let viewer = app.database.read(move |c| Box::pin(streams::viewer(c, user, credential, now))).await?;
        let viewer = viewer.ok_or_else(|| Problem::unauthorized("the session is over; sign in again"))?;
        Ok(Self { query, after, viewer, credential, ends_at })
    }
}

async fn redeem(app: &App, ticket: &str) -> Result<streams::Ticket, Problem> {
    if ticket.len() != TICKET || !ticket.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        let detail = "this is no ticket: take one from POST /events/ticket as it is";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "ticket.invalid", detail));
    }
    let (hash, now) = (digest(ticket), app.now());
    let found = app.database.write(move |c| Box::pin(async move { streams::redeem(c, &hash, now).await })).await?;
    found.ok_or_else(|| Problem::unauthorized("the ticket is unknown, was used, or has expired; get another"))
}

impl Watcher {
    /// A stream that is opened again goes on after that event.
    pub fn goes_on_after(&mut self, place: Place) {
        self.after = Some(place);
    }

    /// The stream of what these filters ask for.
    pub async fn watch(self, app: &App, filters: Vec<Filter>) -> Result<Live, Problem> {
        let Self { query: _, after, viewer, credential, ends_at } = self;
        let subscription = Subscription { viewer: viewer.clone(), filters, after };
        let stream = app.events.subscribe(subscription).await.map_err(|why| match why {
            NoStream::TooMany => {
                tracing::info!(user.id = %viewer.user, most = STREAMS_PER_USER, "a user has too many streams");
                Problem::too_many("streams.too_many", "you have ten streams open; close one of them", TRY_AGAIN)
            }
            NoStream::Unavailable(unavailable) => unavailable.into(),
            NoStream::Database(error) => error.into(),
        })?;
        let mut look = interval_at(Instant::now() + LOOK, LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Live { app: app.clone(), stream, viewer, credential, ends_at, look })
    }
}

/// A stream while its reader may read it.
pub(crate) struct Live {
    app: App,
    stream: Stream,
    viewer: Viewer,
    credential: Credential,
    ends_at: Option<Timestamp>,
    look: Interval,
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The service stops, or starts again inside: its reader should come again.
    Away,
    /// The session is over.
    SignedOut,
}

impl Live {
    /// The next message. May be called off.
    pub async fn next(&mut self) -> Result<Message, End> {
        loop {
            tokio::select! {
                biased;
                () = self.app.drains() => return Err(End::Away),
                _ = self.look.tick() => {
                    if !self.may_still_read().await {
                        return Err(End::SignedOut);
                    }
                }
                message = self.stream.next() => return message.ok_or(End::Away),
            }
        }
    }

    /// Whether the reader still may; what they may see is as it is now. While the database is away nobody can say,
    /// and there is nothing to tell.
    async fn may_still_read(&self) -> bool {
        let (user, credential, now) = (self.viewer.user, self.credential, self.app.now());
        if self.ends_at.is_some_and(|end| end <= now) {
            return false;
        }
        match self.app.database.read(move |c| Box::pin(streams::viewer(c, user, credential, now))).await {
            Ok(Some(viewer)) => {
                self.stream.set_viewer(viewer);
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::debug!(%error, "it was not looked whether a stream may go on");
                true
            }
        }
    }

    /// From now on this is asked for.
    pub fn ask_for(&self, filters: Vec<Filter>) {
        self.stream.set_filters(filters);
    }
}

/// Only alerts.
pub(crate) fn alerts() -> Vec<Filter> {
    vec![Filter { topic: Some(Topic::Alert), ..Filter::default() }]
}
