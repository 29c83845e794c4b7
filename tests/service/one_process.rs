//! One SQLite file, one process: whoever comes second is told who is first. All of it with the program itself.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Output,
};

use safire_test_support::TestDatabase;

use crate::{
    cli::{assert_says, fails, safire, succeeds},
    process::Server,
};

/// The file of a database.
fn file(database: &TestDatabase) -> PathBuf {
    database.url().strip_prefix("sqlite://").expect("a file").into()
}

/// What the program says to a command about a database.
fn run(command: &str, directory: &Path, database: &str) -> Output {
    let mut program = safire(directory);
    program.args([command, "--port", "0", "--set", "metrics.port=0", "--set", "log.filter=off"]);
    program.env("DATABASE_URL", database).output().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_second_process_on_one_database_file_is_refused_and_told_who_holds_it() {
    let database = TestDatabase::sqlite();
    let server = Server::start(&database);
    let ana = server.nobody().register().await;
    let plant = ana.plant(1000.0).await;
    let holder = format!("in use by process {}", server.pid());
    let elsewhere = tempfile::tempdir().unwrap();
    for command in ["serve", "migrate"] {
        for _ in 0..2 {
            let refused = fails(run(command, elsewhere.path(), database.url()));
            assert_says(&refused, &[&holder, " since 20", "one process owns an SQLite file", "PostgreSQL"]);
        }
    }
    // Nothing was taken over, and nothing was broken.
    ana.post(&format!("/scenarios/{plant}/calculate/sync"), None).await.is(200);
    assert_eq!(ana.get(&format!("/scenarios/{plant}/runs")).await.is(200)["items"][0]["attempt"], 1);
}

#[tokio::test]
async fn another_name_of_a_database_file_is_the_same_file() {
    let database = TestDatabase::sqlite();
    let server = Server::start(&database);
    let real = file(&database);
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(&real, elsewhere.path().join("link.db")).unwrap();
    symlink(real.parent().unwrap(), elsewhere.path().join("directory")).unwrap();
    let relative = format!("../{}/safire.db", real.parent().unwrap().file_name().unwrap().to_str().unwrap());
    for name in ["link.db", "directory/safire.db", &relative] {
        let refused = fails(run("serve", elsewhere.path(), &format!("sqlite://{name}")));
        assert_says(&refused, &[&format!("in use by process {}", server.pid())]);
    }
    let link = elsewhere.path().join("hard.db");
    if fs::hard_link(&real, &link).is_ok() {
        let refused = fails(run("serve", elsewhere.path(), &format!("sqlite://{}", link.display())));
        assert_says(&refused, &["2 names", "hard links"]);
    }
}

#[tokio::test]
async fn the_lock_ends_with_its_process_however_that_ends() {
    let database = TestDatabase::sqlite();
    for _ in 0..2 {
        let files = Server::start(&database).kill();
        assert_says(&succeeds(run("migrate", files.path(), database.url())), &["the schema is at version"]);
    }
    let mut server = Server::start(&database);
    server.nobody().register().await;
    assert_eq!(server.terminate().0.code(), Some(0));
    let again = Server::start(&database);
    assert!(again.nobody().get("/health/ready").await.status == 200);
}

#[tokio::test]
async fn of_many_that_start_together_one_serves() {
    let database = TestDatabase::sqlite();
    let directory = tempfile::tempdir().unwrap();
    let children: Vec<_> = (0..6)
        .map(|_| {
            let mut program = safire(directory.path());
            program.args(["serve", "--port", "0", "--set", "metrics.port=0"]).env("DATABASE_URL", database.url());
            program.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    let mut children = Children(children);
    crate::app::eventually("all but one to be refused", async || match children.refused() {
        5 => Ok(()),
        others => Err(others),
    })
    .await;
    assert!(children.0.iter_mut().any(|child| child.try_wait().unwrap().is_none()), "none serves");
}

struct Children(Vec<std::process::Child>);

impl Children {
    /// How many have ended because they were refused.
    fn refused(&mut self) -> usize {
        let ended = self.0.iter_mut().filter_map(|child| child.try_wait().unwrap());
        ended.filter(|status| status.code() == Some(1)).count()
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn what_the_program_makes_is_for_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = safire(directory.path());
    let made = program.arg("migrate").output().unwrap();
    succeeds(made);
    let data = directory.path().join("safire-data");
    assert_eq!(mode(&data), 0o700);
    for name in ["safire.db", "safire.db.lock"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    // What is there stays as its owner has it.
    fs::set_permissions(&data, fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(data.join("safire.db"), fs::Permissions::from_mode(0o640)).unwrap();
    succeeds(safire(directory.path()).arg("migrate").output().unwrap());
    assert_eq!((mode(&data), mode(&data.join("safire.db"))), (0o750, 0o640));
}
