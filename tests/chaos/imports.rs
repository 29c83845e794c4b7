//! Crashes while a file becomes scenarios, and while those are calculated.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use rand::RngExt;
use reqwest::Method;
use serde_json::Value;

use crate::{
    driver::Hand,
    server::PATIENCE,
    world::{World, dose},
};

/// What has to be none of, once the import has ended.
const WRONGS: [(&str, &str); 6] = [
    (
        "lines that became no scenario, or several",
        "SELECT COUNT(*) FROM operation_rows r
         WHERE r.faults IS NULL AND 1 <> (SELECT COUNT(*) FROM scenarios s WHERE s.id = r.scenario_id)",
    ),
    (
        "scenarios of no line",
        "SELECT COUNT(*) FROM scenarios WHERE id NOT IN
             (SELECT scenario_id FROM operation_rows WHERE scenario_id IS NOT NULL)",
    ),
    ("scenarios with the name of another", "SELECT COUNT(*) - COUNT(DISTINCT name) FROM scenarios"),
    (
        "scenarios whose making was not told once",
        "SELECT COUNT(*) FROM scenarios s
         WHERE 1 <> (SELECT COUNT(*) FROM events e WHERE e.scenario_id = s.id AND e.kind = 'created')",
    ),
    ("chunks that are left", "SELECT COUNT(*) FROM operation_chunks"),
    (
        "operations whose end was not told once",
        "SELECT COUNT(*) FROM operations o
         WHERE 1 <> (SELECT COUNT(*) FROM events e WHERE e.operation_id = o.id AND e.kind = 'completed')",
    ),
];

/// A table of which every hundredth row is wrong.
fn table(rows: usize) -> String {
    let mut text = "name,process,feedstock,country,plant.capacity\n".to_owned();
    for row in 0..rows {
        let capacity = if row % 100 == 99 { "much".to_owned() } else { (1000 + row).to_string() };
        writeln!(text, "Plant {row},HEFA,UCO,USA,{capacity}").expect("there is memory");
    }
    text
}

async fn survives_kills(world: World, kills: usize, rows: usize) {
    let place = world.place(&[("SAFIRE_CALCULATIONS__LEASE_S", "1")]);
    let mut server = world.start(&place).await;
    world.audit().await;
    let ana = world.analyst(&[&place]).await;
    let project = world.project(&ana).await;
    let operation = ana.import(&project, &table(rows)).await;
    let (mut rng, mut tried) = (world.rng(), 0);
    // Rows and calculations, and how many there are at most between two kills: all kills find something to break.
    let gap = (2 * rows * 3 / 2 / kills) as u64;
    let mut done = 0;
    while tried < kills {
        let Some(further) = further(&ana, &operation, done + rng.random_range(0..gap)).await else { break };
        done = further;
        // The random point.
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..30))).await;
        server.kill();
        server = world.start(&place).await;
        tried += 1;
    }
    let ended = ends(&ana, &operation).await;
    world.comes_to_rest().await;
    server.signal("TERM");
    assert!(server.end().await.0.success());

    let refused = rows / 100;
    let count = |name: &str| ended[name].as_u64().unwrap_or_default() as usize;
    let counts = ["created", "refused", "calculated", "not_calculated"].map(count);
    assert_eq!((&ended["state"], counts), (&"succeeded".into(), [rows - refused, refused, rows - refused, 0]));
    for (what, sql) in WRONGS {
        assert_eq!(world.count(sql).await, 0, "{what}, seed {}", world.seed);
    }
    let logged = world.count("SELECT COUNT(*) FROM events WHERE kind = 'logged'").await;
    let chunks = (rows / 250) as i64;
    // Begun, calculating, calculated, ended; a line for each chunk; and up to one for each time it was begun again.
    assert!((0..=tried as i64).contains(&(logged - chunks - 4)), "{logged} lines in the log");
    let figures = world.check().await;
    eprintln!("{}: {tried} kills, {rows} rows each once; {} runs taken over", world.name, figures.takeovers);
    assert!(tried * 2 >= kills, "it was over after {tried} kills: little was tried");
}

/// Waits until it is further than that; `None` when it has ended.
async fn further(ana: &Hand, operation: &str, done: u64) -> Option<u64> {
    let begun = Instant::now();
    loop {
        let seen = look(ana, operation).await;
        let now: u64 = ["created", "calculated"].iter().filter_map(|name| seen[*name].as_u64()).sum();
        match seen["finished_at"].is_null() {
            false => return None,
            true if now > done => return Some(now),
            true => assert!(begun.elapsed() < PATIENCE, "it gets no further: {seen}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn ends(ana: &Hand, operation: &str) -> Value {
    let begun = Instant::now();
    loop {
        let seen = look(ana, operation).await;
        if !seen["finished_at"].is_null() {
            return seen;
        }
        assert!(begun.elapsed() < 10 * PATIENCE, "it does not end: {seen}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn look(ana: &Hand, operation: &str) -> Value {
    ana.must(Method::GET, &format!("/operations/{operation}"), None, 200).await
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_during_an_import_make_every_row_once_on_sqlite() {
    survives_kills(World::on_sqlite("imports-sqlite"), dose(6, 100), dose(2_000, 20_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: run ./test"]
async fn kills_during_an_import_make_every_row_once_on_postgres() {
    survives_kills(World::on_postgres("imports-postgres"), dose(4, 50), dose(2_000, 20_000)).await;
}
