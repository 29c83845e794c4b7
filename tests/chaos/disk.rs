//! A disk without room: what would be stored is refused, what is stored can be read, and it heals.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};

use crate::{driver::Crowd, server::Server, world::World};

/// Lets the files of a running process grow to so many bytes and no further, or without limit. To the
/// process it is like a full disk or a quota: writes fail.
fn limit_files(server: &Server, bytes: &str) {
    let set = ["--pid", &server.pid().to_string(), &format!("--fsize={bytes}:unlimited")].map(str::to_owned);
    assert!(Command::new("prlimit").args(set).status().expect("prlimit is installed").success());
}

/// A file system of 24 MiB at a directory, for those who enter its name space; gone when dropped.
struct SmallDisk {
    keeper: Child,
    directory: PathBuf,
}

impl SmallDisk {
    fn at(directory: PathBuf) -> Self {
        std::fs::create_dir(&directory).expect("a directory");
        let script = r#"mount -t tmpfs -o size=24m tmpfs "$1" && echo mounted && read -r _"#;
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(&directory);
        let mut keeper =
            unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare, of util-linux, is installed");
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().expect("a pipe")).read_line(&mut said).expect("it says something");
        assert_eq!(said, "mounted\n", "a name space of one's own, and a file system in it, are not to be had");
        Self { keeper, directory }
    }

    /// What runs the rest of the command line in the name space.
    fn enter(&self) -> Vec<String> {
        let keeper = self.keeper.id().to_string();
        ["nsenter", "--target", &keeper, "--user", "--mount", "--preserve-credentials", "--"].map(str::to_owned).into()
    }

    fn run(&self, script: &str, other: &Path) {
        let enter = self.enter();
        let mut command = Command::new(&enter[0]);
        command.args(&enter[1..]).args(["sh", "-c", script, "sh"]).arg(&self.directory).arg(other);
        assert!(command.stderr(Stdio::null()).status().expect("nsenter is installed").success(), "{script}");
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        self.run(
            r#"dd if=/dev/zero of="$1/ballast" bs=4096; [ "$(df --output=avail "$1" | tail -n 1)" -eq 0 ]"#,
            Path::new(""),
        );
    }

    fn make_room(&self) {
        self.run(r#"rm "$1/ballast""#, Path::new(""));
    }

    /// Copies what is on it.
    fn save(&self, to: &Path) {
        self.run(r#"cp "$1"/safire.db* "$2""#, to);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// Left out unless it is asked for, see `.config/nextest.toml`: not everywhere may a process have a name space of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_without_room_refuses_writes_serves_reads_and_heals() {
    let world = World::on_sqlite("no-space");
    let disk = SmallDisk::at(world.files.path().join("small"));
    let url = format!("sqlite://{}", disk.directory.join("safire.db").display());
    let place = world.place(&[("DATABASE_URL", &url)]).within(disk.enter());
    let mut server = world.start(&place).await;
    let ana = world.analyst(&[&place]).await;
    let plants = world.plants(&ana, 20).await;
    let mut refused = 0;
    for round in 0..3 {
        let crowd = Crowd::at_work(&ana.named(format!("round {round}")), &plants, 10, world.seed + round);
        crowd.accepts(20).await;
        disk.fill();
        // What is left in the last pages of the file may do for a while.
        for project in 0..2000 {
            let reply = ana.ask(Method::POST, "/projects", Some(json!({ "name": format!("No room {project}") })), None);
            let reply = reply.await;
            assert!(matches!(reply.status, Some(201 | 507)), "{reply:?}");
            refused += u32::from(reply.status == Some(507));
            let read = ana.ask(Method::GET, &format!("/scenarios/{}", plants[0]), None, None).await;
            assert_eq!(read.status, Some(200), "{read:?}");
            if refused >= 20 * (round as u32 + 1) {
                break;
            }
        }
        assert!(refused >= 20 * (round as u32 + 1), "it was never full: {refused} refusals");
        disk.make_room();
        ana.must(Method::POST, "/projects", Some(json!({ "name": "Room" })), 201).await;
        crowd.accepts(20).await;
        crowd.go_home().await;
    }
    assert_eq!(server.ended(), None);
    let plant = &plants[0];
    ana.must(Method::POST, &format!("/scenarios/{plant}/calculate/sync"), None, 200).await;
    server.signal("TERM");
    assert!(server.end().await.0.success());
    let copy = tempfile::tempdir().expect("a directory");
    disk.save(copy.path());
    let mut c = SqliteConnection::connect(&format!("sqlite://{}", copy.path().join("safire.db").display()))
        .await
        .expect("the copy can be opened");
    let said: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut c).await.expect("it answers");
    let (runs, ended): (i64, i64) =
        sqlx::query_as("SELECT COUNT(*), COUNT(*) FILTER (WHERE state = 'succeeded') FROM runs")
            .fetch_one(&mut c)
            .await
            .expect("the runs can be counted");
    eprintln!("no-space: {refused} answers 507; {ended} of {runs} runs succeeded; integrity {said:?}");
    assert_eq!((said.as_slice(), ended), (["ok".to_owned()].as_slice(), runs));
    assert!(runs > 100, "hardly a run: {runs}");
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
