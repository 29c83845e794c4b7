//! Files of scenarios: taken whole or not at all, made row by row, exactly once.

use std::{collections::HashSet, fmt::Write, sync::Arc, time::Instant};

use chrono::TimeDelta;
use reqwest::Method;
use safire_domain::clock::ManualClock;
use safire_test_support::{PATIENCE, TestDatabase, now, on_both_engines};
use serde_json::{Value, json};

use crate::{
    app::{Client, ENDLESS, PANICS, TestApp, eventually, form, id},
    process::Server,
};

const HEADER: &str =
    "name,process,feedstock,country,plant.capacity [kt/yr],feedstocks.UCO.price,economics.discount_rate [%]";

/// A table of plants, of which every hundredth is wrong.
fn table(rows: usize) -> String {
    let mut text = format!("{HEADER}\r\n");
    for row in 0..rows {
        let rate = if row % 100 == 99 { 900 } else { 7 };
        write!(text, "Plant {row},HEFA,UCO,USA,{},9{:02},{rate}\r\n", 100 + row % 400, row % 100).unwrap();
    }
    text
}

/// The names of all scenarios of a project.
async fn names(ana: &Client, project: &str) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ana.get(&format!("/projects/{project}/scenarios?limit=200{cursor}")).await.is(200);
        names.extend(page["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return names,
        }
    }
}

/// A workbook with these cells, and one that is a formula if that is wanted.
fn workbook(rows: &[Vec<Value>], formula: bool) -> Vec<u8> {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    for (line, row) in (0..).zip(rows) {
        for (column, cell) in (0..).zip(row) {
            match cell.as_f64() {
                Some(number) => sheet.write_number(line, column, number).unwrap(),
                None => sheet.write_string(line, column, cell.as_str().unwrap_or_default()).unwrap(),
            };
        }
    }
    if formula {
        sheet.write_formula(1, 0, "1+1").unwrap();
    }
    book.save_to_buffer().unwrap()
}

fn cells(text: &str) -> Vec<Vec<Value>> {
    let cell = |cell: &str| cell.parse::<f64>().map_or_else(|_| json!(cell), |number| json!(number));
    text.lines().map(|line| line.split(',').map(cell).collect()).collect()
}

/// An archive that looks like a workbook and unpacks to a gigabyte.
fn bomb() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let nothing = vec![0; 1 << 20];
    archive.start_file("xl/worksheets/sheet1.xml", zip::write::SimpleFileOptions::default()).unwrap();
    for _ in 0..1024 {
        std::io::Write::write_all(&mut archive, &nothing).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

async fn assert_nothing_is_left(ana: &Client, project: &str) {
    assert_eq!(ana.get("/operations").await.is(200)["total"], 0);
    assert_eq!(ana.get(&format!("/projects/{project}/scenarios")).await.is(200)["total"], 0);
}

on_both_engines! {
    async fn a_table_becomes_scenarios_and_says_what_is_wrong_with_the_rest(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let mut text = table(600);
        text.push_str("Short,HEFA,UCO,USA,many,900,7\r\n,HEFA,UCO,USA,100,900,7\r\n\"Two\nlines\",HEFA,UCO,USA,100,900,7\r\nX,HEFA,UCO,XX,100,900,7\r\n");
        let answer = ana.import(&project, text.as_bytes(), "").await;
        let operation = id(&answer.json);
        assert_eq!(answer.header("location"), format!("/api/v1/operations/{operation}"));
        assert_eq!((&answer.json["rows"], &answer.json["file_name"]), (&json!(604), &json!("plants.csv")));
        assert_eq!(answer.status, 202);
        let ended = ana.ends(&operation).await;
        assert_eq!((&ended["state"], &ended["percent"]), (&json!("succeeded"), &json!(100.0)));
        assert_eq!((&ended["created"], &ended["refused"]), (&json!(594), &json!(10)));
        assert_eq!(ana.get("/operations").await.is(200)["items"][0], ended);

        let refused = ana.get(&format!("/operations/{operation}/refused")).await.is(200);
        let rows = refused["items"].as_array().unwrap();
        let lines: Vec<_> = rows.iter().map(|row| row["line"].as_i64().unwrap()).collect();
        assert_eq!(lines, [101, 201, 301, 401, 501, 601, 602, 603, 604, 606]);
        let fault = |row: usize| {
            let text = |key: &str| rows[row]["errors"][0][key].as_str().unwrap_or_default().to_owned();
            (text("column"), text("pointer"), text("code"))
        };
        let text = |texts: [&str; 3]| { let [a, b, c] = texts.map(str::to_owned); (a, b, c) };
        assert_eq!(fault(0), text(["economics.discount_rate [%]", "/inputs/economics/discount_rate", "out_of_range"]));
        assert_eq!(fault(6), text(["plant.capacity [kt/yr]", "/inputs/plant/capacity", "type"]));
        assert_eq!(fault(7), text(["name", "/name", "required"]));
        assert_eq!(fault(8), text(["name", "/name", "type"]));
        assert_eq!(fault(9), text(["country", "/country", "code.unknown"]));

        let created = ana.get(&format!("/operations/{operation}/created?limit=1&cursor=100")).await.is(200);
        assert_eq!((&created["total"], &created["items"][0]["line"]), (&json!(594), &json!(102)));
        let made = ana.get(&format!("/scenarios/{}", created["items"][0]["scenario_id"].as_str().unwrap())).await.is(200);
        let inputs = json!({ "plant": { "capacity": { "value": 200.0, "unit": "kt/yr" } },
            "feedstocks": { "UCO": { "price": { "value": 900.0, "unit": "USD/t" } } },
            "economics": { "discount_rate": { "value": 7.0, "unit": "%" } } });
        assert_eq!((&made["name"], &made["inputs"], &made["status"]), (&json!("Plant 100"), &inputs, &json!("draft")));
        let report = ana.get(&format!("/operations/{operation}/rows.csv")).await.file("text/csv; charset=utf-8");
        let report = String::from_utf8(report).unwrap();
        assert_eq!(report.lines().count(), 605);
        let line = report.lines().find(|line| line.starts_with("603,")).unwrap();
        assert!(line.starts_with("603,refused,,name,/name,required,"), "{line}");
        ana.delete(&format!("/operations/{operation}")).await.refused(409, "operation.ended");
        app.stop().await;
    }

    async fn every_format_says_the_same(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let text = table(300).replace("\r\n", "\n");
        let semicolons = format!("\u{feff}{}", text.replace(',', ";"));
        let entries: Vec<_> = (0..300).map(|row| json!({
            "name": format!("Plant {row}"), "process": "HEFA", "feedstock": "UCO", "country": "USA", "inputs": {
                "economics": { "discount_rate": { "value": if row % 100 == 99 { 900 } else { 7 }, "unit": "%" } } },
        })).collect();
        let files = [
            ("csv", text.clone().into_bytes()),
            ("csv", semicolons.into_bytes()),
            ("json", json!(entries).to_string().into_bytes()),
            ("json", json!({ "scenarios": entries }).to_string().into_bytes()),
            ("xlsx", workbook(&cells(&text), false)),
        ];
        let mut made = HashSet::new();
        for (format, file) in files {
            let project = ana.project().await;
            let accepted = ana.import(&project, &file, "").await.is(202);
            let ended = ana.ends(&id(&accepted)).await;
            assert_eq!((&ended["format"], &ended["created"], &ended["refused"]), (&json!(format), &json!(297), &json!(3)));
            let refused = ana.get(&format!("/operations/{}/refused", id(&ended))).await.is(200);
            let first = if format == "json" { 100 } else { 101 };
            assert_eq!(refused["items"][0]["line"], first, "{format}");
            made.insert(names(&ana, &project).await.join(","));
        }
        assert_eq!(made.len(), 1, "the formats differ");
        app.stop().await;
    }

    async fn a_file_that_is_none_is_refused_and_leaves_nothing(database: &TestDatabase) {
        let app = TestApp::with(database, |config, _| {
            config.imports.rows = 1000;
            config.imports.file_limit_bytes = 4 << 20;
        })
        .await;
        let ana = app.register().await;
        let project = ana.project().await;
        let head = "name,process,feedstock,country";
        let row = "A,HEFA,UCO,USA";
        let wide = vec!["x"; 1_000_000].join(",");
        let truncated = workbook(&cells(&table(50)), false);
        let files: Vec<(u16, &str, Vec<u8>)> = vec![
            (422, "import.empty", Vec::new()),
            (422, "import.empty", b"   \n".to_vec()),
            (422, "import.empty", head.into()),
            (422, "import.empty", b"[]".to_vec()),
            (422, "import.columns", b"name,process\nA,HEFA\n".to_vec()),
            (422, "import.columns", format!("{head},plant.color\n{row},green\n").into()),
            (413, "import.too_large", format!("{wide}\n{row}\n").into()),
            (413, "import.too_large", table(1001).into()),
            (413, "import.too_large", format!("{head}\n{}", "x".repeat(100_000)).into()),
            (413, "body.too_large", vec![b'x'; 5 << 20]),
            (422, "import.formula", format!("{head}\n=1+1,HEFA,UCO,USA\n").into()),
            (422, "import.formula", format!("{head}\n{row}\nA,HEFA,UCO,\" =HYPERLINK(1)\"\n").into()),
            (422, "import.formula", workbook(&cells(&table(5)), true)),
            (422, "import.malformed", format!("{head}\n{row}\nA,HEFA\n").into()),
            (422, "import.malformed", [head.as_bytes(), b"\n\xff\xfe,HEFA,UCO,USA\n"].concat()),
            (422, "import.malformed", b"[{\"name\": \"A\"}, {\"name\": ".to_vec()),
            (422, "import.malformed", b"{\"plants\": []}".to_vec()),
            (422, "import.malformed", b"[1, 2] 3".to_vec()),
            (422, "import.malformed", truncated[..truncated.len() / 2].to_vec()),
            (422, "import.malformed", b"PK\x03\x04 and then nothing".to_vec()),
            (422, "import.malformed", b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1".to_vec()),
            (413, "import.too_large", bomb()),
        ];
        for (status, code, file) in files {
            let shown = String::from_utf8_lossy(&file[..file.len().min(60)]).into_owned();
            let answer = ana.import(&project, &file, "").await;
            assert_eq!((answer.status, answer.json["code"].as_str()), (status, Some(code)), "{shown}: {}", answer.json);
            answer.refused(status, code);
        }
        let refused = ana.import(&project, format!("{head},plant.color\n{row},green\n").as_bytes(), "").await;
        let message = refused.json["errors"][0]["message"].as_str().unwrap().to_owned();
        assert_eq!(message, "column \"plant.color\": \"plant.color\" is no input");

        let at = format!("/projects/{project}/import");
        let (kind, other) = form("picture", b"x");
        ana.raw(Method::POST, &at, Some(kind), other).await.refused(422, "body.invalid");
        ana.raw(Method::POST, &at, Some(kind), "--limit--\r\n").await.refused(422, "body.invalid");
        ana.raw(Method::POST, &at, Some(kind), "--lim").await.refused(400, "body.malformed");
        ana.raw(Method::POST, &at, Some("text/csv"), head).await.refused(415, "media_type");
        let (stranger, file) = (app.register().await, table(5));
        stranger.import(&project, file.as_bytes(), "").await.refused(404, "not_found");
        assert_nothing_is_left(&ana, &project).await;
        app.stop().await;
    }

    async fn an_entry_that_is_no_scenario_is_refused_by_itself(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let good = r#"{"name":"A","process":"HEFA","feedstock":"UCO","country":"USA"}"#;
        let deep = format!("{}{}", r#"{"inputs":"#.repeat(5000), "}".repeat(5000));
        let deep = deep.replace("\":}", "\":{}}");
        let huge = good.replace('}', r#","inputs":{"economics":{"tax_rate":{"value":1e999,"unit":"%"}}}}"#);
        let file = format!("[{good}, 7, [], null, {deep}, {huge}, {{\"name\": \"=1+1\"}}, {good}]");
        let ended = ana.ends(&id(&ana.import(&project, file.as_bytes(), "").await.is(202))).await;
        assert_eq!((&ended["created"], &ended["refused"]), (&json!(2), &json!(6)), "{ended}");
        let refused = ana.get(&format!("/operations/{}/refused", id(&ended))).await.is(200);
        let lines: Vec<_> = refused["items"].as_array().unwrap().iter().map(|row| &row["line"]).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7]);
        assert_eq!(refused["items"][4]["errors"][0]["code"], "not_finite");
        app.stop().await;
    }

    async fn a_file_that_is_sent_again_is_imported_once(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let ana = ana.sending("idempotency-key", "plants");
        let first = id(&ana.import(&project, table(20).as_bytes(), "").await.is(202));
        assert_eq!(id(&ana.import(&project, table(20).as_bytes(), "").await.is(202)), first);
        ana.import(&project, table(21).as_bytes(), "").await.refused(422, "idempotency.mismatch");
        ana.ends(&first).await;
        assert_eq!(names(&ana, &project).await.len(), 20);
        app.stop().await;
    }

    async fn scenarios_are_calculated_when_that_is_asked_for(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let mut text = table(50);
        // In kt/yr: one that the engine does not survive.
        write!(text, "Poison,HEFA,UCO,USA,{},900,7\r\n", PANICS / 1000.0).unwrap();
        let accepted = ana.import(&project, text.as_bytes(), "?calculate=true").await.is(202);
        let ended = ana.ends(&id(&accepted)).await;
        assert_eq!((&ended["state"], &ended["created"], &ended["refused"]), (&json!("succeeded"), &json!(51), &json!(0)));
        assert_eq!((&ended["calculated"], &ended["not_calculated"]), (&json!(50), &json!(1)));
        let listed = ana.get(&format!("/projects/{project}/scenarios")).await.is(200);
        for scenario in listed["items"].as_array().unwrap() {
            let expected = if scenario["name"] == "Poison" { "failed" } else { "calculated" };
            assert_eq!(scenario["status"], expected, "{scenario}");
        }
        app.stop().await;
    }

    async fn an_import_that_is_called_off_stops_and_keeps_what_was_made(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let text = format!("{HEADER}\r\nEndless,HEFA,UCO,USA,{},900,7\r\n", ENDLESS / 1000.0);
        let operation = id(&ana.import(&project, text.as_bytes(), "?calculate=true").await.is(202));
        let path = format!("/operations/{operation}");
        let scenario = eventually("a calculation", async || {
            let seen = ana.get(&format!("/projects/{project}/scenarios")).await.is(200);
            if seen["items"][0]["status"] == "calculating" { Ok(id(&seen["items"][0])) } else { Err(seen) }
        })
        .await;
        let cancelled = ana.delete(&path).await.is(200);
        assert_eq!((&cancelled["state"], &cancelled["created"]), (&json!("cancelled"), &json!(1)));
        ana.delete(&path).await.refused(409, "operation.ended");
        assert_eq!(names(&ana, &project).await, ["Endless"]);
        assert_eq!(ana.get(&format!("{path}/created")).await.is(200)["items"][0]["scenario_id"], scenario);
        ana.delete(&format!("/scenarios/{scenario}/calculate")).await.is(200);
        app.stop().await;
    }

    async fn what_became_of_a_file_is_kept_for_thirty_days_and_its_scenarios_for_good(database: &TestDatabase) {
        let clock = Arc::new(ManualClock::at(now()));
        let start = || TestApp::with(database, |_, parts| parts.clock = clock.clone());
        let app = start().await;
        let admin = app.as_admin().await;
        let project = admin.project().await;
        let old = id(&admin.import(&project, table(300).as_bytes(), "").await.is(202));
        admin.ends(&old).await;
        clock.advance(TimeDelta::days(29));
        let admin = app.as_admin().await;
        let new = id(&admin.import(&project, table(10).as_bytes(), "").await.is(202));
        admin.ends(&new).await;
        app.stop().await;

        clock.advance(TimeDelta::days(2));
        let app = start().await;
        let admin = app.as_admin().await;
        let left = eventually("one operation", async || {
            let left = admin.get("/operations").await.is(200);
            if left["total"] == 1 { Ok(left) } else { Err(left) }
        })
        .await;
        assert_eq!(left["items"][0]["id"], json!(new));
        admin.get(&format!("/operations/{old}/rows.csv")).await.refused(404, "not_found");
        assert_eq!(names(&admin, &project).await.len(), 297 + 10);
        app.stop().await;
    }

    async fn a_crash_during_an_import_makes_every_row_once(database: &TestDatabase) {
        crash(database).await;
    }

    async fn a_stop_during_an_import_hands_it_on(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let project = ana.project().await;
        let operation = id(&ana.import(&project, table(5000).as_bytes(), "").await.is(202));
        app.stop().await;
        let again = TestApp::start(database).await;
        let ana = again.anonymous().with_token(ana.token.as_ref().unwrap());
        let ended = ana.ends(&operation).await;
        assert_eq!((&ended["created"], &ended["refused"]), (&json!(4950), &json!(50)));
        assert_every_row_once(&ana, &project, 5000).await;
        again.stop().await;
    }
}

async fn assert_every_row_once(ana: &Client, project: &str, rows: usize) {
    let mut found = names(ana, project).await;
    let mut expected: Vec<_> = (0..rows).filter(|row| row % 100 != 99).map(|row| format!("Plant {row}")).collect();
    found.sort();
    expected.sort();
    assert!(found == expected, "{} of {} scenarios", found.len(), expected.len());
}

async fn crash(database: &TestDatabase) {
    const ROWS: usize = 10_000;
    let server = Server::start(database);
    let ana = server.nobody().register().await;
    let project = ana.project().await;
    let operation = id(&ana.import(&project, table(ROWS).as_bytes(), "").await.is(202));
    let path = format!("/operations/{operation}");
    let done = eventually("some rows", async || {
        let seen = ana.get(&path).await.is(200);
        if seen["created"].as_u64() > Some(1000) { Ok(seen) } else { Err(seen) }
    })
    .await;
    let files = server.kill();
    assert_eq!(done["state"], "running", "it was over before the crash");

    let mut server = Server::start_in(files, database);
    let ana = server.nobody().with_token(ana.token.as_ref().unwrap());
    // A dead process keeps its lease for 15 s.
    let begun = Instant::now();
    let ended = loop {
        let seen = ana.get(&path).await.is(200);
        if !seen["finished_at"].is_null() {
            break seen;
        }
        assert!(begun.elapsed() < PATIENCE, "still {seen}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(
        (&ended["state"], &ended["created"], &ended["refused"]),
        (&json!("succeeded"), &json!(9900), &json!(100))
    );
    let report = ana.get(&format!("{path}/rows.csv")).await.file("text/csv; charset=utf-8");
    assert_eq!(String::from_utf8(report).unwrap().lines().count(), ROWS + 1);
    assert_every_row_once(&ana, &project, ROWS).await;
    assert_eq!(server.terminate().0.code(), Some(0));
}
