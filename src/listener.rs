//! The HTTP listener: hyper with time limits, so that a client that sends nothing cannot stay.

use std::{convert::Infallible, error::Error, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Extension,
    http::{HeaderValue, Request, Response, header::CONNECTION},
};
use hyper::body::{Body, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use safire_metrics::Gauge;
use safire_web::Peer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service, ServiceBuilder};

/// What one client, and all of them, may take.
#[derive(Clone)]
pub(crate) struct Limits {
    /// How long a client may take over its headers.
    pub header_timeout: Duration,
    /// Connections at once; more wait at the door.
    pub connections: usize,
    /// Where connections that are open are counted.
    pub open: Gauge,
    /// How long connections are served on when it is time to stop.
    pub linger: Duration,
}

/// How long a client may take nothing of what it is sent: then its connection is closed.
const WRITE_TIMEOUT: Duration = safire_actors::events::STALLED;

/// Serves until `stop`, then lets the requests that were accepted finish within `patience`.
///
/// A connection that is closed while a request is on its way to it resets that request. So connections
/// are served on for a moment, each answer with the word that it was the last, and whoever stands at the
/// door is let in; what is idle after that is closed.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    stop: CancellationToken,
    patience: Duration,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut server = Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    server.http2().timer(TokioTimer::new()).keep_alive_interval(limits.header_timeout);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    let service = ServiceBuilder::new().map_response(saying_the_last(stop.clone())).service(service);

    let serve = |(stream, peer, place): Accepted| {
        let service = TowerToHyperService::new(Extension(Peer(peer)).layer(service.clone()));
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let stream = TokioIo::new(Box::pin(stream));
        let connection = server.serve_connection_with_upgrades(stream, service).into_owned();
        let connection = graceful.watch(connection);
        let open = limits.open.clone();
        open.increment(1.0);
        tokio::spawn(async move {
            // A connection that breaks is its client's concern.
            let _ = connection.await;
            open.decrement(1.0);
            drop(place);
        });
    };
    while let Some(accepted) = accept(&listener, &places, &stop).await {
        serve(accepted);
    }
    at_the_door(listener, &places).into_iter().for_each(serve);
    tokio::time::sleep(limits.linger).await;
    if timeout(patience, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not end in time");
    }
}

/// Once it is time to stop, every answer ends its connection. From one of HTTP/2, which is told in its own
/// way, the header is taken away again.
fn saying_the_last<B>(stop: CancellationToken) -> impl Fn(Response<B>) -> Response<B> + Clone {
    move |mut response| {
        if stop.is_cancelled() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

type Accepted = (TcpStream, IpAddr, tokio::sync::OwnedSemaphorePermit);

/// Closes the door; returns those who stood there. The system is asked, not what the runtime last heard of it.
fn at_the_door(listener: TcpListener, places: &Arc<Semaphore>) -> Vec<Accepted> {
    let mut all = Vec::new();
    let Ok(listener) = listener.into_std() else { return all };
    while let (Ok(place), Ok((stream, peer))) = (Arc::clone(places).try_acquire_owned(), listener.accept()) {
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            let _ = stream.set_nodelay(true);
            all.push((stream, peer.ip(), place));
        }
    }
    all
}

/// The next connection; nothing when it is time to stop.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>, stop: &CancellationToken) -> Option<Accepted> {
    let next = async {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let _ = stream.set_nodelay(true);
                    return Some((stream, peer.ip(), place));
                }
                // Out of file descriptors, or a client that left: neither is a reason to stop.
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    tokio::select! {
        accepted = next => accepted,
        () = stop.cancelled() => None,
    }
}
