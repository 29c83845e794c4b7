//! Readers of live streams.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, Message, client::IntoClientRequest},
};

use crate::{
    app::{Client, PATIENCE},
    contract::Served,
};

/// A stream of server-sent events.
pub struct Sse {
    response: reqwest::Response,
    text: String,
    /// The id of the last event that had one.
    pub last_id: Option<String>,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub id: Option<String>,
    pub topic: String,
    pub data: Value,
}

impl Told {
    /// What happened, and in which run.
    pub fn event(&self) -> (&str, &str) {
        (self.data["event"].as_str().unwrap_or_default(), self.data["run_id"].as_str().unwrap_or_default())
    }
}

impl Sse {
    /// Opens a stream, which is let in.
    pub async fn open(client: &Client, path: &str) -> Self {
        Self::resume(client, path, None).await.expect("the stream opens")
    }

    /// Opens a stream that goes on after an event.
    pub async fn resume(client: &Client, path: &str, last_id: Option<&str>) -> reqwest::Result<Self> {
        let response = client.open(path, last_id).await?.error_for_status()?;
        Ok(Self { response, text: String::new(), last_id: last_id.map(str::to_owned) })
    }

    /// The next event; `None` when the stream has ended, however it did.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let told = self::told(block);
                self.text = rest.to_owned();
                if let Some(told) = told {
                    self.last_id = told.id.clone().or(self.last_id.take());
                    return Some(told);
                }
            }
            let chunk = self.response.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    /// The next event, which comes soon.
    pub async fn soon(&mut self) -> Told {
        timeout(PATIENCE, self.next()).await.expect("an event in time").expect("the stream goes on")
    }

    /// The next event that is no progress.
    pub async fn happens(&mut self) -> Told {
        loop {
            let told = self.soon().await;
            if told.topic != "progress_update" {
                return told;
            }
        }
    }

    /// Reads until that happened in that run. A stream begins a moment before it is opened.
    pub async fn of(&mut self, run: &str, event: &str) -> Told {
        loop {
            let told = self.soon().await;
            if told.event() == (event, run) {
                return told;
            }
        }
    }

    /// Reads until something is told of that scenario.
    pub async fn until(&mut self, scenario: &str) {
        while self.soon().await.data["scenario_id"] != scenario {}
    }

    /// Whether something is told of that scenario before nothing is told for a moment.
    pub async fn has_been_told(&mut self, scenario: &str) -> bool {
        while let Ok(Some(told)) = timeout(Duration::from_millis(300), self.next()).await {
            if told.data["scenario_id"] == scenario {
                return true;
            }
        }
        false
    }

    /// Reads until the stream ends.
    pub async fn ends(&mut self) {
        let end = async { while self.next().await.is_some() {} };
        timeout(PATIENCE, end).await.expect("the stream ends");
    }

    /// Whether nothing comes for so long.
    pub async fn is_quiet(&mut self, time: Duration) -> bool {
        timeout(time, self.next()).await.is_err()
    }
}

/// An event, if it is more than a comment.
fn told(block: &str) -> Option<Told> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let data = serde_json::from_str(field("data")?).expect("JSON");
    Some(Told { id: field("id").map(str::to_owned), topic: field("event")?.to_owned(), data })
}

/// A WebSocket.
pub struct Ws(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Ws {
    /// Opens one, with these headers.
    pub async fn try_open(client: &Client, path: &str, headers: &[(&'static str, &str)]) -> tungstenite::Result<Self> {
        let mut request = format!("ws://{}/api/v1{path}", client.host()).into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header's value"));
        }
        if let Some(token) = &client.token {
            let bearer = format!("Bearer {token}").parse().expect("a header's value");
            request.headers_mut().insert("authorization", bearer);
        }
        let opened = tokio_tungstenite::connect_async(request).await;
        if let Err(tungstenite::Error::Http(answer)) = &opened {
            let problem: Value =
                serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap_or_default();
            let path = format!("/api/v1{path}");
            let served = Served { method: &Method::GET, path: &path, status: answer.status().as_u16() };
            served.is_described(problem["code"].as_str());
        }
        Ok(Self(opened?.0))
    }

    /// Opens one, which is let in.
    pub async fn open(client: &Client, path: &str) -> Self {
        Self::try_open(client, path, &[]).await.expect("the WebSocket opens")
    }

    pub async fn say(&mut self, message: impl Into<Message>) {
        self.0.send(message.into()).await.expect("it is heard");
    }

    /// The next message; the close code when it was closed, 0 when it broke.
    pub async fn next(&mut self) -> Result<Value, u16> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(0, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(0),
            }
        }
    }

    /// The next message, which comes soon and is no progress.
    pub async fn happens(&mut self) -> Value {
        loop {
            let message = timeout(PATIENCE, self.next()).await.expect("a message in time").expect("it is open");
            if message["type"] != "progress_update" {
                return message;
            }
        }
    }

    /// Reads until it is closed; returns the code.
    pub async fn closes(&mut self) -> u16 {
        let end = async {
            loop {
                if let Err(code) = self.next().await {
                    return code;
                }
            }
        };
        timeout(PATIENCE, end).await.expect("it is closed")
    }
}
