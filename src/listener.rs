//! The HTTP listener: hyper with limits of time, number and silence, so that a client that sends nothing cannot
//! stay, and many of one client leave room for others.

mod activity;
mod admission;
mod connection;

use std::{convert::Infallible, error::Error, net::IpAddr, time::Duration};

use axum::http::{HeaderValue, Request, Response, header::CONNECTION};
use hyper::body::{Body, Incoming};
use ipnet::IpNet;
use safire_metrics::{Counter, Gauge};
use safire_web::Peer;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceBuilder};

use self::{
    activity::Silence,
    admission::{Admission, Place, Refused},
    connection::Server,
};

/// What one client, and all of them, may take.
#[derive(Clone)]
pub(crate) struct Limits {
    /// Time from a connection's acceptance to the end of its first request's headers, and for the headers of
    /// each further request.
    pub header_timeout: Duration,
    /// Time that a connection stays open without any progress.
    pub idle_timeout: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once of one address.
    pub per_address: usize,
    /// Networks whose addresses may have any number of connections.
    pub exempt: Vec<IpNet>,
    /// Open connections.
    pub open: Gauge,
    /// Connections that were closed at once, because their address had too many.
    pub refused: Counter,
    /// How long connections are served on when it is time to stop.
    pub linger: Duration,
}

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
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    let silence = Silence { first: limits.header_timeout, idle: limits.idle_timeout };
    let server = Server::new(silence, limits.open.clone());
    let service = ServiceBuilder::new().map_response(saying_the_last(stop.clone())).service(service);
    let connections = TaskTracker::new();
    let door =
        Door { places: Admission::new(limits.connections, limits.per_address, limits.exempt), refused: limits.refused };

    let serve = |(stream, peer, place): Accepted| {
        let peer = Peer { address: peer, is_reserved: place.is_reserved };
        connections.spawn(server.clone().serve(stream, peer, place, service.clone()));
    };
    while let Some(accepted) = door.accept(&listener, &stop).await {
        serve(accepted);
    }
    door.close(listener).into_iter().for_each(serve);
    tokio::time::sleep(limits.linger).await;
    server.closing.cancel();
    connections.close();
    if timeout(patience, connections.wait()).await.is_err() {
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

type Accepted = (TcpStream, IpAddr, Place);

/// The places of the listener, and who is turned away.
struct Door {
    places: Admission,
    refused: Counter,
}

impl Door {
    /// The next connection that has a place; nothing when it is time to stop.
    async fn accept(&self, listener: &TcpListener, stop: &CancellationToken) -> Option<Accepted> {
        let next = async {
            loop {
                let (stream, peer) = incoming(listener).await;
                match self.place(peer).await {
                    Ok(place) => return (stream, peer, place),
                    Err(Refused) => self.refused.increment(1),
                }
            }
        };
        stop.run_until_cancelled(next).await
    }

    /// A place for a connection from `peer`, as soon as there is one.
    async fn place(&self, peer: IpAddr) -> Result<Place, Refused> {
        loop {
            if let Some(place) = self.places.admit(peer)? {
                return Ok(place);
            }
            self.places.vacancy().await;
        }
    }

    /// Closes the listener; returns the connections that waited to be accepted. The system is asked for them, not
    /// what the runtime last heard of it.
    fn close(&self, listener: TcpListener) -> Vec<Accepted> {
        let mut all = Vec::new();
        let Ok(listener) = listener.into_std() else { return all };
        while let Ok((stream, peer)) = listener.accept() {
            let Ok(Some(place)) = self.places.admit(peer.ip()) else { continue };
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                let _ = stream.set_nodelay(true);
                all.push((stream, peer.ip(), place));
            }
        }
        all
    }
}

/// The next connection.
async fn incoming(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                return (stream, peer.ip());
            }
            // Out of file descriptors, or a client that left: neither is a reason to stop.
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
