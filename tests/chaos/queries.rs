//! Queries that do not come back.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;
use sqlx::{Connection as _, PgConnection};

use crate::{
    server::PATIENCE,
    world::{World, promised},
};

/// Connections that the pool has by default: twenty, and ten more when they are needed.
const CONNECTIONS: usize = 30;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn thirty_slow_queries_cost_others_two_seconds_and_no_connection() {
    let world = World::on_postgres("slow-queries");
    let place = world.place(&[]);
    let mut server = world.start(&place).await;
    let ana = world.analyst(&[&place]).await;
    let plants = world.plants(&ana, CONNECTIONS).await;
    let look = async |number: usize| {
        let path = format!("/scenarios/{}", plants[number % plants.len()]);
        ana.ask(Method::GET, &path, None, None).await
    };
    let mut locks = PgConnection::connect(&world.url()).await.expect("the database is there");
    let mut lock = locks.begin().await.expect("it begins");
    sqlx::query("LOCK TABLE scenarios IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.expect("it is locked");

    let others = async {
        let begun = Instant::now();
        while pool(&world, &place).await["checked_out"] != CONNECTIONS {
            assert!(begun.elapsed() < PATIENCE, "the pool is never exhausted");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let refused = join_all((0..50).map(look)).await;
        lock.rollback().await.expect("it is unlocked");
        refused
    };
    let (slow, refused) = tokio::join!(join_all((0..CONNECTIONS).map(look)), others);
    let slowest = refused.iter().map(|reply| reply.took).max().expect("they were asked");
    for reply in &refused {
        assert_eq!((reply.status, reply.retry_after.is_some()), (Some(503), true), "{reply:?}");
    }
    // The service's own look for runs may have had some of the connections.
    let served = slow.iter().filter(|reply| reply.status == Some(200)).count();
    eprintln!("slow-queries: {served} slow ones served in the end, 50 others refused within {slowest:?}");
    assert!(slowest <= promised(Duration::from_secs(2)), "a refusal took {slowest:?}");
    assert!(served >= CONNECTIONS - 5, "only {served} were served: {slow:#?}");

    let begun = Instant::now();
    loop {
        let pool = pool(&world, &place).await;
        if pool["checked_out"] == 0 && pool["waiters"] == 0 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "never idle again: {pool}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(look(0).await.status, Some(200));
    server.signal("TERM");
    assert!(server.end().await.0.success());
}

/// What the service says of its connections.
async fn pool(world: &World, place: &crate::server::Place) -> serde_json::Value {
    let health = world.nobody(&[place]).ask(Method::GET, "/health", None, None).await;
    health.json["database"]["pool"].clone()
}
