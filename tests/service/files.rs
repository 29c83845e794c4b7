//! Results as files: a table that notebooks read, and a workbook that goes on calculating.

use std::process::Command;

use safire_test_support::on_both_engines;
use serde_json::{Value, json};

use crate::{
    app::{Client, ENDLESS, PANICS, TestApp},
    calculation::assert_close,
    python::python,
};

pub const CSV: &str = "text/csv; charset=utf-8";
pub const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const RECALCULATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/recalculate.py");

/// The summary of a workbook after a spreadsheet engine has recalculated it with these inputs, in their units.
async fn recalculated(workbook: Vec<u8>, changes: Value) -> Value {
    let recalculate = move || {
        let files = tempfile::tempdir().expect("a temporary directory");
        let path = files.path().join("book.xlsx");
        std::fs::write(&path, workbook).expect("a file");
        let output = Command::new(python()).arg(RECALCULATE).arg(&path).arg(changes.to_string()).output();
        let output = output.expect("Python runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    tokio::task::spawn_blocking(recalculate).await.expect("it does not panic")
}

/// The levelized costs and the net present value of a workbook are those of a result.
#[track_caller]
fn assert_same(summary: &Value, result: &Value) {
    for (name, key) in [
        ("Levelized cost of production", "lcop_usd_per_t"),
        ("Levelized cost after co-products", "lcop_net_usd_per_t"),
        ("Net present value", "npv_usd"),
        ("Total capital investment", "tci_usd"),
        ("Revenue", "revenue_usd_per_yr"),
    ] {
        assert_close(&summary[name], result[key].as_f64().unwrap_or_else(|| panic!("no {key} in {result}")));
    }
    for (name, key) in [("Payback", "payback_years"), ("Discounted payback", "discounted_payback_years")] {
        let found = &result[key]["value"];
        assert_eq!(summary[name], if found.is_null() { json!("never") } else { found.clone() }, "{key}");
    }
}

/// A new scenario with these inputs, calculated; returns where it is, and its result.
async fn calculated(ana: &Client, inputs: Value) -> (String, Value) {
    let project = ana.project().await;
    let at = format!("/scenarios/{}", ana.scenario(&project, inputs).await);
    let result = ana.post(&format!("{at}/calculate/sync"), None).await.is(200)["result"].clone();
    (at, result)
}

/// Changes the inputs of a workbook and of the scenario alike: the spreadsheet and the engine agree.
async fn assert_follows(ana: &Client, inputs: Value, cells: Value, changed: Value) {
    let (at, result) = calculated(ana, inputs).await;
    let workbook = ana.get(&format!("{at}/result?format=xlsx")).await.file(XLSX);
    assert_same(&recalculated(workbook.clone(), json!({})).await, &result);
    ana.patch(&at, json!({ "inputs": changed })).await.is(200);
    let after = ana.post(&format!("{at}/calculate/sync"), None).await.is(200);
    assert_ne!(after["result"]["npv_usd"], result["npv_usd"]);
    assert_same(&recalculated(workbook, cells).await, &after["result"]);
}

fn of(value: f64, unit: &str) -> Value {
    json!({ "value": value, "unit": unit })
}

/// The rows of a table, without its header.
fn rows(csv: &[u8]) -> Vec<Vec<String>> {
    let text = std::str::from_utf8(csv).expect("UTF-8");
    assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains('\n'), "lines end with CRLF");
    assert!(text.starts_with("section,name,year,value,unit,source\r\n"), "{text:.80}");
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// The cells of a sheet, as text.
pub fn sheet(workbook: Vec<u8>, name: &str) -> Vec<Vec<String>> {
    let mut book: calamine::Xlsx<_> = calamine::open_workbook_from_rs(std::io::Cursor::new(workbook)).unwrap();
    let sheet = calamine::Reader::worksheet_range(&mut book, name).unwrap();
    sheet.rows().map(|row| row.iter().map(ToString::to_string).collect()).collect()
}

on_both_engines! {
    needs "needs Python: run ./test"
    async fn a_workbook_recomputes_cost_and_value_and_follows_its_inputs(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let cells = json!({
            "/plant/capacity": 400, "/feedstocks/UCO/price": 1000, "/economics/discount_rate": 9,
            "/economics/tax_rate": 21, "/products/jet/price_sensitivity": 1.5, "/economics/working_capital_ratio": 5,
        });
        let changed = json!({
            "plant": { "capacity": of(400.0, "kt/yr") }, "feedstocks": { "UCO": { "price": of(1000.0, "USD/t") } },
            "economics": { "discount_rate": of(9.0, "%"), "tax_rate": of(21.0, "%"),
                           "working_capital_ratio": of(5.0, "%") },
            "products": { "jet": { "price_sensitivity": of(1.5, "USD/t per gCO2e/MJ") } },
        });
        assert_follows(&ana, json!({}), cells, changed).await;
        app.stop().await;
    }

    needs "needs Python: run ./test"
    async fn a_workbook_follows_loans_losses_start_up_and_escalation(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let inputs = |price: f64, rate: f64| json!({
            "products": { "jet": { "price": of(price, "USD/t") } }, "carbon": { "allocation": "economic_value" },
            "finance": { "profile": "nrel-nth-plant", "inflation": of(2.0, "%"), "debt_rate": of(rate, "%"),
                         "feedstock_escalation": of(1.0, "%"), "losses": "carried_forward" },
        });
        let cells = json!({ "/products/jet/price": 1100, "/finance/debt_rate": 6 });
        assert_follows(&ana, inputs(2000.0, 8.0), cells, inputs(1100.0, 6.0)).await;
        app.stop().await;
    }

    async fn a_table_has_every_number_and_no_formula(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let (at, result) = calculated(&ana, json!({})).await;
        ana.patch(&at, json!({ "name": "=1+1" })).await.is(200);
        let answer = ana.get(&format!("{at}/result?format=csv")).await;
        let tag = answer.header("etag").to_owned();
        let table = rows(&answer.file(CSV));
        let row = |section: &str, name: &str, year: &str| {
            let found = table.iter().find(|row| row[0] == section && row[1] == name && row[2] == year);
            found.unwrap_or_else(|| panic!("no {section} {name} {year}")).clone()
        };
        assert_eq!(row("scenario", "name", "")[3], "'=1+1");
        assert_eq!(row("result", "npv_usd", "")[3], result["npv_usd"].to_string());
        assert_eq!(row("result", "products.jet.usd_per_t", "")[3], result["products"][0]["usd_per_t"].to_string());
        assert_eq!(row("input", "/plant/capacity", "")[3..], ["500", "kt/yr", "default"]);
        assert_eq!(row("cash_flow", "cash_flow_usd", "20")[3], result["cash_flow_usd"][20].to_string());
        assert_eq!(row("cash_flow", "revenue_by_product_usd.jet", "1")[4], "USD");
        for row in &table {
            assert!(!row[3].starts_with(['=', '+', '@']), "{row:?}");
        }
        ana.sending("if-none-match", &tag).get(&format!("{at}/result?format=csv")).await.is(304);
        let run = ana.get(&format!("{at}/runs")).await.is(200)["items"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(rows(&ana.get(&format!("{at}/runs/{run}/result?format=csv")).await.file(CSV)), table);
        app.stop().await;
    }

    async fn a_result_that_does_not_exist_says_why_in_every_format(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let poor = json!({ "products": { "jet": { "price": of(100.0, "USD/t") } } });
        let (at, result) = calculated(&ana, poor).await;
        let table = rows(&ana.get(&format!("{at}/result?format=csv")).await.file(CSV));
        let book = sheet(ana.get(&format!("{at}/result?format=xlsx")).await.file(XLSX), "Summary");
        for (name, title) in [("irr", "Internal rate of return"), ("payback_years", "Payback")] {
            let reason = result[name]["reason"].as_str().unwrap_or_else(|| panic!("there is one: {result}"));
            assert!(table.iter().any(|row| row[1] == format!("{name}.reason") && row[3] == reason), "{name}");
            let row = book.iter().find(|row| row[0] == title).unwrap();
            assert_eq!(row[1], reason, "{name}");
        }
        app.stop().await;
    }

    async fn what_has_no_result_has_no_file(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let ana = app.register().await;
        let failed = format!("/scenarios/{}", ana.plant(PANICS).await);
        ana.post(&format!("{failed}/calculate/sync"), None).await.is(200);
        ana.get(&format!("{failed}/result?format=xlsx")).await.refused(409, "run.without_result");
        ana.get(&format!("{failed}/result?format=csv")).await.refused(409, "run.without_result");
        ana.get(&format!("{failed}/result?format=pdf")).await.refused(400, "query.invalid");
        let draft = ana.plant(ENDLESS).await;
        ana.get(&format!("/scenarios/{draft}/result?format=csv")).await.refused(404, "not_found");
        let (others, _) = calculated(&ana, json!({})).await;
        app.register().await.get(&format!("{others}/result?format=xlsx")).await.refused(404, "not_found");
        app.stop().await;
    }
}
