//! One input at a time, low and high: which matter most.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::scan::{Asked, Found, Plan, Points, Scan, Values, known};
use crate::analysis::check::Complaints;
use crate::analysis::model::BaseModel;
use crate::analysis::result::AnalysisResult;
use crate::failure::Failure;
use crate::inputs::{Inputs, Invalid, Place};
use crate::metric::Metric;
use crate::uncertainty::MAX_INPUTS;

/// A tornado analysis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tornado {
    /// The inputs, 1 to 50, each changed alone.
    pub inputs: Vec<LowAndHigh>,
    /// The results asked for.
    pub metrics: Vec<Metric>,
}

/// Two values of an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LowAndHigh {
    /// The input, as a JSON pointer.
    pub input: String,
    /// The unit of both values.
    pub unit: String,
    /// The low value.
    pub low: f64,
    /// The high value.
    pub high: f64,
}

/// The bars of each metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TornadoResult {
    /// The metrics, in the order in which they were asked for.
    pub metrics: Vec<MetricTornado>,
}

/// The bars of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricTornado {
    /// The metric.
    pub metric: Metric,
    /// The unit of its values.
    pub unit: String,
    /// Its value in the scenario as it is; null where there is none.
    pub base: Option<f64>,
    /// The bars, the widest first; those without swing last.
    pub bars: Vec<Bar>,
}

/// What an input does to a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bar {
    /// The input and its two values.
    #[serde(flatten)]
    pub input: LowAndHigh,
    /// The metric at the low value; null where there is none.
    pub at_low: Option<f64>,
    /// The metric at the high value; null where there is none.
    pub at_high: Option<f64>,
    /// The distance between the two.
    pub swing: Option<f64>,
}

impl Tornado {
    pub(crate) fn start(&self, base: &Inputs) -> Result<Scan, Invalid> {
        let mut complaints = Complaints::default();
        let names: Vec<&str> = self.inputs.iter().map(|input| input.input.as_str()).collect();
        complaints.list("/inputs", "inputs", &names, MAX_INPUTS);
        complaints.list("/metrics", "metrics", &self.metrics, Metric::ALL.len());
        let mut ends = Vec::new();
        for (index, input) in self.inputs.iter().enumerate().take(MAX_INPUTS) {
            ends.extend(input.checked(index, base, &mut complaints));
        }
        complaints.resolve()?;
        let places: Vec<Place> = ends.iter().map(|(place, _)| *place).collect();
        let model = BaseModel::new(base, places.clone(), self.metrics.clone());
        let points = points(base, &ends);
        let plan = Plan { model, points, inputs: places, metrics: self.metrics.len() };
        Ok(Scan::new(plan, self.clone()))
    }
}

impl LowAndHigh {
    fn checked(&self, index: usize, base: &Inputs, complaints: &mut Complaints) -> Option<(Place, [f64; 2])> {
        let at = format!("/inputs/{index}");
        let place = complaints.place_in_unit(&at, base, &self.input, &self.unit)?;
        let label = place.field.label;
        let low = complaints.value(format!("{at}/low"), &format!("low {label}"), place, &self.unit, self.low);
        let high = complaints.value(format!("{at}/high"), &format!("high {label}"), place, &self.unit, self.high);
        complaints.ascending(at, "low and high", low, high);
        Some((place, [low, high]))
    }
}

/// The scenario as it is, then each input at its two ends.
fn points(base: &Inputs, ends: &[(Place, [f64; 2])]) -> Points {
    let count = 1 + 2 * ends.len();
    let columns = ends.iter().enumerate().map(|(number, (place, [low, high]))| {
        let mut values = vec![base.number(*place); count];
        (values[1 + 2 * number], values[2 + 2 * number]) = (*low, *high);
        values
    });
    Points::Listed(columns.collect())
}

impl Asked for Tornado {
    fn answer(self: Box<Self>, values: Values, _: Found) -> Result<AnalysisResult, Failure> {
        let metrics = self.metrics.iter().zip(&values);
        let metrics = metrics.map(|(metric, values)| MetricTornado {
            metric: *metric,
            unit: metric.unit().to_owned(),
            base: known(values[0]),
            bars: self.bars(&values[1..]),
        });
        Ok(AnalysisResult::Tornado(TornadoResult { metrics: metrics.collect() }))
    }
}

impl Tornado {
    fn bars(&self, ends: &[f64]) -> Vec<Bar> {
        let bar = |(input, ends): (&LowAndHigh, &[f64])| Bar {
            input: input.clone(),
            at_low: known(ends[0]),
            at_high: known(ends[1]),
            swing: known((ends[1] - ends[0]).abs()),
        };
        let mut bars: Vec<Bar> = self.inputs.iter().zip(ends.chunks(2)).map(bar).collect();
        let width = |bar: &Bar| bar.swing.unwrap_or(f64::NEG_INFINITY);
        bars.sort_by(|a, b| width(b).total_cmp(&width(a)));
        bars
    }
}
