//! Tables as programs of many countries write them, and what their cells show: read as they were meant, or refused.

use reqwest::Method;
use rust_xlsxwriter::{Format, Workbook, Worksheet};
use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::app::{Client, TestApp, id};

const OWN: &str = "name,process,feedstock,country";

/// The inputs of the scenarios that a file became, by name; every row was taken.
async fn inputs(ana: &Client, file: &[u8], query: &str) -> Vec<Value> {
    let project = ana.project().await;
    let ended = ana.ends(&id(&ana.import(&project, file, query).await.is(202))).await;
    assert_eq!(ended["refused"], 0, "{}", ana.get(&format!("/operations/{}/refused", id(&ended))).await.is(200));
    let made = ana.get(&format!("/projects/{project}/scenarios")).await.is(200);
    let mut made: Vec<Value> = made["items"].as_array().unwrap().clone();
    made.sort_by_key(|scenario| scenario["name"].as_str().unwrap().to_owned());
    made.into_iter().map(|scenario| scenario["inputs"].clone()).collect()
}

/// What is wrong with the rows of a file, by line, column and message; none is taken.
async fn faults(ana: &Client, file: &[u8]) -> Vec<(i64, String, String)> {
    let project = ana.project().await;
    let ended = ana.ends(&id(&ana.import(&project, file, "").await.is(202))).await;
    assert_eq!(ended["created"], 0);
    let refused = ana.get(&format!("/operations/{}/refused", id(&ended))).await.is(200);
    let row = |row: &Value| {
        let fault = &row["errors"][0];
        let text = |key: &str| fault[key].as_str().unwrap_or_default().to_owned();
        (row["line"].as_i64().unwrap(), text("column"), text("message"))
    };
    refused["items"].as_array().unwrap().iter().map(row).collect()
}

fn capacity(value: f64) -> Value {
    json!({ "plant": { "capacity": { "value": value, "unit": "kt/yr" } } })
}

/// A workbook with one plant, whose fifth cell somebody writes.
fn workbook(header: &str, write: impl FnOnce(&mut Worksheet, u32, u16)) -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (column, text) in (0..).zip(OWN.split(',').chain([header])) {
        sheet.write_string(0, column, text).unwrap();
    }
    for (column, text) in (0..).zip(["A", "HEFA", "UCO", "USA"]) {
        sheet.write_string(1, column, text).unwrap();
    }
    write(sheet, 1, 4);
    book.save_to_buffer().unwrap()
}

on_both_engines! {
    async fn a_table_is_read_as_its_country_writes_it(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let table = |rows: &[&str]| {
            let head = format!("{OWN},plant.capacity [kt/yr]").replace(',', ";");
            let rows: Vec<_> = (0..).zip(rows).map(|(n, row)| format!("{n};HEFA;UCO;USA;{row}")).collect();
            format!("{head}\r\n{}\r\n", rows.join("\r\n"))
        };
        assert_eq!(inputs(&ana, table(&["250,5"]).as_bytes(), "").await, [capacity(250.5)]);
        assert_eq!(inputs(&ana, table(&["0.25"]).as_bytes(), "").await, [capacity(0.25)]);
        let sure = table(&["1.250", "250,5"]);
        assert_eq!(inputs(&ana, sure.as_bytes(), "").await, [capacity(1250.0), capacity(250.5)]);

        // What can be meant in two ways is refused, and says where and what to do.
        let project = ana.project().await;
        let unsure = table(&["250", "1.250"]);
        let refused = ana.import(&project, unsure.as_bytes(), "").await.refused(422, "import.ambiguous");
        let advice = "say which mark is before the decimals: ?decimal=. or ?decimal=,";
        let where_ = "line 3, column plant.capacity [kt/yr]: 1.250 may be 1.25 or 1250";
        assert_eq!(refused["detail"], format!("{where_}; {advice}"));
        let both = table(&["250,5", "0.25"]);
        ana.import(&project, both.as_bytes(), "").await.refused(422, "import.ambiguous");
        assert_eq!(ana.get(&format!("/projects/{project}/scenarios")).await.is(200)["total"], 0);
        assert_eq!(inputs(&ana, unsure.as_bytes(), "?decimal=,").await[1], capacity(1250.0));
        assert_eq!(inputs(&ana, unsure.as_bytes(), "?decimal=.").await[1], capacity(1.25));
        ana.import(&project, unsure.as_bytes(), "?decimal=;").await.refused(400, "query.invalid");

        // The first line of Excel, and its blank rows.
        let marked = format!("sep=;\r\n{}", table(&["250,5"]).replace("\r\n", "\r\n;;;;\r\n"));
        assert_eq!(inputs(&ana, marked.as_bytes(), "").await, [capacity(250.5)]);
        let tabs = format!("{}\t\t\n", table(&["250,5"]).replace(';', "\t"));
        assert_eq!(inputs(&ana, tabs.as_bytes(), "?separator=tab").await, [capacity(250.5)]);

        let rate = format!("{OWN},economics.discount_rate\nA,HEFA,UCO,USA,7%\nB,HEFA,UCO,USA,7 %\nC,HEFA,UCO,USA,0.07\n");
        let percent = json!({ "economics": { "discount_rate": { "value": 7.0, "unit": "%" } } });
        let share = json!({ "economics": { "discount_rate": { "value": 0.07, "unit": "1" } } });
        assert_eq!(inputs(&ana, rate.as_bytes(), "").await, [percent.clone(), percent, share]);
        app.stop().await;
    }

    async fn a_cell_of_a_workbook_is_what_it_shows(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let formatted = |header: &str, value: f64, format: &str| {
            let format = Format::new().set_num_format(format);
            workbook(header, |sheet, row, column| drop(sheet.write_number_with_format(row, column, value, &format)))
        };
        let percent = json!({ "economics": { "discount_rate": { "value": 7.0, "unit": "%" } } });
        for (header, value, format) in [
            ("economics.discount_rate [%]", 0.07, "0%"),
            ("economics.discount_rate", 0.07, "0.00%"),
            ("economics.discount_rate [%]", 7.0, "0.0"),
            ("economics.discount_rate [%]", 7.0, "0\"%\""),
        ] {
            let file = formatted(header, value, format);
            assert_eq!(inputs(&ana, &file, "").await, std::slice::from_ref(&percent), "{header} {format}");
        }
        let capacity_column = "plant.capacity [kt/yr]";
        assert_eq!(inputs(&ana, &formatted(capacity_column, 1250.0, "#,##0"), "").await, [capacity(1250.0)]);

        let fault = async |header: &str, file: Vec<u8>| {
            let mut faults = faults(&ana, &file).await;
            let (line, column, message) = faults.pop().unwrap();
            assert_eq!((line, column.as_str(), faults.len()), (2, header, 0));
            message
        };
        for (value, format, message) in [
            (7.0, "yyyy-mm-dd", "the cell holds a date or a time, not a number"),
            (250_000.0, "#,##0,", "the cell holds a number of which its format shows thousandths, not a number"),
            (250.0, "[$€-407]0", "the cell holds \"€\" before a number, not a number"),
            (0.07, "0%", "the cell is in \"%\", its column in kt/yr"),
        ] {
            assert_eq!(fault(capacity_column, formatted(capacity_column, value, format)).await, message);
        }
        let other = |write: fn(&mut Worksheet, u32, u16)| workbook(capacity_column, write);
        let file = other(|sheet, row, column| drop(sheet.write_boolean(row, column, true)));
        assert_eq!(fault(capacity_column, file).await, "the cell holds a boolean, not a number");
        let file = other(|sheet, row, column| drop(sheet.write_string(row, column, "1.250")));
        assert_eq!(fault(capacity_column, file).await, "\"1.250\" may be 1.25 or 1250: write it as a number");
        let file = other(|sheet, row, _| drop(sheet.write_boolean(row, 0, true).unwrap().write_number(row, 4, 250)));
        assert_eq!(fault("name", file).await, "the cell holds a boolean, not a text");

        // A formula is named by its column, in the first and in the headers too.
        let project = ana.project().await;
        for (row, column, named) in [(1, 0, "line 2, column name"), (1, 4, "line 2, column plant.capacity [kt/yr]"),
            (0, 4, "line 1, column E"), (9, 9, "line 10, column J")]
        {
            let file = other_formula(capacity_column, row, column);
            let refused = ana.import(&project, &file, "").await.refused(422, "import.formula");
            assert_eq!(refused["detail"], format!("{named}: a formula; give the value"));
        }
        app.stop().await;
    }

    async fn what_some_programs_put_before_a_text_is_passed_over_and_what_is_compressed_is_refused(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let scenario = json!({ "name": "A", "process": "HEFA", "feedstock": "UCO", "country": "USA" });
        assert_eq!(inputs(&ana, format!("\u{feff}[{scenario}]").as_bytes(), "").await, [json!({})]);
        let body = format!("\u{feff}{}", json!({ "name": "Plants" }));
        let json_ = Some("application/json");
        ana.raw(Method::POST, "/projects", json_, body.clone()).await.is(201);

        let packed = ana.sending("Content-Encoding", "gzip");
        for path in ["/projects", "/calculate/quick"] {
            let refused = packed.raw(Method::POST, path, json_, body.clone()).await.refused(415, "content_encoding");
            assert_eq!(refused["detail"], "the body has Content-Encoding: gzip; send it as it is");
        }
        let project = ana.project().await;
        packed.import(&project, b"x", "").await.refused(415, "content_encoding");
        ana.sending("Content-Encoding", "identity").raw(Method::POST, "/projects", json_, body).await.is(201);
        app.stop().await;
    }
}

fn other_formula(header: &str, row: u32, column: u16) -> Vec<u8> {
    workbook(header, |sheet, _, _| drop(sheet.write_formula(row, column, "1+1")))
}
