//! Tables of analyses beside the base analysis.

use safire_domain::engine::{
    AnalysisResult, Metric,
    sensitivity::{SobolResult, SpiderResult, SweepResult, TornadoResult},
    uncertainty::MonteCarloResult,
};

use super::{grouped, heading, line};

/// The table of a result.
pub(super) fn table(out: &mut String, result: &AnalysisResult) {
    match result {
        AnalysisResult::Base(_) => {}
        AnalysisResult::MonteCarlo(result) => monte_carlo(out, result),
        AnalysisResult::Sobol(result) => sobol(out, result),
        AnalysisResult::Tornado(result) => tornado(out, result),
        AnalysisResult::Spider(result) => spider(out, result),
        AnalysisResult::Sweep(result) => sweep(out, result),
    }
}

fn monte_carlo(out: &mut String, result: &MonteCarloResult) {
    heading(out, &format!("Monte Carlo, {} samples of {}", result.samples.analysed, result.samples.drawn));
    row(out, "", &["mean", "st. dev.", "P5", "P50", "P95", "P(< 0)"].map(str::to_owned));
    for metric in &result.metrics {
        let cells = match &metric.statistics {
            Some(found) => {
                let numbers = [found.mean, found.standard_deviation];
                let percentiles = &found.percentiles;
                let numbers = numbers.into_iter().chain([percentiles.p5, percentiles.p50, percentiles.p95]);
                numbers.map(number).chain([format!("{:.4}", found.below_zero)]).collect()
            }
            None => vec!["none".to_owned()],
        };
        row(out, &named(metric.metric, &metric.unit), &cells);
        for input in &metric.rank_correlations {
            let coefficient = input.coefficient.map_or_else(none, |value| format!("{value:.3}"));
            row(out, &format!("  {}", input.input), &[coefficient]);
        }
    }
}

fn sobol(out: &mut String, result: &SobolResult) {
    for metric in &result.metrics {
        heading(out, &format!("Sobol indices of {}", named(metric.metric, &metric.unit)));
        row(out, "", &["first", "from", "to", "total", "from", "to"].map(str::to_owned));
        for input in &metric.inputs {
            let share = |value: Option<f64>| value.map_or_else(none, |value| format!("{value:.4}"));
            let order = |index: Option<f64>, interval: Option<[f64; 2]>| {
                [share(index), share(interval.map(|ends| ends[0])), share(interval.map(|ends| ends[1]))]
            };
            let first = order(input.first_order, input.first_order_interval);
            let total = order(input.total_order, input.total_order_interval);
            row(out, &input.input, &[first, total].concat());
        }
    }
}

fn tornado(out: &mut String, result: &TornadoResult) {
    for metric in &result.metrics {
        heading(out, &format!("Tornado of {}", named(metric.metric, &metric.unit)));
        row(out, "", &["low", "high", "at low", "at high", "swing"].map(str::to_owned));
        for bar in &metric.bars {
            let values = [bar.at_low, bar.at_high, bar.swing].map(optional);
            let cells = [vec![number(bar.input.low), number(bar.input.high)], values.to_vec()].concat();
            row(out, &format!("{} ({})", bar.input.input, bar.input.unit), &cells);
        }
    }
}

fn spider(out: &mut String, result: &SpiderResult) {
    for metric in &result.metrics {
        heading(out, &format!("Spider of {}", named(metric.metric, &metric.unit)));
        let changes: Vec<_> = result.changes.iter().map(|change| format!("{:+.1} %", change * 100.0)).collect();
        row(out, "", &changes);
        for line in &metric.lines {
            row(out, &line.input, &line.values.iter().copied().map(optional).collect::<Vec<_>>());
        }
    }
}

/// One line for each value of the second input.
fn sweep(out: &mut String, result: &SweepResult) {
    for metric in &result.metrics {
        heading(out, &format!("Sweep of {}", named(metric.metric, &metric.unit)));
        row(out, "", &result.x.iter().copied().map(number).collect::<Vec<_>>());
        for (index, values) in metric.values.chunks(result.x.len().max(1)).enumerate() {
            let name = result.y.get(index).copied().map(number).unwrap_or_default();
            row(out, &name, &values.iter().copied().map(optional).collect::<Vec<_>>());
        }
    }
}

fn row(out: &mut String, name: &str, cells: &[String]) {
    let cells: String = cells.iter().map(|cell| format!("{cell:>16}")).collect();
    line(out, format_args!("  {name:<40}{cells}"));
}

fn named(metric: Metric, unit: &str) -> String {
    let name = serde_json::to_value(metric).ok();
    format!("{} ({unit})", name.as_ref().and_then(|name| name.as_str()).unwrap_or_default())
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(none, number)
}

fn none() -> String {
    "none".to_owned()
}

/// Whole where it is large, with four digits where it is small.
fn number(value: f64) -> String {
    if value.abs() >= 1000.0 { grouped(value, 0) } else { format!("{value:.4}") }
}
