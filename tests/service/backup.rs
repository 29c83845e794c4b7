//! Backup and restore, by the commands that docs/deployment.md gives.

use std::{path::Path, process::Command};

use safire_test_support::{TestDatabase, on_both_engines};

use crate::{app::TestApp, calculation::assert_worked_case, markdown::Document};

/// Runs the documented block of commands that has these words in it, on other places than it names.
fn documented(words: &str, url: &str, data: &Path, backup: &Path) {
    let blocks = Document::of("docs/deployment.md").blocks();
    let block = blocks.into_iter().find(|block| block.language == "sh" && block.text.contains(words));
    let script = block
        .unwrap_or_else(|| panic!("{words} is not documented"))
        .text
        .replace("/var/lib/safire", &data.display().to_string());
    let script = script.replace("/backup", &backup.display().to_string());
    let output = Command::new("sh").args(["-euc", &script]).env("DATABASE_URL", url).output().expect("a shell");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

on_both_engines! {
    async fn what_was_backed_up_while_the_service_ran_is_there_after_the_restore(database: &TestDatabase) {
        let backup = tempfile::tempdir().expect("a temporary directory");
        let file = database.url().strip_prefix("sqlite://").map(Path::new);
        let data = file.and_then(Path::parent).unwrap_or(Path::new("/nowhere"));
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let kept = ana.plant(500_000.0).await;
        let calculated = ana.post(&format!("/scenarios/{kept}/calculate/sync"), None).await.is(200);
        assert_worked_case(&calculated["result"]);

        let how = if file.is_some() { ".backup" } else { "pg_dump" };
        documented(how, database.url(), data, backup.path());
        let later = ana.plant(400_000.0).await;
        ana.delete(&format!("/scenarios/{kept}")).await.is(204);
        app.stop().await;

        let empty = match file {
            Some(_) => None,
            None => Some(TestDatabase::postgres().await),
        };
        let restored = empty.as_ref().unwrap_or(database);
        documented(if file.is_some() { "cp /backup" } else { "pg_restore" }, restored.url(), data, backup.path());
        let app = TestApp::start(restored).await;
        let ana = app.anonymous().with_token(ana.token.as_ref().expect("a token"));
        assert_eq!(ana.get(&format!("/scenarios/{kept}/result")).await.is(200), calculated);
        assert_eq!(ana.get(&format!("/scenarios/{later}")).await.status, 404);
        app.stop().await;
    }
}
