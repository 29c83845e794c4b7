//! PostgreSQL restarts, goes away, and falls silent.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::future::join_all;
use rand::RngExt;
use reqwest::Method;
use safire_test_support::Ending;
use tokio::task::block_in_place;

use crate::{
    driver::{Crowd, Hand, Reply, of_capacity},
    history::percentile,
    server::Server,
    world::{World, dose, promised},
};

/// No actor is restarted because the database is away, and the process goes on.
fn assert_unharmed(server: &mut Server) {
    assert_eq!(server.ended(), None, "the process ended");
    assert_eq!(server.says("will be restarted"), 0, "an actor was restarted: {:#?}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn restarts_of_postgres_lose_nothing_and_restart_no_actor() {
    let world = World::on_postgres("restarts");
    let place = world.place(&[]);
    let mut server = world.start(&place).await;
    world.audit().await;
    let ana = world.analyst(&[&place]).await;
    let plants = world.plants(&ana, 100).await;
    let mut rng = world.rng();
    let crowd = Crowd::at_work(&ana, &plants, 20, world.seed);
    let (wanted, up, down) = (dose(250, 5000), dose(300..1500, 5_000..20_000), dose(0..500, 0..5000));
    let mut restarts = 0;
    while crowd.accepted() < wanted || restarts < 5 {
        crowd.accepts(1).await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(up.clone()))).await;
        let how = if rng.random() { Ending::Fast } else { Ending::Immediate };
        block_in_place(|| world.postgres().stop(how));
        tokio::time::sleep(Duration::from_millis(rng.random_range(down.clone()))).await;
        block_in_place(|| world.postgres().resume());
        restarts += 1;
    }
    crowd.accepts(1).await;
    let accepted = crowd.go_home().await;
    world.comes_to_rest().await;
    assert_unharmed(&mut server);
    let figures = world.check().await;
    eprintln!("restarts: {restarts} restarts of PostgreSQL, {accepted} runs accepted");
    assert_eq!(figures.succeeded, figures.runs, "every run is correct");
    assert!(figures.acknowledged as u64 >= wanted);
    server.signal("TERM");
    assert!(server.end().await.0.success());
}

/// An answer, and when it was asked for.
type Answered = Arc<Mutex<Vec<(Instant, Reply)>>>;

/// Fifty requests a second of every kind, for so long; none waits for another.
async fn fifty_a_second(ana: &Hand, plants: &[String], lasts: Duration) -> Vec<(Instant, Reply)> {
    let answered = Answered::default();
    let (begun, mut asked, mut turn) = (Instant::now(), Vec::new(), 0_u32);
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while begun.elapsed() < lasts {
        ticks.tick().await;
        turn += 1;
        let plant = plants[turn as usize % plants.len()].clone();
        let (ana, answered) = (ana.clone(), Arc::clone(&answered));
        asked.push(tokio::spawn(async move {
            let at = Instant::now();
            let reply = match turn % 4 {
                0 => ana.ask(Method::GET, "/master-data", None, None).await,
                1 => ana.ask(Method::GET, &format!("/scenarios/{plant}"), None, None).await,
                2 => {
                    let edit = of_capacity(f64::from(turn) + 1000.0);
                    ana.ask(Method::PATCH, &format!("/scenarios/{plant}"), Some(edit), None).await
                }
                _ => ana.ask(Method::POST, &format!("/scenarios/{plant}/calculate"), None, None).await,
            };
            answered.lock().expect("nobody panics").push((at, reply));
        }));
    }
    join_all(asked).await.into_iter().for_each(|asked| asked.expect("nobody panics"));
    std::mem::take(&mut *answered.lock().expect("nobody panics"))
}

async fn is_away(name: &'static str, leave: fn(&World), come_back: fn(&World)) {
    let world = World::on_postgres(name);
    let place = world.place(&[]);
    let mut server = world.start(&place).await;
    world.audit().await;
    let ana = world.analyst(&[&place]).await;
    let plants = world.plants(&ana, 40).await;
    let before = fifty_a_second(&ana, &plants, Duration::from_secs(2)).await;
    assert!(before.iter().all(|(_, reply)| matches!(reply.status, Some(200 | 202 | 409))), "{before:#?}");

    block_in_place(|| leave(&world));
    let (lasts, goes_on) = dose((5, 8), (60, 10));
    let away = fifty_a_second(&ana, &plants, Duration::from_secs(lasts)).await;
    block_in_place(|| come_back(&world));
    let back = Instant::now();
    let after = fifty_a_second(&ana, &plants, Duration::from_secs(goes_on)).await;

    let wrong = |reply: &Reply| match reply.status {
        Some(200) => false,
        Some(503) => reply.retry_after.is_none(),
        _ => true,
    };
    let bad: Vec<_> = away.iter().filter(|(_, reply)| wrong(reply)).take(5).collect();
    assert!(bad.is_empty(), "neither 200 nor 503 with Retry-After: {bad:#?}");
    let refused = away.iter().filter(|(_, reply)| reply.status == Some(503)).count();
    assert!(refused * 2 > away.len(), "only {refused} of {} were refused: it was not away", away.len());
    let mut took: Vec<_> = away.iter().map(|(_, reply)| reply.took).collect();
    let (p99, slowest) = (percentile(&mut took, 0.99), percentile(&mut took, 1.0));

    let settled = after.iter().filter(|(at, _)| *at - back >= Duration::from_secs(5));
    let (mut all, mut errors) = (0, 0);
    for (_, reply) in settled {
        all += 1;
        errors += u32::from(!matches!(reply.status, Some(200 | 202 | 409)));
    }
    eprintln!(
        "{name}: {} answers while away, p99 {p99:?}, slowest {slowest:?}; {errors} errors of {all} from 5 s after",
        away.len()
    );
    assert!(slowest <= promised(Duration::from_secs(2)), "an answer took {slowest:?}");
    assert!(all > 100 && errors * 100 < all, "{errors} errors of {all}: {:#?}", server.log().iter().rev().take(40));
    world.comes_to_rest().await;
    assert_unharmed(&mut server);
    world.check().await;
    server.signal("TERM");
    assert!(server.end().await.0.success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn while_postgres_is_away_every_answer_comes_within_two_seconds() {
    is_away("away", |world| world.postgres().stop(Ending::Fast), |world| world.postgres().resume()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn while_postgres_is_silent_every_answer_comes_within_two_seconds() {
    is_away("silent", |world| world.postgres().freeze(), |world| world.postgres().thaw()).await;
}
