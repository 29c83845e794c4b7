//! The program as it is installed: its command line, without a service.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::{app::SECRET, calculation::assert_worked_case};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

/// The program in that directory, with nothing from the environment of the tests.
pub fn safire(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_safire"));
    command.current_dir(directory).env_clear().stdin(Stdio::null());
    command
}

/// What the program says to these arguments in an empty directory.
pub fn invoke(arguments: &[&str]) -> Output {
    let files = tempfile::tempdir().unwrap();
    safire(files.path()).args(arguments).output().unwrap()
}

#[track_caller]
pub fn succeeds(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
pub fn fails(output: Output) -> String {
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    errors
}

#[track_caller]
pub fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "does not say {part:?}:\n{text}");
    }
}

/// A table's rows, with single spaces.
fn rows(table: &str) -> Vec<String> {
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[track_caller]
pub fn assert_rows(table: &str, expected: &[&str]) {
    let rows = rows(table);
    for row in expected {
        assert!(rows.iter().any(|found| found == row), "no row {row:?}:\n{table}");
    }
}

pub const KEY_FIGURES: [&str; 5] = [
    "LCOP 1495.81 USD/t",
    "NPV 3,224,127,521 USD",
    "IRR 85.52 %",
    "Payback 2 years",
    "Carbon intensity 21.35 gCO2e/MJ",
];

#[test]
fn the_program_says_its_version() {
    assert_eq!(succeeds(invoke(&["--version"])).trim(), concat!("safire ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_worked_case_is_calculated_from_a_file_as_a_table() {
    let table = succeeds(invoke(&["calculate", &format!("{EXAMPLES}/hefa-uco-usa.json")]));
    assert_rows(&table, &KEY_FIGURES);
    assert_rows(&table, &["/plant/capacity 500 kt/yr user", "/fossil/ci 89 gCO2e/MJ user"]);
    assert!(!table.contains("Trace"), "{table}");
}

#[test]
fn the_worked_case_is_calculated_from_a_file_as_json_and_with_its_trace() {
    let file = format!("{EXAMPLES}/hefa-uco-usa.json");
    let computed: Value = serde_json::from_str(&succeeds(invoke(&["calculate", &file, "--format", "json"]))).unwrap();
    assert_worked_case(&computed["result"]);
    assert_eq!(computed.get("trace"), None);
    let traced: Value =
        serde_json::from_str(&succeeds(invoke(&["calculate", &file, "--format", "json", "--trace"]))).unwrap();
    assert_eq!(traced["result"], computed["result"]);
    let steps = traced["trace"].as_array().unwrap();
    let lcop = steps.iter().find(|step| step["name"] == "lcop").unwrap();
    assert_eq!((&lcop["value"], &lcop["unit"]), (&traced["result"]["lcop_usd_per_t"], &json!("USD/t")));
    let table = succeeds(invoke(&["calculate", &file, "--trace"]));
    assert_rows(&table, &KEY_FIGURES);
    assert_says(&table, &["lcop = 1495.81434059", "(K + OPEX) / m"]);
}

#[test]
fn the_details_of_a_file_are_a_table_or_json() {
    let file = format!("{EXAMPLES}/hefa-uco-usa.json");
    let table = succeeds(invoke(&["calculate", &file, "--details"]));
    assert_rows(&table, &KEY_FIGURES);
    assert_rows(
        &table,
        &[
            "year capital sales of jet sales of diesel sales of naphtha revenue variable cost fixed cost",
            "0 400,000,000 0 0 0 0 0 0",
            "20 0 960,000,000 112,500,000 105,000,000 1,177,500,000 679,350,000 30,800,000",
            "Minimum for jet 1679.10 1.3601 5.1484 38.3357",
            "corsia yes 80.10 0.00 no",
            "red_rfnbo no 28.20 0.00 no",
            "difference 126,000 t/yr",
        ],
    );
    let json = succeeds(invoke(&["calculate", &file, "--details", "--format", "json"]));
    let computed: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(computed["details"]["cash_flow"]["years"][20]["cash_flow_usd"], computed["result"]["cash_flow_usd"][20]);
}

#[test]
fn the_example_with_a_profile_and_an_analysis_is_calculated() {
    let table = succeeds(invoke(&["calculate", &format!("{EXAMPLES}/hefa-uco-usa-nrel.json"), "--details"]));
    assert_rows(
        &table,
        &[
            "/finance/profile nrel-nth-plant user",
            "/finance/depreciation macrs_7 profile",
            "/economics/discount_rate 10 % profile",
            "Minimum selling price of jet 1747.48 USD/t",
            "NPV 2,422,900,184 USD",
        ],
    );
    assert_says(
        &table,
        &["Monte Carlo, 10000 samples of 10000", "Cash flow by year, in real USD, discounted at 10.00 %"],
    );
}

#[test]
fn a_breakeven_is_found_from_a_file() {
    let file = format!("{EXAMPLES}/hefa-uco-usa.json");
    let ask = |more: &[&str]| invoke(&[&["calculate", &file, "--breakeven"], more].concat());
    let price = "/feedstocks/UCO/price";
    let table = succeeds(ask(&[price, "--metric", "npv", "--target", "0"]));
    assert_rows(&table, &["value 1628.6566 USD/t", "looked for in -1,000.0000 to 10,230.0000 USD/t"]);
    let json = succeeds(ask(&[price, "--range", "0", "5", "USD/kg", "--format", "json"]));
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&found["range"]["to"], &found["answer"]["status"]), (&json!(5000.0), &json!("found")));
    assert_says(&fails(ask(&["/feedstocks/tallow/price"])), &["/input: /feedstocks/tallow/price is no input"]);
    let wide = fails(ask(&["/economics/tax_rate", "--range", "0", "200", "%"]));
    assert_says(&wide, &["/range: ", "0 to 1 1", "/economics/tax_rate"]);
}

#[test]
fn files_are_compared_by_what_each_change_contributes() {
    let [plain, nrel] = ["hefa-uco-usa", "hefa-uco-usa-nrel"].map(|name| format!("{EXAMPLES}/{name}.json"));
    let table = succeeds(invoke(&["compare", &plain, &nrel, "--metric", "npv"]));
    assert_rows(
        &table,
        &[
            "difference from the first -801,227,338 USD",
            "/economics/discount_rate 7 % -> 10 %",
            "/finance/depreciation another choice",
        ],
    );
    let json = succeeds(invoke(&["compare", &plain, &nrel, "--format", "json"]));
    let compared: Value = serde_json::from_str(&json).unwrap();
    let scenario = &compared["scenarios"][1];
    let changes = scenario["changes"].as_array().unwrap();
    let sum: f64 = changes.iter().map(|change| change["contribution"]["value"].as_f64().unwrap()).sum();
    let difference = scenario["difference"]["value"].as_f64().unwrap();
    assert!((sum / difference - 1.0).abs() < 1e-9, "{sum} is not {difference}");
    let one = invoke(&["compare", &plain]);
    assert_eq!(one.status.code(), Some(2), "{one:?}");
    let luck = invoke(&["compare", &plain, &nrel, "--metric", "luck"]);
    assert_says(&String::from_utf8(luck.stderr).unwrap(), &["luck", "npv"]);
}

#[test]
fn the_second_example_shows_which_values_are_defaults() {
    let table = succeeds(invoke(&["calculate", &format!("{EXAMPLES}/ft-btl-malaysia.json")]));
    assert_rows(
        &table,
        &[
            "/plant/capacity 200 kt/yr user",
            "/feedstocks/lignocellulosic-biomass/price 60 USD/t user",
            "/economics/tax_rate 24 % user",
            "/plant/process_ci 18 gCO2e/MJ default",
            "/economics/discount_rate 8 % default",
            "/fossil/ci 89 gCO2e/MJ default",
        ],
    );
}

#[test]
fn a_file_that_is_refused_is_refused_with_everything_that_is_wrong() {
    let files = tempfile::tempdir().unwrap();
    let wrong = |text: &str| {
        let file = files.path().join("wrong.json");
        std::fs::write(&file, text).unwrap();
        fails(invoke(&["calculate", file.to_str().unwrap()]))
    };
    let codes = r#""process":"HEFA","feedstock":"UCO","country":"USA""#;
    let violations = wrong(
        r#"{"process":"HEFAA","feedstock":"UCO","country":"USA","inputs":{
            "plant":{"capacity":{"value":500,"unit":"furlong"}},
            "products":{"kerosene":{"price":{"value":900,"unit":"USD/t"}}},
            "economics":{"lifetime":{"value":0,"unit":"yr"},"discount_rate":{"value":-1,"unit":"1"}}}}"#,
    );
    assert_says(
        &violations,
        &[
            "/process: ",
            "HEFAA",
            "HEFA, FT-BtL, ATJ, CHJ",
            "/inputs/products/kerosene: ",
            "/inputs/plant/capacity: ",
            "furlong",
            "t/yr, kt/yr",
            "/inputs/economics/lifetime: ",
            "1 to 100 yr",
            "/inputs/economics/discount_rate: ",
            "0 to 1",
        ],
    );
    assert_says(&wrong(&format!(r#"{{{codes},"colour":1}}"#)), &["colour"]);
    assert_says(
        &wrong(&format!(r#"{{{codes},"inputs":{{"plant":{{"size":1}}}}}}"#)),
        &["/inputs/plant/size: unknown field `size`"],
    );
    assert_says(
        &wrong(&format!(r#"{{{codes},"inputs":{{"plant":{{"capacity":500}}}}}}"#)),
        &["/inputs/plant/capacity: ", "a quantity such as"],
    );
    assert_says(&wrong("{"), &["wrong.json", "EOF"]);
    assert_says(&wrong(&format!("{{{codes}}} {{{codes}}}")), &["wrong.json", "trailing"]);
    assert_says(&fails(invoke(&["calculate", "nowhere.json"])), &["nowhere.json"]);
}

#[test]
fn a_configuration_is_printed_with_its_secrets_masked() {
    let files = tempfile::tempdir().unwrap();
    let mut check = safire(files.path());
    check.args(["config", "check"]);
    check.env("DATABASE_URL", "postgres://safire:hunter2@db.example.com/safire?sslpassword=hunter3");
    check.env("REDIS_URL", "redis://:hunter4@cache.example.com");
    check.env("SAFIRE_JWT_SECRET", SECRET).env("SAFIRE_ADMIN_PASSWORD", "hunter5").env("SAFIRE_HTTP__PORT", "8123");
    let shown = succeeds(check.output().unwrap());
    assert_says(&shown, &["port = 8123", "db.example.com", "********"]);
    for secret in ["hunter", SECRET] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(std::fs::read_dir(files.path()).unwrap().next().is_none(), "checking made files");
}

#[test]
fn a_key_or_a_value_that_does_not_exist_is_refused_wherever_it_is_set() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("wrong.toml");
    std::fs::write(&file, "[http]\nprot = 1\n").unwrap();
    let refused = |command: &mut Command| fails(command.output().unwrap());
    let check = |arguments: &[&str]| {
        let mut c = safire(files.path());
        c.args(["config", "check"]).args(arguments);
        c
    };
    assert_says(
        &refused(&mut check(&["--config", file.to_str().unwrap()])),
        &["http.prot", "wrong.toml", "did you mean http.port?"],
    );
    assert_says(&refused(&mut check(&["--set", "http.prot=1"])), &["http.prot", "did you mean http.port?"]);
    assert_says(
        &refused(check(&[]).env("SAFIRE_HTTP__PROT", "1")),
        &["SAFIRE_HTTP__PROT", "did you mean SAFIRE_HTTP__PORT?"],
    );
    assert_says(&refused(check(&[]).env("SAFIRE_HTTP__PORT", "70000")), &["http.port", "70000", "0 to 65535"]);
    assert_says(&refused(check(&[]).env("SAFIRE_JWT_SECRET", "short")), &["auth.jwt_secret", "32 bytes"]);
    std::fs::rename(&file, files.path().join("safire.toml")).unwrap();
    assert_says(&refused(&mut safire(files.path())), &["http.prot"]);
}

#[test]
fn postgresql_needs_a_key_that_all_replicas_share() {
    let files = tempfile::tempdir().unwrap();
    let mut serve = safire(files.path());
    serve.args(["serve", "--port", "0"]).env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
    assert_says(&String::from_utf8(serve.output().unwrap().stderr).unwrap(), &["SAFIRE_JWT_SECRET"]);
}

#[test]
fn a_healthcheck_of_nothing_fails() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    assert_says(&fails(invoke(&["healthcheck", "--port", &port])), &["no answer from", &port]);
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    for arguments in [
        &["openapi"][..],
        &["config", "reference"],
        &["config", "check"],
        &["calculate", "--format", "json", &format!("{EXAMPLES}/hefa-uco-usa.json")],
    ] {
        let files = tempfile::tempdir().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = safire(files.path()).args(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}
