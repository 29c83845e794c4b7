//! Clients that drip, leave, and lose their replies.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use futures::{StreamExt, future::join_all, stream};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use reqwest::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    driver::of_capacity,
    history::percentile,
    proxy::LosesReplies,
    server::PATIENCE,
    world::{World, dose, promised},
};

/// Sends `head`, then a byte now and again, until the server has had enough; returns what it answered and
/// after how long.
async fn drip(address: (&'static str, u16), head: &str) -> (String, Duration) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let begun = Instant::now();
    let (mut reader, mut writer) = stream.split();
    let writes = async {
        writer.write_all(head.as_bytes()).await?;
        loop {
            tokio::time::sleep(Duration::from_millis(700)).await;
            writer.write_all(b"a").await?;
        }
    };
    let mut answer = Vec::new();
    let reads = async {
        let mut buffer = [0; 4096];
        loop {
            match reader.read(&mut buffer).await {
                Ok(0) => return,
                Ok(length) => answer.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let mut reads = std::pin::pin!(reads);
    tokio::select! {
        () = &mut reads => {}
        ended = writes => {
            // It was closed while something was on its way.
            let _: std::io::Result<()> = ended;
            let _ = timeout(PATIENCE, reads).await;
        }
    }
    (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_drip_are_closed_and_hold_up_nobody() {
    let world = World::on_sqlite("drips");
    let place = world.place(&[]);
    let mut server = world.start(&place).await;
    let (loris, bodies) = (dose(300, 2000), dose(50, 200));
    let address = place.address();
    let headers = "GET /health/ready HTTP/1.1\r\nhost: safire\r\nx-drip: ";
    let body = "POST /api/v1/auth/login HTTP/1.1\r\nhost: safire\r\ncontent-type: application/json\r\n\
                content-length: 1000\r\n\r\n";
    let dripping: Vec<_> = (0..loris + bodies)
        .map(|number| tokio::spawn(drip(address, if number < loris { headers } else { body })))
        .collect();
    let probe = world.nobody(&[&place]).named("probe");
    let mut took = Vec::new();
    while dripping.iter().any(|one| !one.is_finished()) {
        let reply = probe.ask(Method::GET, "/health/ready", None, None).await;
        assert_eq!(reply.status, Some(200), "{reply:?}");
        took.push(reply.took);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (mut closed, mut timed_out) = (Duration::ZERO, Duration::ZERO);
    for (number, one) in join_all(dripping).await.into_iter().enumerate() {
        let (answer, after) = one.expect("nobody panics");
        if number < loris {
            closed = closed.max(after);
        } else {
            assert!(answer.starts_with("HTTP/1.1 408"), "{answer:?}");
            timed_out = timed_out.max(after);
        }
    }
    let (asked, p99) = (took.len(), percentile(&mut took, 0.99));
    eprintln!(
        "drips: {loris} headers closed within {closed:?}, {bodies} bodies 408 within {timed_out:?}; \
         readiness p99 {p99:?} of {asked}"
    );
    assert!(closed <= promised(Duration::from_secs(15)) && timed_out <= promised(Duration::from_secs(30)));
    assert!(asked > 100 && p99 <= promised(Duration::from_millis(50)), "readiness p99 {p99:?} of {asked}");
    server.signal("TERM");
    assert!(server.end().await.0.success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn clients_that_leave_take_nothing_with_them() {
    let world = World::on_postgres("leavers");
    let place = world.place(&[]);
    let mut server = world.start(&place).await;
    world.audit().await;
    let ana = world.analyst(&[&place]).await;
    let plants = world.plants(&ana, 50).await;
    let leavers = dose(1000, 10_000);
    let mut rng = world.rng();
    let asked: Vec<_> =
        (0..leavers).map(|_| (rng.random_range(0..plants.len()), rng.random_range(0..300_u64))).collect();
    let left = stream::iter(asked)
        .map(|(plant, patience)| {
            let (ana, plant) = (ana.clone(), plants[plant].clone());
            async move {
                let asks = async {
                    // Some leave before their edit is done, some after.
                    if patience % 2 == 0 {
                        ana.recalculate(&plant, 1000.0 + patience as f64, None).await;
                    } else {
                        ana.ask(Method::POST, &format!("/scenarios/{plant}/calculate"), None, None).await;
                    }
                };
                timeout(Duration::from_millis(patience), asks).await.is_err()
            }
        })
        .buffer_unordered(100)
        .filter(|&left| std::future::ready(left))
        .count()
        .await;
    assert!(left * 4 > leavers, "only {left} of {leavers} left");
    let begun = Instant::now();
    loop {
        let health = ana.ask(Method::GET, "/health", None, None).await;
        let (pool, calculations) = (&health.json["database"]["pool"], &health.json["calculations"]);
        let idle = pool["checked_out"] == 0 && pool["waiters"] == 0 && calculations["free"] == calculations["capacity"];
        if health.status == Some(200) && idle {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "never idle again: {health:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    eprintln!("leavers: {left} of {leavers} left; idle {:?} after the last", begun.elapsed());
    ana.must(Method::PATCH, &format!("/scenarios/{}", plants[0]), Some(of_capacity(777.0)), 200).await;
    ana.must(Method::POST, &format!("/scenarios/{}/calculate", plants[0]), None, 202).await;
    world.comes_to_rest().await;
    let figures = world.check().await;
    assert!(figures.runs > 10, "hardly a request came through: {figures}");
    server.signal("TERM");
    assert!(server.end().await.0.success());
}

async fn loses_replies(world: World) {
    let place = world.place(&[]);
    let mut server = world.start(&place).await;
    world.audit().await;
    let ana = world.analyst(&[&place]).await;
    let wanted = dose(200, 1000);
    let plants = world.plants(&ana, wanted).await;
    let way = LosesReplies::before(place.address(), StdRng::seed_from_u64(world.seed)).await;
    let careless = ana.asking(vec![way.base()]).without_reuse();
    stream::iter(&plants)
        .for_each_concurrent(16, async |plant| {
            let path = format!("/scenarios/{plant}/calculate");
            for attempt in 1.. {
                let reply = careless.ask(Method::POST, &path, None, Some(plant)).await;
                match reply.status {
                    Some(200 | 202) => return,
                    // The first is still on its way, or its reply was lost.
                    Some(409) | None => assert!(attempt < 100, "{reply:?}"),
                    // The machine is busy with something else: whoever has a key asks again, as told.
                    Some(503) if reply.retry_after.is_some() => assert!(attempt < 100, "{reply:?}"),
                    _ => panic!("{reply:?}"),
                }
            }
        })
        .await;
    world.comes_to_rest().await;
    let figures = world.check().await;
    eprintln!("{}: {wanted} keyed requests, {} replies lost, {} runs", world.name, way.lost(), figures.runs);
    assert_eq!((figures.runs, figures.acknowledged, figures.succeeded), (wanted, wanted, wanted));
    assert!(way.lost() as usize * 3 > wanted, "few replies were lost");
    server.signal("TERM");
    assert!(server.end().await.0.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_whose_replies_are_lost_are_done_once_on_sqlite() {
    loses_replies(World::on_sqlite("lost-replies-sqlite")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn requests_whose_replies_are_lost_are_done_once_on_postgres() {
    loses_replies(World::on_postgres("lost-replies-postgres")).await;
}
