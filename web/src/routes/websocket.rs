//! What happens, as it happens, over WebSocket: the same messages as server-sent events, and a say in which.

use std::time::Duration;

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use http::{
    HeaderMap, StatusCode,
    header::{HOST, ORIGIN},
};
use safire_actors::events::{Message, STALLED};
use safire_domain::{ProjectId, ScenarioId, event::Filter};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, timeout};
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use crate::{
    App, Problem,
    live::{self, End, Live, LiveQuery, Watcher},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(websocket)).routes(routes!(websocket_alerts))
}

/// The largest frame, and the largest message, that a client may send.
const FRAME: usize = 64 << 10;

/// Bytes that wait to be written before a message is; more than one message never does.
const WRITE_BUFFER: usize = 4 << 10;

/// How often a client is asked whether it is there.
const PING: Duration = Duration::from_secs(15);

/// How long it may take to part from a client.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a client may ask for at once.
const SUBSCRIPTIONS: usize = 100;

/// What happens, over WebSocket.
///
/// The same messages as of `/events`, as JSON texts. The client may send `{"action":"subscribe","project":"…"}` with
/// `project`, `scenario`, `operation`, several or none of them, and the same with `unsubscribe`; until the first
/// `subscribe` it is told what the query asks for. A page is let in from the service's own origin or from one in
/// `http.cors_origins`. Messages of a client are at most 64 KiB.
#[utoipa::path(
    get, path = "/ws", tag = "live", params(LiveQuery),
    responses(
        (status = 101, description = "The WebSocket is open"),
        (status = 400, description = "`upgrade.required`: this is no request for a WebSocket; \
            `last_event_id.invalid`: it is not the id of an event; \
            `ticket.invalid`: it is no ticket"),
        (status = 403, description = "`origin.refused`: a page of that origin may not"),
        (status = 429, description = "`streams.too_many`: the user has ten streams open"),
        (status = 507, description = ""),
    )
)]
async fn websocket(
    State(app): State<App>,
    headers: HeaderMap,
    watcher: Watcher,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let filters = vec![watcher.query.filter()];
    open(app, headers, watcher, upgrade, filters, true).await
}

/// Alerts, over WebSocket.
///
/// Like `/ws`, but alerts alone; what the client sends is passed over.
#[utoipa::path(
    get, path = "/ws/alerts", tag = "live", params(LiveQuery),
    responses(
        (status = 101, description = "The WebSocket is open"),
        (status = 400, description = "`upgrade.required`: this is no request for a WebSocket; \
            `last_event_id.invalid`: it is not the id of an event; \
            `ticket.invalid`: it is no ticket"),
        (status = 403, description = "`origin.refused`: a page of that origin may not"),
        (status = 429, description = "`streams.too_many`: the user has ten streams open"),
        (status = 507, description = ""),
    )
)]
async fn websocket_alerts(
    State(app): State<App>,
    headers: HeaderMap,
    watcher: Watcher,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    open(app, headers, watcher, upgrade, live::alerts(), false).await
}

async fn open(
    app: App,
    headers: HeaderMap,
    watcher: Watcher,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    filters: Vec<Filter>,
    may_choose: bool,
) -> Result<Response, Problem> {
    let upgrade = upgrade
        .map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, "upgrade.required", rejection.body_text()))?;
    if !is_let_in(&headers, &app) {
        let detail = "pages of that origin may not open a WebSocket: it is not in http.cors_origins";
        return Err(Problem::new(StatusCode::FORBIDDEN, "origin.refused", detail));
    }
    let live = watcher.watch(&app, filters).await?;
    let upgrade = upgrade.max_frame_size(FRAME).max_message_size(FRAME).write_buffer_size(WRITE_BUFFER);
    let subscriptions = may_choose.then(Vec::new);
    Ok(upgrade.on_upgrade(move |socket| serve(socket, live, subscriptions)))
}

/// Browsers say which page asks, and would let any: cookies aside, nothing but this list keeps others out. Programs
/// say nothing.
pub(super) fn is_let_in(headers: &HeaderMap, app: &App) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let own = || {
        let host = headers.get(HOST)?.to_str().ok()?;
        let (_, of) = origin.to_str().ok()?.split_once("://")?;
        Some(of == host)
    };
    app.settings.cors_origins.contains(origin) || own() == Some(true)
}

/// What a client says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    action: Action,
    project: Option<ProjectId>,
    scenario: Option<ScenarioId>,
    operation: Option<Uuid>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Subscribe,
    Unsubscribe,
}

/// How a WebSocket ends.
enum Closed {
    /// The client left, or takes nothing.
    Gone,
    /// It is told why.
    Told(u16, &'static str),
}

const GOING_AWAY: Closed = Closed::Told(1001, "come again");
const SIGNED_OUT: Closed = Closed::Told(1008, "the session is over");
const TOO_MUCH: Closed = Closed::Told(1008, "too many subscriptions");

async fn serve(mut socket: WebSocket, mut live: Live, mut subscriptions: Option<Vec<Filter>>) {
    let closed = talk(&mut socket, &mut live, &mut subscriptions).await;
    if let Closed::Told(code, reason) = closed {
        let frame = Frame::Close(Some(CloseFrame { code, reason: reason.into() }));
        // A client that does not take it hears of it by the connection's end.
        let _ = timeout(FAREWELL, part(&mut socket, frame)).await;
    }
}

/// Says the last word, and hears the client out: a connection that ends with something unread is reset, and
/// the last word with it.
async fn part(socket: &mut WebSocket, frame: Frame) {
    if socket.send(frame).await.is_ok() {
        while let Some(Ok(_)) = socket.recv().await {}
    }
}

async fn talk(socket: &mut WebSocket, live: &mut Live, subscriptions: &mut Option<Vec<Filter>>) -> Closed {
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Whether the client has answered since it was asked.
    let mut is_there = true;
    loop {
        tokio::select! {
            message = live.next() => {
                let sent = match message {
                    Ok(message) => send(socket, text(&message)).await,
                    Err(End::Away) => return GOING_AWAY,
                    Err(End::SignedOut) => return SIGNED_OUT,
                };
                if sent.is_none() {
                    return Closed::Gone;
                }
            }
            said = socket.recv() => {
                is_there = true;
                let answer = match said {
                    Some(Ok(Frame::Text(said))) => hear(said.as_str(), live, subscriptions),
                    Some(Ok(Frame::Close(_)) | Err(_)) | None => return Closed::Gone,
                    Some(Ok(_)) => Heard::Nothing,
                };
                match answer {
                    Heard::Nothing => {}
                    Heard::TooMuch => return TOO_MUCH,
                    Heard::Answer(answer) => if send(socket, Frame::text(answer)).await.is_none() {
                        return Closed::Gone;
                    },
                }
            }
            _ = ping.tick() => {
                if !std::mem::take(&mut is_there) || send(socket, Frame::Ping(Vec::new().into())).await.is_none() {
                    return Closed::Gone;
                }
            }
        }
    }
}

fn text(message: &Message) -> Frame {
    Frame::text(&*message.json)
}

/// Sends a frame; nothing when the client is gone, or takes nothing for too long.
async fn send(socket: &mut WebSocket, frame: Frame) -> Option<()> {
    timeout(STALLED, socket.send(frame)).await.ok()?.ok()
}

/// What becomes of what a client says.
pub(super) enum Heard {
    Nothing,
    Answer(String),
    TooMuch,
}

/// Does what a client asks for, and says so.
pub(super) fn hear(said: &str, live: &Live, subscriptions: &mut Option<Vec<Filter>>) -> Heard {
    let Some(subscriptions) = subscriptions else { return Heard::Nothing };
    let Command { action, project, scenario, operation } = match serde_json::from_str(said) {
        Ok(command) => command,
        Err(error) => {
            let told = json!({ "type": "error", "code": "message.invalid", "detail": error.to_string() });
            return Heard::Answer(told.to_string());
        }
    };
    let filter = Filter { topic: None, project, scenario, operation };
    subscriptions.retain(|known| *known != filter);
    let what = match action {
        Action::Subscribe if subscriptions.len() == SUBSCRIPTIONS => return Heard::TooMuch,
        Action::Subscribe => {
            subscriptions.push(filter);
            "subscribed"
        }
        Action::Unsubscribe => "unsubscribed",
    };
    live.ask_for(subscriptions.clone());
    Heard::Answer(json!({ "type": what, "project": project, "scenario": scenario, "operation": operation }).to_string())
}
