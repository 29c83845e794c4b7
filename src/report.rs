//! A result as a table for people.

mod analysis;
mod details;
mod questions;

use std::fmt::Write;

use safire_domain::{
    engine::{Answer, BaseAnalysis, ENGINE_VERSION, ResolvedInput, Source, Step},
    run::Computed,
    scenario::Pathway,
};

pub use questions::{breakeven, contributions};

/// The table of a result: key figures, plant, products, inputs with their source and, when they are
/// there, the analysis, the details and the trace.
pub fn table(pathway: &Pathway, computed: &Computed) -> String {
    let mut out = String::new();
    let Pathway { process, feedstock, country } = pathway;
    line(&mut out, format_args!("{process} / {feedstock} / {country}  (engine {ENGINE_VERSION})"));
    key_figures(&mut out, &computed.result);
    plant(&mut out, &computed.result);
    products(&mut out, &computed.result);
    inputs(&mut out, &computed.resolved_inputs);
    if let Some(result) = &computed.analysis {
        analysis::table(&mut out, result);
    }
    if let Some(found) = &computed.details {
        details::tables(&mut out, found);
    }
    if let Some(steps) = &computed.trace {
        trace(&mut out, steps);
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

fn heading(out: &mut String, title: &str) {
    line(out, format_args!("\n{title}\n{}", "-".repeat(title.len())));
}

fn row(out: &mut String, name: &str, value: &str, unit: &str) {
    line(out, format_args!("  {name:<32} {value:>20}  {unit}"));
}

fn key_figures(out: &mut String, result: &BaseAnalysis) {
    let main = result.products.first().map_or("product", |product| product.code.as_str());
    heading(out, "Key figures");
    row(out, "LCOP", &plain(result.lcop_usd_per_t, 2), "USD/t");
    row(out, "LCOP net of co-products", &plain(result.lcop_net_usd_per_t, 2), &format!("USD/t {main}"));
    row(out, &format!("Minimum selling price of {main}"), &answer(&result.msp_usd_per_t, |v| plain(v, 2)), "USD/t");
    row(out, "NPV", &grouped(result.npv_usd, 0), "USD");
    row(out, "IRR", &answer(&result.irr, |v| plain(v * 100.0, 2)), "%");
    row(out, "Payback", &answer(&result.payback_years, |v| plain(v, 0)), "years");
    negative_again(out, result.payback_negative_again_year);
    row(out, "Discounted payback", &answer(&result.discounted_payback_years, |v| plain(v, 0)), "years");
    negative_again(out, result.discounted_payback_negative_again_year);
    row(out, "Carbon intensity", &plain(result.ci_g_per_mj.total, 2), "gCO2e/MJ");
    row(out, "Abatement cost", &answer(&result.abatement_usd_per_t, |v| plain(v, 2)), "USD/tCO2e");
}

/// Says when the sum of the cash flow is negative again after a payback.
fn negative_again(out: &mut String, year: Option<i32>) {
    if let Some(year) = year {
        row(out, "  negative again in year", &year.to_string(), "");
    }
}

fn plant(out: &mut String, result: &BaseAnalysis) {
    heading(out, "Plant");
    row(out, "Total capital investment", &grouped(result.tci_usd, 0), "USD");
    for feedstock in &result.feedstocks {
        row(out, &format!("Feedstock {}", feedstock.code), &grouped(feedstock.t_per_yr, 0), "t/yr");
    }
    row(out, "Hydrogen", &grouped(result.hydrogen.t_per_yr, 0), "t/yr");
    row(out, "Electricity", &grouped(result.electricity.mwh_per_yr, 0), "MWh/yr");
    row(out, "OPEX", &grouped(result.opex_usd_per_yr.total, 0), "USD/yr");
    row(out, "Revenue", &grouped(result.revenue_usd_per_yr, 0), "USD/yr");
    row(out, "Emissions", &grouped(result.co2e_t_per_yr, 0), "tCO2e/yr");
}

fn products(out: &mut String, result: &BaseAnalysis) {
    heading(out, "Products");
    let columns = ["product", "t/yr", "USD/t", "CCE %", "tCO2e/yr"];
    line(
        out,
        format_args!("  {:<12}{:>14}{:>12}{:>10}{:>14}", columns[0], columns[1], columns[2], columns[3], columns[4]),
    );
    for product in &result.products {
        let cells = [
            grouped(product.t_per_yr, 0),
            plain(product.usd_per_t, 2),
            plain(product.cce_percent, 2),
            grouped(product.co2e_t_per_yr, 0),
        ];
        line(
            out,
            format_args!("  {:<12}{:>14}{:>12}{:>10}{:>14}", product.code, cells[0], cells[1], cells[2], cells[3]),
        );
    }
}

fn inputs(out: &mut String, inputs: &[ResolvedInput]) {
    heading(out, "Inputs");
    for input in inputs {
        let source = giver(input.source);
        line(out, format_args!("  {:<52} {:>14} {:<24} {source}", input.pointer, input.value, input.unit));
    }
}

fn giver(source: Source) -> &'static str {
    match source {
        Source::User => "user",
        Source::Profile => "profile",
        Source::Default => "default",
    }
}

fn trace(out: &mut String, steps: &[Step]) {
    heading(out, "Trace");
    for step in steps {
        let value = step.value.map_or_else(|| step.note.clone().unwrap_or_default(), |value| value.to_string());
        line(out, format_args!("  {} = {value} {}", step.name, step.unit));
        line(out, format_args!("      {}", step.formula));
        for input in &step.inputs {
            line(out, format_args!("      {} = {} {}   [{}]", input.symbol, input.value, input.unit, input.source));
        }
    }
}

fn answer(answer: &Answer, show: impl Fn(f64) -> String) -> String {
    match answer {
        Answer::None { reason } => format!("none: {reason}"),
        _ => answer.shown(show),
    }
}

fn plain(value: f64, decimals: usize) -> String {
    format!("{value:.decimals$}")
}

/// A number with thousands set apart.
fn grouped(value: f64, decimals: usize) -> String {
    let text = plain(value.abs(), decimals);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = whole.len();
    let mut out = String::from(if value < 0.0 { "-" } else { "" });
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (digits - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(3_224_127_521.28, 0), "3,224,127,521");
        assert_eq!(grouped(-1234.5, 1), "-1,234.5");
        assert_eq!(grouped(999.0, 0), "999");
    }
}
