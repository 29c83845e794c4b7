//! Tables of comparisons and breakevens.

use safire_domain::{
    breakeven::BreakevenAnswer,
    engine::{
        Comparison, Metric, Quantity,
        compare::{ChangedInput, Compared},
    },
};

use super::{answer, grouped, heading, line, plain, row};

/// What the changes between scenarios do to a metric.
pub fn contributions(comparison: &Comparison) -> String {
    let mut out = String::new();
    for compared in &comparison.scenarios {
        scenario(&mut out, comparison, compared);
    }
    out
}

fn scenario(out: &mut String, comparison: &Comparison, compared: &Compared) {
    heading(out, &compared.name);
    let unit = comparison.unit.as_str();
    row(out, &name(comparison.metric), &answer(&compared.value, number), unit);
    row(out, "difference from the first", &answer(&compared.difference, number), unit);
    for change in &compared.changes {
        line(out, format_args!("  {:>32}  {unit}", answer(&change.contribution, number)));
        for input in &change.inputs {
            line(out, format_args!("      {:<52} {}", input.pointer, moved(input)));
        }
    }
}

/// At which value of an input a metric is as wanted.
pub fn breakeven(found: &BreakevenAnswer) -> String {
    let mut out = String::new();
    let target = format!("{} = {} {}", name(found.metric), number(found.target), found.metric_unit);
    heading(&mut out, &format!("Breakeven of {} for {target}", found.input));
    row(&mut out, "value", &answer(&found.answer, |value| plain(value, 4)), &found.unit);
    let range = &found.range;
    row(&mut out, "looked for in", &format!("{} to {}", number(range.from), number(range.to)), &range.unit);
    out
}

fn name(metric: Metric) -> String {
    let name = serde_json::to_value(metric).ok();
    name.as_ref().and_then(|name| name.as_str()).unwrap_or_default().to_owned()
}

/// From what to what; a choice has no numbers.
fn moved(input: &ChangedInput) -> String {
    if input.from.is_none() && input.to.is_none() {
        return "another choice".to_owned();
    }
    let shown = |given: &Quantity| format!("{} {}", given.value, given.unit);
    let [from, to] = [&input.from, &input.to].map(|given| given.as_ref().map_or_else(|| "-".to_owned(), shown));
    format!("{from} -> {to}")
}

/// Whole where it is large, with four digits where it is small.
fn number(value: f64) -> String {
    if value.abs() >= 1e6 { grouped(value, 0) } else { grouped(value, 4) }
}
