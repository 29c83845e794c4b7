//! Ways to a server: one on which replies are lost, and one that can be cut.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use rand::{RngExt, rngs::StdRng};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// Passes on every request, and drops half of the replies after the server has given them.
pub struct LosesReplies {
    address: SocketAddr,
    lost: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl LosesReplies {
    pub async fn before(server: (&'static str, u16), rng: StdRng) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (lost, rng) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(rng)));
        let counted = Arc::clone(&lost);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (lost, rng) = (Arc::clone(&counted), Arc::clone(&rng));
                tokio::spawn(async move {
                    let _ = pass(client, server, &lost, &rng).await;
                });
            }
        });
        Self { address, lost, task }
    }

    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for LosesReplies {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    mut client: TcpStream,
    server: (&'static str, u16),
    lost: &AtomicU64,
    rng: &Mutex<StdRng>,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let requests = tokio::io::copy(&mut from_client, &mut to_server);
    let replies = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = from_server.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            if rng.lock().expect("nobody panics").random() {
                lost.fetch_add(1, Ordering::Relaxed);
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
            to_client.write_all(&buffer[..length]).await?;
        }
    };
    tokio::select! {
        ended = requests => ended.map(drop),
        ended = replies => ended,
    }
}

/// What becomes of those who go through a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// They pass.
    Open,
    /// Nothing arrives and nobody is told, not even that a connection has ended; all of it arrives later.
    Silent,
    /// Their connections end, and so do new ones.
    Cut,
}

/// A way to a server that can be cut, while others reach the server.
pub struct Gate {
    address: SocketAddr,
    way: watch::Sender<Way>,
    task: JoinHandle<()>,
}

impl Gate {
    pub async fn before(server: (&'static str, u16)) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (way, seen) = watch::channel(Way::Open);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut seen, through) = (seen.clone(), through(client, server, seen.clone()));
                tokio::spawn(async move {
                    tokio::select! {
                        _ = through => {}
                        _ = seen.wait_for(|way| *way == Way::Cut) => {}
                    }
                });
            }
        });
        Self { address, way, task }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn through(
    mut client: TcpStream,
    server: (&'static str, u16),
    mut way: watch::Receiver<Way>,
) -> std::io::Result<()> {
    opens(&mut way).await?;
    let mut server = TcpStream::connect(server).await?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::select! {
        ended = carry(from_client, to_server, way.clone()) => ended,
        ended = carry(from_server, to_client, way) => ended,
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut way: watch::Receiver<Way>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = from.read(&mut buffer).await?;
        opens(&mut way).await?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length]).await?;
    }
}

async fn opens(way: &mut watch::Receiver<Way>) -> std::io::Result<()> {
    let opened = way.wait_for(|way| *way == Way::Open).await;
    opened.map(drop).map_err(|_| std::io::ErrorKind::ConnectionAborted.into())
}
