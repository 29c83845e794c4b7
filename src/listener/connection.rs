//! One connection: served until it ends, is silent for too long, or the service stops.

use std::{
    convert::Infallible,
    error::Error,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::Extension;
use hyper::{
    Request, Response,
    body::{Body, Incoming},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use safire_metrics::Gauge;
use safire_web::Peer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service, ServiceExt};

use super::{
    activity::{Activity, Progressing, Silence},
    admission::Place,
};

/// Time that a client may take nothing of what it is sent: then its connection is closed.
const WRITE_TIMEOUT: Duration = safire_actors::events::STALLED;

/// Time that a silent connection is still there after its client was told that it ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// The parts that all connections of a listener share.
#[derive(Clone)]
pub(super) struct Server {
    http: Builder<TokioExecutor>,
    silence: Silence,
    open: Gauge,
    /// Connections end when their requests do.
    pub closing: CancellationToken,
}

impl Server {
    pub fn new(silence: Silence, open: Gauge) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(silence.first);
        http.http2().timer(TokioTimer::new()).keep_alive_interval(silence.first);
        Self { http, silence, open, closing: CancellationToken::new() }
    }

    /// Serves a connection to its end.
    pub async fn serve<S, B>(self, stream: TcpStream, peer: Peer, place: Place, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
    {
        let activity = Activity::new();
        let service = Extension(peer).layer(observed(service, activity.clone()));
        let stream = TokioIo::new(Held::new(stream, place, self.open));
        let connection = self.http.serve_connection_with_upgrades(stream, TowerToHyperService::new(service));
        tokio::pin!(connection);
        // A connection that breaks is its client's concern.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = activity.silence(self.silence) => {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(FAREWELL, connection).await;
            }
            () = self.closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}

/// A service whose requests and answers are the activity of their connection.
fn observed<S, B>(
    service: S,
    activity: Activity,
) -> impl Service<Request<Incoming>, Response = Response<Progressing<B>>, Error = Infallible, Future: Send> + Clone
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    service.map_future(move |answer| {
        let pending = activity.request();
        async move { Ok(answer.await?.map(|body| pending.answer(body))) }
    })
}

/// A stream that keeps its place until it is closed: after a change of protocol, too.
struct Held {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    open: Gauge,
    _place: Place,
}

impl Held {
    fn new(stream: TcpStream, place: Place, open: Gauge) -> Self {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        open.increment(1.0);
        Self { stream: Box::pin(stream), open, _place: place }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(context, into)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
