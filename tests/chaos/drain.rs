//! Stopping with runs and requests in flight.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    driver::Crowd,
    server::PATIENCE,
    world::{World, dose, promised},
};

async fn stops_in_order(world: World) {
    let place = world.place(&[]);
    let mut server = world.start(&place).await;
    world.audit().await;
    let ana = world.analyst(&[&place]).await;
    let plants = world.plants(&ana, 100).await;
    let crowd = Crowd::at_work(&ana, &plants, 50, world.seed);
    crowd.accepts(100).await;
    // All at once, each on a connection of its own: they are on their way when the signal comes.
    let (burst, reader) = (dose(200, 10_000), ana.named("reader").without_reuse());
    let readers: Vec<_> = (0..burst)
        .map(|number| {
            let (reader, path) = (reader.clone(), format!("/scenarios/{}", plants[number % plants.len()]));
            tokio::spawn(async move { reader.ask(Method::GET, &path, None, None).await })
        })
        .collect();
    let answered = || world.history.entries().iter().filter(|entry| entry.who == "reader").count();
    let begun = Instant::now();
    while answered() < 20 {
        assert!(begun.elapsed() < PATIENCE, "nobody is answered");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let at = world.history.elapsed();
    server.signal("TERM");
    let (status, took) = server.end().await;
    let replies = join_all(readers).await;
    crowd.go_home().await;

    assert_eq!(status.code(), Some(0), "{:#?}", server.log());
    assert!(took <= promised(Duration::from_secs(30)), "it took {took:?}");
    let (mut whole, mut turned_away) = (0, 0);
    for reply in replies {
        let reply = reply.expect("nobody panics");
        match (reply.status, reply.why.as_deref()) {
            (Some(200 | 503), _) => whole += 1,
            // The door was closed already.
            (None, Some("no connection")) => turned_away += 1,
            _ => panic!("an accepted request was not answered: {reply:?}"),
        }
    }
    let broken = |entry: &&crate::history::Entry| entry.why.as_deref() == Some("the connection broke");
    let entries = world.history.entries();
    let before: Vec<_> =
        entries.iter().filter(broken).filter(|entry| u128::from(entry.at_ms) < at.as_millis()).collect();
    assert!(before.is_empty(), "asked before the signal, and reset: {before:#?}");

    // The next start ends what is left.
    let mut next = world.start(&place).await;
    world.comes_to_rest().await;
    let figures = world.check().await;
    eprintln!("{}: exit 0 after {took:?}; {whole} of {burst} answered, {turned_away} turned away", world.name);
    assert!(figures.acknowledged >= 100 && whole >= 20);
    next.signal("TERM");
    assert!(next.end().await.0.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_resets_no_accepted_request_on_sqlite() {
    stops_in_order(World::on_sqlite("drain-sqlite")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn a_stop_resets_no_accepted_request_on_postgres() {
    stops_in_order(World::on_postgres("drain-postgres")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_process_at_once() {
    let world = World::on_sqlite("second-signal");
    let place = world.place(&[]);
    let mut server = world.start(&place).await;
    // A request that is never sent to its end holds up the drain.
    let mut client = TcpStream::connect(place.address()).await.expect("it listens");
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: safire\r\ncontent-type: application/json\r\n\
                content-length: 100\r\n\r\n{";
    client.write_all(head.as_bytes()).await.expect("it is sent");
    world.nobody(&[&place]).must(Method::GET, "/health/ready", None, 200).await;
    server.signal("TERM");
    let begun = Instant::now();
    while server.says("draining") == 0 {
        assert!(begun.elapsed() < PATIENCE, "it does not drain");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let probe = world.nobody(&[&place]).ask(Method::GET, "/health/ready", None, None).await;
    let ready_no_more = begun.elapsed();
    assert_ne!(probe.status, Some(200));
    assert!(ready_no_more <= promised(Duration::from_secs(1)), "ready until {ready_no_more:?}");
    assert_eq!(server.ended(), None, "the drain waits for nobody");
    server.signal("TERM");
    let (status, took) = server.end().await;
    eprintln!("second-signal: not ready after {ready_no_more:?}, ended {took:?} after the second, {status}");
    assert!(took < promised(Duration::from_secs(1)) && status.code() == Some(1), "{status} after {took:?}");
}
