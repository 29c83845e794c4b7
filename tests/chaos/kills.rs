//! Crashes at random points, with twenty people at work.

use std::time::{Duration, Instant};

use rand::RngExt;

use crate::{
    driver::Crowd,
    server::PATIENCE,
    world::{World, dose, full, promised},
};

const PEOPLE: usize = 20;

/// How soon after the last start everything has ended.
const ALL_ENDED: Duration = Duration::from_secs(30);

async fn survives_kills(world: World, kills: u64, plants: usize) {
    let lease = if full() { "15" } else { "1" };
    let place = world.place(&[("SAFIRE_CALCULATIONS__LEASE_S", lease)]);
    let mut server = world.start(&place).await;
    world.audit().await;
    let ana = world.analyst(&[&place]).await;
    let plants = world.plants(&ana, plants).await;
    let mut rng = world.rng();
    let crowd = Crowd::at_work(&ana, &plants, PEOPLE, world.seed);
    let mut started = Instant::now();
    for _ in 0..kills {
        crowd.accepts(1).await;
        // The random point.
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..300))).await;
        server.kill();
        server = world.start(&place).await;
        started = Instant::now();
    }
    crowd.accepts(1).await;
    let accepted = crowd.go_home().await;
    world.comes_to_rest().await;
    let rested = started.elapsed();
    assert!(rested <= promised(ALL_ENDED), "all ended {rested:?} after the last start");
    server.signal("TERM");
    assert!(server.end().await.0.success());
    let figures = world.check().await;
    eprintln!("{}: {kills} kills, at rest {rested:?} after the last start", world.name);
    assert!(figures.acknowledged as u64 >= kills && accepted >= kills, "no progress");
    assert!(figures.takeovers > 0, "no kill left a run behind: nothing was tried");
}

impl World {
    /// Waits until no run is in motion.
    pub async fn comes_to_rest(&self) {
        let begun = Instant::now();
        loop {
            let left = self.in_motion().await;
            if left == 0 {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{left} runs are still in motion");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_points_lose_nothing_on_sqlite() {
    survives_kills(World::on_sqlite("kills-sqlite"), dose(20, 200), 200).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn kills_at_random_points_lose_nothing_on_postgres() {
    survives_kills(World::on_postgres("kills-postgres"), dose(15, 1000), dose(300, 4000)).await;
}
