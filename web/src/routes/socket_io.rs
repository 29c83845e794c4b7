//! What happens, as it happens, for clients of Socket.IO 4 (`socket.io-client`): the messages of `/events` and `/ws`,
//! each as an event with the name of its type.
//!
//! Engine.IO opens a session before anybody says who they are. Such sessions are counted against the limit of their
//! address, take small payloads only, and end after [`INTRODUCTION`] unless somebody signs in.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Request},
    response::IntoResponse,
    routing::any,
};
use http::{HeaderValue, StatusCode, header::AUTHORIZATION, request::Parts};
use safire_actors::events::{Message, STALLED};
use safire_domain::event::Filter;
use serde_json::{Map, Value, json, value::RawValue};
use socketioxide::{
    SendError, SocketError, SocketIo,
    extract::{Data, SocketRef, TryData},
    handler::ConnectHandler,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tower::Service;

use super::websocket::{Heard, hear, is_let_in};
use crate::{
    App, Problem,
    live::{End, Live, Watcher},
};

/// Where clients look for it.
pub(crate) const PATH: &str = "/socket.io/";

/// How long a session may be open before somebody signs in.
const INTRODUCTION: Duration = Duration::from_secs(5);

/// How often a client is asked whether it is there, and how long it may take to answer.
const PING: Duration = Duration::from_secs(15);

/// Bytes of what a client may send at once.
const PAYLOAD: usize = 64 << 10;

/// Messages that wait for a client; the rest waits in the stream, which is bounded, too.
const WAITING: usize = 16;

/// How soon a full client is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// What a client may say before it is heard.
const SAID: usize = 16;

/// The route of the service.
pub(super) fn routes(app: &App) -> Router<App> {
    let (service, io) = SocketIo::builder()
        .req_path(PATH.trim_end_matches('/'))
        // A poll that waits for longer than a request may would be cut.
        .ping_interval(PING.min(app.settings.request_timeout / 2))
        .ping_timeout(PING)
        .max_payload(PAYLOAD as u64)
        .ws_max_message_size(PAYLOAD)
        .ws_max_frame_size(PAYLOAD)
        .max_buffer_size(WAITING)
        .connect_timeout(INTRODUCTION)
        .build_svc();
    let (of_signing_in, of_talking) = (app.clone(), app.clone());
    let signs_in = async move |socket: SocketRef, auth: TryData<Value>| sign_in(&of_signing_in, &socket, auth).await;
    let talks = async move |socket: SocketRef, io: SocketIo| serve(of_talking, socket, io);
    io.ns("/", talks.with(signs_in));
    let app = app.clone();
    Router::new().route(
        PATH,
        any(async move |request: Request<Body>| {
            if is_new(&request) && !is_let_in(request.headers(), &app) {
                let detail = "pages of that origin may not open a stream: it is not in http.cors_origins";
                return Problem::new(StatusCode::FORBIDDEN, "origin.refused", detail).into_response();
            }
            let mut service = service.clone();
            match service.call(request).await {
                Ok(answer) => answer.map(Body::new),
                Err(never) => match never {},
            }
        }),
    )
}

/// Whether a request asks for a new session.
pub(crate) fn is_new<B>(request: &http::Request<B>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.uri().path() == PATH && !query.split('&').any(|pair| pair.starts_with("sid="))
}

/// Why somebody is not let in, as `connect_error` tells it: a code and a text.
struct Refused(String);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        let (_, code, detail, _) = problem.into_parts();
        Self(format!("{code}: {detail}"))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Finds out who it is, by `auth` or by the headers of the handshake, and opens their stream.
async fn sign_in(app: &App, socket: &SocketRef, TryData(auth): TryData<Value>) -> Result<(), Refused> {
    let mut parts = handshake(socket.req_parts(), auth.ok())?;
    let watcher = Watcher::from_request_parts(&mut parts, app).await?;
    let live = watcher.clone().watch(app, vec![watcher.query.filter()]).await?;
    socket.extensions.insert(Opened(Arc::new(std::sync::Mutex::new(Some((watcher, live))))));
    Ok(())
}

/// What was opened for a socket, until it is served.
#[derive(Clone)]
struct Opened(Arc<std::sync::Mutex<Option<(Watcher, Live)>>>);

/// The request for a stream that `auth` makes of a handshake: its `token` is the authorization, the rest is the query.
fn handshake(of: &Parts, auth: Option<Value>) -> Result<Parts, Problem> {
    let mut asked = match auth {
        Some(Value::Object(asked)) => asked,
        _ => Map::new(),
    };
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.headers = of.headers.clone();
    if let Some(Value::String(token)) = asked.remove("token") {
        let bearer = HeaderValue::try_from(format!("Bearer {token}"));
        parts.headers.insert(AUTHORIZATION, bearer.map_err(|_| Problem::unauthorized("the token is none"))?);
    }
    asked.retain(|_, value| !value.is_null());
    let query = serde_urlencoded::to_string(&asked).map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "query.invalid", "auth has texts: token or ticket, and filters")
    })?;
    parts.uri = format!("/?{query}").parse().map_err(|_| Problem::not_found("stream"))?;
    Ok(parts)
}

/// Tells a client what happens, until it leaves or may hear no more.
fn serve(app: App, socket: SocketRef, io: SocketIo) {
    let opened = socket.extensions.remove::<Opened>();
    let opened = opened.and_then(|Opened(opened)| opened.lock().ok()?.take());
    let Some((watcher, live)) = opened else { return drop(socket.disconnect()) };
    let (sender, said) = mpsc::channel(SAID);
    for action in ["subscribe", "unsubscribe"] {
        let sender = sender.clone();
        socket.on(action, async move |Data(asked): Data<Value>| {
            // Who says more than can be heard is not heard.
            let _ = sender.try_send((action, asked));
        });
    }
    let gone = tokio_util::sync::CancellationToken::new();
    let left = gone.clone();
    socket.on_disconnect(async move || left.cancel());
    tokio::spawn(async move {
        let mut talk = Talk { app, socket, watcher, live, said, subscriptions: Some(Vec::new()) };
        let ended = gone.run_until_cancelled(talk.goes_on()).await;
        match ended {
            // The transport ends with the service, and clients come again by themselves.
            Some(End::Away) if talk.app.is_draining() => io.close().await,
            Some(_) => drop(talk.socket.disconnect()),
            None => {}
        }
    });
}

struct Talk {
    app: App,
    socket: SocketRef,
    watcher: Watcher,
    live: Live,
    said: mpsc::Receiver<(&'static str, Value)>,
    subscriptions: Option<Vec<Filter>>,
}

impl Talk {
    async fn goes_on(&mut self) -> End {
        loop {
            tokio::select! {
                message = self.live.next() => match message {
                    Ok(message) => {
                        if self.tell(&message).await.is_none() {
                            return End::SignedOut;
                        }
                    }
                    Err(End::Away) if !self.app.is_draining() => match self.again().await {
                        Ok(live) => self.live = live,
                        Err(_) => return End::Away,
                    },
                    Err(end) => return end,
                },
                Some((action, asked)) = self.said.recv() => if self.hear(action, asked).await.is_none() {
                    return End::SignedOut;
                },
            }
        }
    }

    /// The stream, opened again where it ended: the events actor began a new life.
    async fn again(&self) -> Result<Live, Problem> {
        sleep(AGAIN).await;
        let subscribed = self.subscriptions.clone().filter(|filters| !filters.is_empty());
        let filters = subscribed.unwrap_or_else(|| vec![self.watcher.query.filter()]);
        self.watcher.clone().watch(&self.app, filters).await
    }

    async fn tell(&mut self, message: &Message) -> Option<()> {
        if let Some(place) = message.place {
            self.watcher.goes_on_after(place);
        }
        let json: &RawValue = serde_json::from_str(&message.json).ok()?;
        self.emit(message.topic.as_str(), json).await
    }

    async fn hear(&mut self, action: &str, mut asked: Value) -> Option<()> {
        if let Some(asked) = asked.as_object_mut() {
            asked.insert("action".to_owned(), json!(action));
        }
        let answer = match hear(&asked.to_string(), &self.live, &mut self.subscriptions) {
            Heard::Nothing => return Some(()),
            Heard::TooMuch => return None,
            Heard::Answer(answer) => answer,
        };
        let answer: Value = serde_json::from_str(&answer).ok()?;
        let name = answer["type"].as_str().unwrap_or("error").to_owned();
        self.emit(&name, &answer).await
    }

    /// Sends an event; nothing when the client is gone, or takes nothing for too long.
    async fn emit(&self, name: &str, data: &(impl serde::Serialize + ?Sized)) -> Option<()> {
        let until = Instant::now() + STALLED;
        loop {
            match self.socket.emit(name, data) {
                Ok(()) => return Some(()),
                Err(SendError::Socket(SocketError::InternalChannelFull)) if Instant::now() < until => {
                    sleep(AGAIN).await
                }
                Err(_) => return None,
            }
        }
    }
}
