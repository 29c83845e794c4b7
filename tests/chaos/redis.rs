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

/// Answers whatever it is told with something that is not the protocol.
fn talk_nonsense(port: u16, stop: &Arc<AtomicBool>, answered: &Arc<AtomicU64>) -> JoinHandle<()> {
    let begun = Instant::now();
    let listener = loop {
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(listener) => break listener,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
    };
    listener.set_nonblocking(true).expect("it can be");
    let (stop, answered) = (Arc::clone(stop), Arc::clone(answered));
    std::thread::spawn(move || {
        let mut open = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            if let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true).expect("it can be");
                open.push(stream);
            }
            let mut buffer = [0; 4096];
            for stream in &mut open {
                if matches!(stream.read(&mut buffer), Ok(1..)) {
                    let _ = stream.write_all(b"$-7\r\nHTTP/1.1 200 \x00\xff\r\n*999999999\r\n");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    })
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
    let quiet = Arc::new(AtomicBool::new(false));
    let port = world.redis().port();
    let answered = Arc::new(AtomicU64::new(0));
    let nonsense = block_in_place(|| talk_nonsense(port, &quiet, &answered));
    tokio::time::sleep(lasts).await;
    let begun = Instant::now();
    while answered.load(Ordering::Relaxed) == 0 {
        assert!(begun.elapsed() < PATIENCE, "the service never asks who talks nonsense");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    crowd.accepts(20).await;
    quiet.store(true, Ordering::Relaxed);
    block_in_place(|| nonsense.join()).expect("no panic");
    let answered = answered.load(Ordering::Relaxed);
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
    eprintln!("redis: {} requests, {rounds} writes read back, {answered} times nonsense", figures.requests);
    assert!(answered > 0 && rounds > 20);
    assert_eq!(server.says("will be restarted"), 0);
    server.signal("TERM");
    assert!(server.end().await.0.success());
}
