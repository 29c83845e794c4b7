//! A way to a server on which replies are lost.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use rand::{RngExt, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
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
