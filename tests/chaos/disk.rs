//! A disk without room: what would be stored is refused, what is stored can be read, and it heals.

use std::process::Command;

use reqwest::Method;
use serde_json::json;

use crate::{driver::Crowd, server::Server, world::World};

/// Lets the files of a running process grow to so many bytes and no further, or without limit. To the
/// process it is like a full disk or a quota: writes fail.
fn limit_files(server: &Server, bytes: &str) {
    let set = ["--pid", &server.pid().to_string(), &format!("--fsize={bytes}:unlimited")].map(str::to_owned);
    assert!(Command::new("prlimit").args(set).status().expect("prlimit is installed").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_serves_reads_and_heals() {
    let world = World::on_sqlite("disk");
    let place = world.place(&[]);
    let mut server = world.start(&place).await;
    world.audit().await;
    let ana = world.analyst(&[&place]).await;
    let plants = world.plants(&ana, 20).await;
    let project = json!({ "name": "No room" });
    for round in 0..3 {
        // Full in the middle of the work.
        let crowd = Crowd::at_work(&ana.named(format!("round {round}")), &plants, 10, world.seed + round);
        crowd.accepts(20).await;
        limit_files(&server, "4096");
        for _ in 0..20 {
            let refused = ana.ask(Method::POST, "/projects", Some(project.clone()), None).await;
            assert_eq!(
                (refused.status, refused.json["code"].as_str()),
                (Some(507), Some("storage.full")),
                "{refused:?}"
            );
            assert!(refused.retry_after.is_some());
            for path in ["/projects".to_owned(), format!("/scenarios/{}", plants[0]), "/master-data".to_owned()] {
                let read = ana.ask(Method::GET, &path, None, None).await;
                assert_eq!(read.status, Some(200), "{path}: {read:?}");
            }
        }
        limit_files(&server, "unlimited");
        ana.must(Method::POST, "/projects", Some(project.clone()), 201).await;
        crowd.accepts(20).await;
        crowd.go_home().await;
        world.comes_to_rest().await;
    }
    assert_eq!(server.ended(), None);
    let figures = world.check().await;
    let entries = world.history.entries();
    let full = entries.iter().filter(|entry| entry.status == Some(507)).count();
    let broken: Vec<_> = entries.iter().filter(|entry| entry.status == Some(500)).take(5).collect();
    eprintln!("disk: {full} answers 507, {} runs right", figures.succeeded);
    assert!(broken.is_empty(), "{broken:#?}");
    server.signal("TERM");
    assert!(server.end().await.0.success());
}
