//! Redis is killed, frozen, emptied, and replaced by somebody who talks nonsense: no request fails.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::json;
use tokio::task::block_in_place;

use crate::{
    driver::{Crowd, Hand},
    server::PATIENCE,
    world::{World, dose},
};

/// How somebody answers who has the port of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// With something that is not the protocol.
    Nonsense,
    /// With an answer that never ends, a byte now and then.
    Tarpit,
}

/// Somebody who has the port of Redis.
struct Impostor {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Impostor {
    fn at(port: u16, manner: Manner) -> Self {
        let begun = Instant::now();
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", port)) {
                Ok(listener) => break listener,
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
            }
        };
        listener.set_nonblocking(true).expect("it can be");
        let (stop, asked) = (Arc::default(), Arc::default());
        let seen = (Arc::clone(&stop), Arc::clone(&asked));
        let thread = std::thread::spawn(move || answer(&listener, manner, &seen.0, &seen.1));
        Self { stop, asked, thread }
    }

    /// Waits until somebody has asked.
    async fn is_asked(&self) {
        let begun = Instant::now();
        while self.asked.load(Ordering::Relaxed) == 0 {
            assert!(begun.elapsed() < PATIENCE, "the service never asks");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Goes away; returns how often it was asked.
    fn leave(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        block_in_place(|| self.thread.join()).expect("no panic");
        self.asked.load(Ordering::Relaxed)
    }
}

fn answer(listener: &TcpListener, manner: Manner, stop: &AtomicBool, asked: &AtomicU64) {
    let mut open = Vec::new();
    for tick in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true).expect("it can be");
            open.push(stream);
        }
        let mut buffer = [0; 4096];
        for stream in &mut open {
            let is_asked = matches!(stream.read(&mut buffer), Ok(1..));
            asked.fetch_add(is_asked.into(), Ordering::Relaxed);
            let _ = match manner {
                Manner::Nonsense if is_asked => stream.write_all(b"$-7\r\nHTTP/1.1 200 \x00\xff\r\n*999999999\r\n"),
                // The beginning of a simple string, and more and more of it.
                Manner::Tarpit if tick % 50 == 0 => stream.write_all(b"+"),
                _ => Ok(()),
            };
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An administrator who changes a price and looks, again and again; returns how often.
async fn writes_and_reads(admin: Hand, stop: Arc<AtomicBool>) -> u64 {
    let mut rounds = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        rounds += 1;
        let price = json!({ "price": { "value": 500 + rounds, "unit": "USD/t" } });
        let put = admin.ask(Method::PUT, "/products/jet/price", Some(price), None).await;
        assert_eq!(put.status, Some(200), "{put:?}");
        let read = admin.ask(Method::GET, "/products", None, None).await;
        let text = read.json.to_string();
        assert!(text.contains(&(500 + rounds).to_string()), "after {} was written: {text}", 500 + rounds);
    }
    rounds
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and Redis: run ./test"]
async fn whatever_becomes_of_redis_no_request_fails_and_no_read_is_stale() {
    let mut world = World::on_postgres("redis").with_redis();
    let place = world.place(&[]);
    let mut server = world.start(&place).await;
    world.audit().await;
    let ana = world.analyst(&[&place]).await;
    let plants = world.plants(&ana, 50).await;
    let nobody = world.nobody(&[&place]);
    let login = json!({ "email": "admin@safire.local", "password": "the administrator's password" });
    let token = nobody.must(Method::POST, "/auth/login", Some(login), 200).await;
    let admin = nobody.with_token(token["access_token"].as_str().expect("a token")).named("admin");
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(writes_and_reads(admin, Arc::clone(&stop)));
    let crowd = Crowd::at_work(&ana, &plants, 10, world.seed);
    let lasts = dose(Duration::from_secs(2), Duration::from_secs(60));

    crowd.accepts(50).await;
    for _ in 0..20 {
        world.redis().flush();
        crowd.accepts(2).await;
    }
    world.redis().stop();
    tokio::time::sleep(lasts).await;
    crowd.accepts(20).await;
    world.redis().cont();
    crowd.accepts(20).await;
    world.redis().kill();
    tokio::time::sleep(lasts).await;
    crowd.accepts(20).await;
    let mut asked = Vec::new();
    for manner in [Manner::Nonsense, Manner::Tarpit] {
        let port = world.redis().port();
        let impostor = block_in_place(|| Impostor::at(port, manner));
        tokio::time::sleep(lasts).await;
        impostor.is_asked().await;
        crowd.accepts(20).await;
        asked.push(impostor.leave());
    }
    block_in_place(|| world.redis().restart());
    crowd.accepts(20).await;
    crowd.go_home().await;
    stop.store(true, Ordering::Relaxed);
    let rounds = writer.await.expect("no stale read");
    world.comes_to_rest().await;

    let entries = world.history.entries();
    let began = entries.iter().position(|entry| entry.who == "admin").expect("it began");
    let failed: Vec<_> =
        entries[began..].iter().filter(|entry| entry.status.is_none_or(|status| status >= 500)).take(5).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let figures = world.check().await;
    eprintln!(
        "redis: {} requests, {rounds} writes read back; nonsense and the tarpit were asked {asked:?} times",
        figures.requests
    );
    assert!(rounds > 20);
    assert_eq!(server.says("will be restarted"), 0);
    server.signal("TERM");
    assert!(server.end().await.0.success());
}
