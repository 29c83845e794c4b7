//! The documents: their tables are tables, their list of codes is the service's own, and their examples run.

use std::{collections::BTreeSet, path::Path, process::Command};

use safire_test_support::{TestDatabase, on_both_engines};

use crate::{
    app::TestApp,
    contract::codes,
    description::document,
    examples,
    markdown::{Document, ROOT, documents, files, tables, words},
};

/// Everything that people read.
const ALL: [&str; 3] = ["", "docs", "docs/adr"];

/// A code that no operation has: the path has no such method.
const OF_NO_OPERATION: (u16, &str) = (405, "method");

/// The statuses of errors, each with its codes, as the description has them.
fn described() -> BTreeSet<(u16, String)> {
    let statuses = codes(&document()).into_values().flatten();
    let all = statuses.flat_map(|(status, codes)| codes.into_iter().map(move |code| (status, code)));
    all.chain([(OF_NO_OPERATION.0, OF_NO_OPERATION.1.to_owned())]).collect()
}

#[test]
fn every_table_of_the_documents_is_one() {
    let broken = |document: Document| Some(format!("{}:{}", document.name, document.tables().err()?));
    let broken: Vec<_> = documents(&ALL).into_iter().filter_map(broken).collect();
    assert!(broken.is_empty(), "no headings with a rule below them, or another number of cells: {broken:?}");
    let lines = |text: &'static str| (1..).zip(text.lines()).collect::<Vec<_>>();
    assert_eq!(tables(&lines("| a | b |\n|---|---|\n| `\\|` | d |")).map(|tables| tables.len()), Ok(1));
    for (wrong, line) in [("| a |\n\n|---|", 1), ("| a |\n|---|\n\n| b |", 4), ("| a |\n|---|\n| b | c |", 3)] {
        assert_eq!(tables(&lines(wrong)).err(), Some(line), "{wrong}");
    }
}

#[test]
fn the_table_of_codes_is_that_of_the_service() {
    let api = Document::of("docs/api.md");
    let tables = tables(&api.section("## Errors")).expect("a table");
    let mut told = BTreeSet::new();
    for (line, row) in tables.iter().flatten().skip(2) {
        let [status, codes, ..] = row.as_slice() else { panic!("docs/api.md:{line}: no status and codes") };
        let status = status.parse().unwrap_or_else(|_| panic!("docs/api.md:{line}: {status} is not one status"));
        told.extend(words(codes).map(|code| (status, code.to_owned())));
    }
    let described = described();
    let missing: Vec<_> = described.difference(&told).collect();
    assert!(missing.is_empty(), "add to the table under Errors in docs/api.md: {missing:?}");
    let invented: Vec<_> = told.difference(&described).collect();
    assert!(
        invented.is_empty(),
        "take out of the table under Errors in docs/api.md, the service has none: {invented:?}"
    );
}

/// The name that a heading has in a link: small letters, with hyphens for spaces, without marks.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut broken = Vec::new();
    let mut found = 0;
    for document in documents(&ALL) {
        let directory = Path::new(&document.name).parent().expect("a directory");
        for (line, text) in document.prose() {
            for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if link.contains("://") {
                    continue;
                }
                found += 1;
                let (path, heading) = link.split_once('#').unwrap_or((link, ""));
                let target =
                    if path.is_empty() { document.name.clone() } else { directory.join(path).display().to_string() };
                let place = Path::new(ROOT).join(&target);
                let has_heading = heading.is_empty()
                    || Document::of(&target)
                        .prose()
                        .iter()
                        .any(|(_, line)| line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading);
                if !place.exists() || !has_heading {
                    broken.push(format!("{}:{line}: {link}", document.name));
                }
            }
        }
    }
    assert!(found > 50, "only {found} links were found");
    assert!(broken.is_empty(), "{broken:?}");
}

/// A new database on the same engine.
async fn another(database: &TestDatabase) -> TestDatabase {
    match database.url().starts_with("sqlite") {
        true => TestDatabase::sqlite(),
        false => TestDatabase::postgres().await,
    }
}

/// The codes that a source of the routes names where it makes a problem.
fn named(source: &str) -> impl Iterator<Item = &str> {
    let is_of_a_problem = |before: &str| {
        let makers = ["conflict(", "Problem::invalid(", "Self::invalid(", "too_many("];
        let last = before.rsplit(['(', ' ', '\n']).next().unwrap_or_default();
        makers.iter().any(|maker| before.ends_with(maker)) || last.starts_with("StatusCode::")
    };
    let quotes = source.match_indices('"').filter(move |(at, _)| is_of_a_problem(source[..*at].trim_end()));
    quotes.filter_map(|(at, _)| source[at + 1..].split('"').next())
}

#[test]
fn every_code_that_the_routes_name_is_described() {
    let described: BTreeSet<_> = described().into_iter().map(|(_, code)| code).collect();
    let mut undescribed = Vec::new();
    let mut found = 0;
    for directory in ["web/src", "web/src/routes"] {
        for file in files(directory, "rs") {
            let codes: Vec<_> = named(&file.text).map(str::to_owned).collect();
            found += codes.len();
            let missing = codes.into_iter().filter(|code| !described.contains(code));
            undescribed.extend(missing.map(|code| format!("{}: {code}", file.name)));
        }
    }
    assert!(found > 40, "only {found} codes were found");
    assert!(undescribed.is_empty(), "no operation's `responses` say these codes: {undescribed:?}");
}

on_both_engines! {
    needs "needs curl and jq: run ./test"
    async fn every_example_of_the_documents_runs_and_answers_as_it_is_written(database: &TestDatabase) {
        let mut wrong = Vec::new();
        for document in documents(&["docs"]).into_iter().chain([Document::of("README.md")]) {
            let own = another(database).await;
            let app = TestApp::start(&own).await;
            let base = format!("http://{}", app.service().address());
            wrong.extend(examples::run(&document, &base).await);
            app.drain().await;
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }

    needs "needs curl and jq: run ./test"
    async fn the_walk_of_the_examples_comes_to_its_end(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let mut walk = Command::new("bash");
        walk.arg(Path::new(ROOT).join("examples/walk.sh")).env("SAFIRE_URL", format!("http://{}", app.service().address()));
        let walked = tokio::task::spawn_blocking(move || walk.output().expect("bash runs")).await.unwrap();
        let (told, errors) = (String::from_utf8_lossy(&walked.stdout), String::from_utf8_lossy(&walked.stderr));
        assert!(walked.status.success() && errors.is_empty(), "{told}\n{errors}");
        for part in ["\"state\":\"succeeded\",\"rows\":4,\"created\":4", "\"code\":\"inputs.invalid\"", "\"status\":\"found\""] {
            assert!(told.contains(part), "no {part} in {told}");
        }
        app.stop().await;
    }
}
