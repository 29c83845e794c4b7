//! One input at a time, low and high: which matter most.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::scan::{Asked, Found, Plan, Points, Scan, Values, known};
use crate::analysis::check::Complaints;
use crate::analysis::model::BaseModel;
use crate::analysis::result::AnalysisResult;
use crate::answer::Answer;
use crate::base::analyse;
use crate::failure::Failure;
use crate::inputs::{Inputs, Invalid, Place, Variation};
use crate::metric::Metric;
use crate::trace::Plain;
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
    /// The bars, the widest first; those without swing last. A bar with one end is as wide as that end is far from the base.
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
    /// The distance between the two; where one of them is null, between the other and the scenario as it is.
    pub swing: Option<f64>,
    /// Why there is no metric at the low value: the swing is that of the high value alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_reason: Option<String>,
    /// Why there is no metric at the high value: the swing is that of the low value alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_reason: Option<String>,
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
        Ok(Scan::new(plan, AskedTornado { spec: self.clone(), base: base.clone(), ends }))
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

/// A tornado with what its ends are told by.
struct AskedTornado {
    spec: Tornado,
    base: Inputs,
    ends: Vec<(Place, [f64; 2])>,
}

impl Asked for AskedTornado {
    fn answer(self: Box<Self>, values: Values, _: Found) -> Result<AnalysisResult, Failure> {
        let metrics = self.spec.metrics.iter().zip(&values);
        let metrics = metrics.map(|(metric, values)| MetricTornado {
            metric: *metric,
            unit: metric.unit().to_owned(),
            base: known(values[0]),
            bars: self.bars(*metric, values[0], &values[1..]),
        });
        Ok(AnalysisResult::Tornado(TornadoResult { metrics: metrics.collect() }))
    }
}

impl AskedTornado {
    fn bars(&self, metric: Metric, base: f64, values: &[f64]) -> Vec<Bar> {
        let inputs = self.spec.inputs.iter().zip(&self.ends).zip(values.chunks(2));
        let bars = inputs.map(|((input, (place, ends)), values)| {
            let [low, high] = [values[0], values[1]];
            let reason = |end: usize| values[end].is_nan().then(|| self.reason(metric, *place, ends[end]));
            let swing = match (low.is_nan(), high.is_nan()) {
                (true, false) => high - base,
                (false, true) => low - base,
                _ => high - low,
            };
            Bar {
                input: input.clone(),
                at_low: known(low),
                at_high: known(high),
                swing: known(swing.abs()),
                low_reason: reason(0),
                high_reason: reason(1),
            }
        });
        let mut bars: Vec<Bar> = bars.collect();
        let width = |bar: &Bar| bar.swing.unwrap_or(f64::NEG_INFINITY);
        bars.sort_by(|a, b| width(b).total_cmp(&width(a)));
        bars
    }

    /// Why there is no metric with that value.
    fn reason(&self, metric: Metric, place: Place, value: f64) -> String {
        let mut variation = Variation::of(&self.base);
        if !variation.put(place, value) {
            return format!("{} may not have this value", place.field.label);
        }
        let Some(varied) = variation.balanced() else {
            return "the plant cannot be: its products would not be made of its feedstocks, or its debt not be repaid \
                    while it runs"
                .into();
        };
        match analyse(varied, &mut Plain) {
            Err(failure) => failure.to_string(),
            Ok(result) => match metric.answer(&result) {
                Answer::None { reason } => reason,
                _ => "there is not exactly one value".into(),
            },
        }
    }
}
