//! What happens, as it happens: server-sent events, and the tickets that open streams.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::State,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use chrono::TimeDelta;
use futures::stream::{self, StreamExt};
use http::{HeaderName, HeaderValue, StatusCode};
use safire_actors::events::Message;
use safire_domain::Timestamp;
use safire_store::{
    feed::{self, Alert},
    streams::{self, Ticket},
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, Ref, RefOr, Schema, Type, extensions::Extensions},
};
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use crate::{
    App, Problem,
    auth::{Caller, digest, new_ticket},
    live::{Live, LiveQuery, Watcher},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(ticket)).routes(routes!(recent_messages))
}

/// How often something is sent when there is nothing to tell.
const PING: Duration = Duration::from_secs(15);

/// How soon a client that was cut comes again.
const RETRY: Duration = Duration::from_secs(1);

/// How long a ticket is good for.
const TICKET: TimeDelta = TimeDelta::seconds(30);

/// Tells a proxy not to collect before it passes on.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The body of a stream: text without end.
struct EventStream;

impl PartialSchema for EventStream {
    fn schema() -> RefOr<Schema> {
        let messages = ["EventMessage", "ProgressMessage", "ResetMessage"].map(Ref::from_schema_name);
        // A keyword of JSON Schema, of which utoipa does not know.
        let content = Extensions::from_iter([("contentSchema", json!({ "anyOf": messages }))]);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Server-sent events, each with a message as JSON in its `data`."))
            .content_media_type("application/json")
            .extensions(Some(content))
            .into()
    }
}

impl ToSchema for EventStream {}

/// What happens, as server-sent events.
///
/// Changes of scenarios (`scenario`), how far operations are (`progress_update`), their logs (`log_entry`), their ends
/// (`operation_complete`), and alerts (`alert`): what the caller may see, all of it or what the filters ask for. Each
/// event has an id that survives restarts; with the last one seen in `Last-Event-ID`, as browsers send it when they
/// connect again, what came after it is told first, for at least an hour. `reset` says that events before are no longer
/// kept: read the resources again. Progress has no id and is not told again. The stream ends within 5 s of the session.
#[utoipa::path(
    get, path = "/events", tag = "live", params(LiveQuery, ("Last-Event-ID" = Option<String>, Header)),
    responses(
        (status = 200, description = "Events without end, each with `id`, `event` (its type) and `data`",
            content_type = "text/event-stream", body = EventStream,
            example = json!("id: 812-1\nevent: operation_complete\ndata: {\"id\":\"812-1\",\"type\":\"operation_complete\",\"event\":\"calculated\", ...}\n\n")),
        (status = 400, description = "`last_event_id.invalid`: it is not the id of an event; \
            `ticket.invalid`: it is no ticket"),
        (status = 429, description = "`streams.too_many`: the user has ten streams open"),
        (status = 507, description = ""),
    )
)]
async fn events(State(app): State<App>, watcher: Watcher) -> Result<Response, Problem> {
    let filter = watcher.query.filter();
    let live = watcher.watch(&app, vec![filter]).await?;
    let opened = Event::default().retry(RETRY).comment("open");
    let told = stream::unfold(live, |mut live: Live| async move {
        let message = live.next().await.ok()?;
        Some((sent(&message), live))
    });
    let all = stream::once(async { opened }).chain(told).map(Ok::<_, Infallible>);
    let sse = Sse::new(all).keep_alive(KeepAlive::new().interval(PING).text("ping"));
    let headers = [(X_ACCEL_BUFFERING, HeaderValue::from_static("no"))];
    Ok((headers, sse).into_response())
}

fn sent(message: &Message) -> Event {
    let event = Event::default().event(message.topic.as_str()).data(&*message.json);
    match message.place {
        Some(place) => event.id(place.to_string()),
        None => event,
    }
}

/// What opens one stream.
#[derive(Serialize, ToSchema)]
struct TicketView {
    /// To be sent as `ticket`, once.
    #[schema(example = "5b0c7a…")]
    ticket: String,
    /// How long it is good for, in seconds.
    #[schema(example = 30)]
    expires_in: i64,
}

/// Gives a ticket that opens one stream.
///
/// For pages, which cannot send a token with a stream: the ticket goes into the URL, where a token would end up in logs.
/// It is good once, for 30 s, at every replica; the stream ends when the session does that got it.
#[utoipa::path(
    post, path = "/events/ticket", tag = "live",
    responses((status = 201, description = "The ticket", body = TicketView))
)]
async fn ticket(State(app): State<App>, caller: Caller) -> Result<(StatusCode, Json<TicketView>), Problem> {
    let (ticket, now) = (new_ticket(), app.now());
    let hash = digest(&ticket);
    let Caller { user, credential, ends_at, .. } = caller;
    let stored = Ticket { user, credential, ends_at, expires_at: now + TICKET };
    app.database.write(move |c| Box::pin(async move { streams::issue(c, &hash, &stored, now).await })).await?;
    Ok((StatusCode::CREATED, Json(TicketView { ticket, expires_in: TICKET.num_seconds() })))
}

/// The newest alerts, newest first.
#[derive(Serialize, ToSchema)]
struct RecentMessages {
    /// At most 100.
    messages: Vec<MessageView>,
}

/// An alert of another system.
#[derive(Serialize, ToSchema)]
struct MessageView {
    /// Its id.
    id: Uuid,
    /// When it was taken in.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// The whole of it, as it came.
    data: Map<String, Value>,
}

impl From<Alert> for MessageView {
    fn from(Alert { id, at, body }: Alert) -> Self {
        Self { id, time: at, data: body }
    }
}

/// The newest alerts.
///
/// The last 100 that came from the feed, newest first; `/ws/alerts` tells them as they come.
#[utoipa::path(
    get, path = "/messages/recent", tag = "live",
    responses((status = 200, description = "The alerts", body = RecentMessages, example = json!({ "messages": [{
        "id": "01a1f914-e4c8-7d26-be8e-d1e3f79d9011", "time": "2026-11-20T09:30:00Z",
        "data": { "severity": "warning", "text": "UCO is short in Rotterdam" },
    }] })))
)]
async fn recent_messages(State(app): State<App>, _: Caller) -> Result<Json<RecentMessages>, Problem> {
    let alerts = app.database.read(|c| Box::pin(feed::alerts(c))).await?;
    Ok(Json(RecentMessages { messages: alerts.into_iter().map(MessageView::from).collect() }))
}
