//! Several inputs, each changed alone by the same shares of its value: how results bend.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::scan::{Asked, Found, Plan, Points, Scan, Values, known};
use crate::analysis::check::Complaints;
use crate::analysis::model::BaseModel;
use crate::analysis::result::AnalysisResult;
use crate::failure::Failure;
use crate::inputs::{Allowed, Inputs, Invalid, Place};
use crate::metric::Metric;
use crate::uncertainty::MAX_INPUTS;

/// A spider analysis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Spider {
    /// The inputs, as JSON pointers, 1 to 50, each changed alone.
    pub inputs: Vec<String>,
    /// By which shares of its value each is changed, ascending, −1 to 10, at most 101: −0.2 is 20 % less.
    pub changes: Vec<f64>,
    /// The results asked for.
    pub metrics: Vec<Metric>,
}

/// The lines of each metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SpiderResult {
    /// The shares by which the inputs were changed.
    pub changes: Vec<f64>,
    /// The metrics, in the order in which they were asked for.
    pub metrics: Vec<MetricSpider>,
}

/// The lines of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricSpider {
    /// The metric.
    pub metric: Metric,
    /// The unit of its values.
    pub unit: String,
    /// A line for each input.
    pub lines: Vec<Line>,
}

/// What an input does to a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The input, as a JSON pointer.
    pub input: String,
    /// The metric at each change; null where there is none, or the changed input would be out of its range or would
    /// have to be a whole number and is not.
    pub values: Vec<Option<f64>>,
}

/// At most this many changes.
const MAX_CHANGES: usize = 101;

impl Spider {
    pub(crate) fn start(&self, base: &Inputs) -> Result<Scan, Invalid> {
        let mut complaints = Complaints::default();
        complaints.list("/inputs", "inputs", &self.inputs, MAX_INPUTS);
        complaints.list("/changes", "changes", &self.changes, MAX_CHANGES);
        complaints.list("/metrics", "metrics", &self.metrics, Metric::ALL.len());
        for (index, change) in self.changes.iter().enumerate().take(MAX_CHANGES) {
            let allowed = Allowed { min: -1.0, max: 10.0, unit: "1", min_exclusive: false };
            complaints.number(format!("/changes/{index}"), "the change", *change, allowed);
        }
        for pair in self.changes.windows(2).take(MAX_CHANGES) {
            complaints.ascending("/changes".into(), "changes", pair[0], pair[1]);
        }
        let mut places = Vec::new();
        for (index, input) in self.inputs.iter().enumerate().take(MAX_INPUTS) {
            places.extend(complaints.place(format!("/inputs/{index}"), base, input));
        }
        complaints.resolve()?;
        let model = BaseModel::new(base, places.clone(), self.metrics.clone());
        let points = self.points(base, &places);
        let plan = Plan { model, points, inputs: places, metrics: self.metrics.len() };
        Ok(Scan::new(plan, self.clone()))
    }

    /// Line after line.
    fn points(&self, base: &Inputs, places: &[Place]) -> Points {
        let changes = self.changes.len();
        let columns = places.iter().enumerate().map(|(line, place)| {
            let value = base.number(*place);
            let mut values = vec![value; changes * places.len()];
            for (changed, change) in values[line * changes..].iter_mut().zip(&self.changes) {
                let value = value * (1.0 + change);
                // A whole-number input has no other values: the point is refused, as one out of its range.
                *changed = if place.field.range.whole && value.fract() != 0.0 { f64::NAN } else { value };
            }
            values
        });
        Points::Listed(columns.collect())
    }

    fn lines(&self, values: &[f64]) -> Vec<Line> {
        let lines = self.inputs.iter().zip(values.chunks(self.changes.len()));
        let line = |(input, values): (&String, &[f64])| Line {
            input: input.clone(),
            values: values.iter().map(|value| known(*value)).collect(),
        };
        lines.map(line).collect()
    }
}

impl Asked for Spider {
    fn answer(self: Box<Self>, values: Values, _: Found) -> Result<AnalysisResult, Failure> {
        let metrics = self.metrics.iter().zip(&values);
        let metrics = metrics.map(|(metric, values)| MetricSpider {
            metric: *metric,
            unit: metric.unit().to_owned(),
            lines: self.lines(values),
        });
        let metrics = metrics.collect();
        Ok(AnalysisResult::Spider(SpiderResult { changes: self.changes, metrics }))
    }
}
