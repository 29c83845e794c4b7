//! One or two inputs over whole ranges, and where a result crosses a value.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::breakeven::Sought;
use super::scan::{Asked, Found, Plan, Points, Scan, Values, known};
use crate::analysis::check::{Complaints, codes};
use crate::analysis::model::BaseModel;
use crate::analysis::result::AnalysisResult;
use crate::failure::Failure;
use crate::inputs::{Inputs, Invalid, Place};
use crate::metric::Metric;

/// A sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// The first input.
    pub x: Axis,
    /// The second input, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<Axis>,
    /// The results asked for, at most 4.
    pub metrics: Vec<Metric>,
    /// Where a metric has a certain value, e.g. the NPV 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breakeven: Vec<Breakeven>,
}

/// Evenly spaced values of an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// The input, as a JSON pointer.
    pub input: String,
    /// The unit of its values.
    pub unit: String,
    /// The first value.
    pub from: f64,
    /// The last value.
    pub to: f64,
    /// How many values there are, both ends included: 2 to 1,000.
    pub steps: u64,
}

/// A value of a metric to look for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Breakeven {
    /// One of the metrics of the sweep.
    pub metric: Metric,
    /// The value, in the metric's unit.
    pub value: f64,
}

/// The values at all points of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SweepResult {
    /// The values of the first input, in its unit.
    pub x: Vec<f64>,
    /// The values of the second input, in its unit; empty where there is none.
    pub y: Vec<f64>,
    /// The metrics, in the order in which they were asked for.
    pub metrics: Vec<MetricSweep>,
    /// Where the metrics have the values asked for.
    pub breakeven: Vec<BreakevenLine>,
}

/// A metric at all points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricSweep {
    /// The metric.
    pub metric: Metric,
    /// The unit of its values.
    pub unit: String,
    /// Its values: all x with the first y, then all x with the second y, …; null where there is none, or the
    /// scenario cannot be.
    pub values: Vec<Option<f64>>,
}

/// The points where a metric has a certain value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakevenLine {
    /// The metric.
    pub metric: Metric,
    /// Its value there.
    pub value: f64,
    /// The points: x, and y where there is a second input. Along each grid line from one grid point to the next. A metric
    /// of whole numbers, such as a payback, has the value between two of them.
    pub points: Vec<Vec<f64>>,
}

/// At most this many values on an axis.
pub const MAX_STEPS: u64 = 1000;
const MAX_METRICS: usize = 4;

impl Sweep {
    pub(crate) fn start(&self, base: &Inputs) -> Result<Scan, Invalid> {
        let mut complaints = Complaints::default();
        let x = self.x.checked("/x", base, &mut complaints);
        let y = self.y.as_ref().map(|y| y.checked("/y", base, &mut complaints));
        if self.y.as_ref().is_some_and(|y| y.input == self.x.input) {
            complaints.add("/y/input".into(), codes::REPEATED, "the second input is the first".into());
        }
        complaints.list("/metrics", "metrics", &self.metrics, MAX_METRICS);
        for (index, breakeven) in self.breakeven.iter().enumerate() {
            breakeven.check(index, &self.metrics, &mut complaints);
        }
        complaints.resolve()?;
        let axes: Vec<CheckedAxis> = x.into_iter().chain(y.flatten()).collect();
        let places: Vec<Place> = axes.iter().map(|axis| axis.place).collect();
        let model = BaseModel::new(base, places.clone(), self.metrics.clone());
        let points = match &axes[..] {
            [x, y] => Points::Mesh(x.values.clone(), y.values.clone()),
            axes => Points::Listed(axes.iter().map(|axis| axis.values.clone()).collect()),
        };
        let plan = Plan { model, points, inputs: places, metrics: self.metrics.len() };
        let factors = axes.iter().map(|axis| axis.factor).collect();
        Ok(Scan::new(plan, AskedSweep { spec: self.clone(), factors }))
    }
}

/// An axis in base units.
struct CheckedAxis {
    place: Place,
    values: Vec<f64>,
    /// Base units per unit.
    factor: f64,
}

impl Axis {
    fn checked(&self, at: &str, base: &Inputs, complaints: &mut Complaints) -> Option<CheckedAxis> {
        complaints.count(&format!("{at}/steps"), "the number of steps", self.steps, (2, MAX_STEPS));
        let place = complaints.place_in_unit(at, base, &self.input, &self.unit)?;
        let from = complaints.value(format!("{at}/from"), "the first value", place, &self.unit, self.from);
        let to = complaints.value(format!("{at}/to"), "the last value", place, &self.unit, self.to);
        complaints.ascending(at.to_owned(), "from and to", from, to);
        let factor = complaints.converted(&format!("{at}/unit"), place.field.group, &self.unit, 1.0);
        let values = evenly(from, to, self.steps.min(MAX_STEPS));
        if let Some(part) = values.iter().find(|value| place.field.range.whole && value.fract() != 0.0) {
            let what = format!("a step of {}", place.field.label);
            complaints.whole(&format!("{at}/steps"), &what, place, *part);
        }
        Some(CheckedAxis { place, values, factor })
    }
}

/// Both ends exactly, and evenly spaced values between them.
fn evenly(from: f64, to: f64, steps: u64) -> Vec<f64> {
    let last = steps.saturating_sub(1).max(1) as f64;
    let value = |step: f64| {
        let whole = from + (to - from) * step / last;
        if whole.fract() == 0.0 { whole } else { from * ((last - step) / last) + to * (step / last) }
    };
    (0..steps).map(|step| value(step as f64)).collect()
}

impl Breakeven {
    /// The metric takes the value, a whole number, from one edge to another.
    fn has_edges(self) -> bool {
        self.metric.is_whole() && self.value.fract() == 0.0
    }

    fn check(self, index: usize, metrics: &[Metric], complaints: &mut Complaints) {
        let at = format!("/breakeven/{index}");
        if !metrics.contains(&self.metric) {
            let message = "the metric is not one of those of the sweep";
            complaints.add(format!("{at}/metric"), codes::UNKNOWN_INPUT, message.into());
        }
        let allowed = crate::inputs::Allowed { min: -1e18, max: 1e18, unit: self.metric.unit(), min_exclusive: false };
        complaints.number(format!("{at}/value"), "the value", self.value, allowed);
    }
}

struct AskedSweep {
    spec: Sweep,
    factors: Vec<f64>,
}

impl Asked for AskedSweep {
    fn sought(&self) -> Vec<Sought> {
        let number = |metric: Metric| self.spec.metrics.iter().position(|known| *known == metric).unwrap_or_default();
        let sought = |breakeven: &Breakeven| -> Vec<Sought> {
            let metric = number(breakeven.metric);
            let at = |beside: f64| Sought { metric, value: breakeven.value + beside, wanted: Some(-beside) };
            match breakeven.has_edges() {
                true => vec![at(-0.5), at(0.5)],
                false => vec![Sought { metric, value: breakeven.value, wanted: None }],
            }
        };
        self.spec.breakeven.iter().flat_map(sought).collect()
    }

    fn answer(self: Box<Self>, values: Values, found: Found) -> Result<AnalysisResult, Failure> {
        let spec = &self.spec;
        let mut found = found.into_iter();
        let mut lines = Vec::new();
        for breakeven in &spec.breakeven {
            let edges = if breakeven.has_edges() { 2 } else { 1 };
            let mut points: Vec<Vec<f64>> = found.by_ref().take(edges).flatten().collect();
            points.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
            points.dedup();
            lines.push(self.line(*breakeven, points));
        }
        let metrics = spec.metrics.iter().zip(values);
        let metrics = metrics.map(|(metric, values)| MetricSweep {
            metric: *metric,
            unit: metric.unit().to_owned(),
            values: values.into_iter().map(known).collect(),
        });
        let shown = |axis: &Axis| evenly(axis.from, axis.to, axis.steps);
        Ok(AnalysisResult::Sweep(SweepResult {
            x: shown(&spec.x),
            y: spec.y.as_ref().map(shown).unwrap_or_default(),
            metrics: metrics.collect(),
            breakeven: lines,
        }))
    }
}

impl AskedSweep {
    fn line(&self, Breakeven { metric, value }: Breakeven, mut points: Vec<Vec<f64>>) -> BreakevenLine {
        for point in &mut points {
            for (coordinate, factor) in point.iter_mut().zip(&self.factors) {
                *coordinate /= factor;
            }
        }
        BreakevenLine { metric, value, points }
    }
}
