//! Sobol indices: which share of a result's variance each uncertain input brings.

use std::any::Any;
use std::sync::Arc;

use super::block::{Block, Blocks};
use super::bootstrap::{Bootstrap, Interval};
use super::index_result::{IndexCounts, MetricIndices, SobolIndex, SobolResult};
use super::rows::{PivotRows, Plan, Rows};
use crate::analysis::check::Complaints;
use crate::analysis::job::{Stages, Work};
use crate::analysis::model::{BaseModel, Model};
use crate::analysis::result::AnalysisResult;
use crate::failure::Failure;
use crate::inputs::{Allowed, Inputs, Invalid};
use crate::metric::Metric;
use crate::uncertainty::draws::{Draws, Source};
use crate::uncertainty::sobol::Coordinate;
use crate::uncertainty::{CheckedInputs, Distribution, NOTHING_LEFT, UncertainInput};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A variance-based sensitivity analysis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sobol {
    /// N, 16 to 1,048,576, best a power of two; the base analysis runs N · (inputs + 2) times.
    pub samples: u64,
    /// The same seed gives the same samples.
    #[serde(default)]
    pub seed: u64,
    /// The uncertain inputs, 1 to 50; independent of each other.
    pub inputs: Vec<UncertainInput>,
    /// The results asked for.
    pub metrics: Vec<Metric>,
    /// How often the samples are drawn again for the confidence intervals, 10 to 1,000.
    #[serde(default = "usual_resamples")]
    pub resamples: u64,
    /// The probability that an interval covers, 0.5 to 0.999.
    #[serde(default = "usual_confidence")]
    pub confidence: f64,
}

fn usual_resamples() -> u64 {
    100
}

fn usual_confidence() -> f64 {
    0.95
}

/// At most this many samples.
pub const MAX_SOBOL_SAMPLES: u64 = 1 << 20;

impl Sobol {
    pub(crate) fn start(&self, base: &Inputs) -> Result<IndexStages<BaseModel>, Invalid> {
        let mut complaints = Complaints::default();
        complaints.count("/samples", "the number of samples", self.samples, (16, MAX_SOBOL_SAMPLES));
        let CheckedInputs { places, distributions } = CheckedInputs::of(&self.inputs, base, &mut complaints);
        complaints.list("/metrics", "metrics", &self.metrics, Metric::ALL.len());
        complaints.count("/resamples", "the number of resamples", self.resamples, (10, 1000));
        let allowed = Allowed { min: 0.5, max: 0.999, unit: "1", min_exclusive: false };
        complaints.number("/confidence".into(), "the confidence", self.confidence, allowed);
        complaints.resolve()?;
        let model = BaseModel::new(base, places, self.metrics.clone());
        Ok(IndexStages::new(self.clone(), &distributions, model))
    }
}

/// The stages: typical values to subtract, the rows of the scheme, the bootstrap.
///
/// # Source
///
/// The scheme: Saltelli et al., *Variance based sensitivity analysis of model output*, Computer Physics
/// Communications 181, 2010: first order by its table 2 (b), total order after Jansen, 1999, by its table 2 (f).
pub(crate) struct IndexStages<M> {
    spec: Sobol,
    plan: Arc<Plan<M>>,
    stage: Stage,
    pivots: Arc<Vec<f64>>,
    blocks: Blocks,
    intervals: Vec<Vec<Interval>>,
}

enum Stage {
    Pivots { taken: bool },
    Rows { next: u64, merged: u64 },
    Bootstrap { taken: bool },
    Done,
}

impl<M: Model + 'static> IndexStages<M> {
    pub fn new(spec: Sobol, distributions: &[Distribution], model: M) -> Self {
        let inputs = distributions.len();
        let draws = |first: usize| {
            let coordinate = |input| Source::Sobol(Box::new(Coordinate::new(first + input, spec.seed)));
            Draws::new((0..inputs).map(coordinate).collect(), distributions, None)
        };
        let plan =
            Plan { first: draws(0), second: draws(inputs), model, metrics: spec.metrics.len(), samples: spec.samples };
        Self {
            blocks: Blocks::of(spec.samples, spec.metrics.len(), inputs),
            spec,
            plan: Arc::new(plan),
            stage: Stage::Pivots { taken: false },
            pivots: Arc::default(),
            intervals: Vec::new(),
        }
    }

    fn merge_rows(&mut self, rows: Rows<M>) {
        let length = rows.length();
        self.blocks.put(rows.first(), rows.into_blocks());
        if let Stage::Rows { merged, .. } = &mut self.stage {
            *merged += length;
            if *merged == self.spec.samples {
                self.stage = Stage::Bootstrap { taken: false };
            }
        }
    }

    fn result(&self) -> Result<SobolResult, Failure> {
        let metrics = self.spec.metrics.iter().enumerate();
        let metrics: Vec<MetricIndices> = metrics.map(|(number, metric)| self.metric(number, *metric)).collect();
        if metrics.iter().all(|metric| metric.samples.used == 0) {
            let message = "no metric has a value in all evaluations of any sample";
            return Err(Failure::new(NOTHING_LEFT, message));
        }
        Ok(SobolResult { metrics })
    }

    fn metric(&self, number: usize, metric: Metric) -> MetricIndices {
        let total: Block = self.blocks.total(number);
        let intervals = &self.intervals[number];
        let inputs = self.spec.inputs.iter().enumerate();
        let estimates = |input: usize| total.indices(input);
        let index = |(input, uncertain): (usize, &UncertainInput)| {
            let (first, all) = estimates(input).unzip();
            SobolIndex {
                input: uncertain.input.clone(),
                first_order: first,
                first_order_interval: first.and(intervals[2 * input]),
                total_order: all,
                total_order_interval: all.and(intervals[2 * input + 1]),
            }
        };
        let used = total.rows();
        let samples = IndexCounts { drawn: self.spec.samples, used, left_out: self.spec.samples - used };
        MetricIndices {
            metric,
            unit: metric.unit().to_owned(),
            samples,
            variance: total.variance(),
            inputs: inputs.map(index).collect(),
        }
    }
}

impl<M: Model + 'static> Stages for IndexStages<M> {
    fn stage(&self) -> &'static str {
        match self.stage {
            Stage::Pivots { .. } => "pilot",
            Stage::Rows { .. } => "samples",
            Stage::Bootstrap { .. } => "bootstrap",
            Stage::Done => "done",
        }
    }

    fn total(&self) -> u64 {
        self.spec.samples * (self.plan.first.len() as u64 + 2)
    }

    fn next(&mut self) -> Option<Box<dyn Work>> {
        match &mut self.stage {
            Stage::Pivots { taken } if !*taken => {
                *taken = true;
                Some(Box::new(PivotRows::new(&self.plan)))
            }
            Stage::Rows { next, .. } if *next < self.spec.samples => {
                let length = self.blocks.chunk().min(self.spec.samples - *next);
                let rows = Rows::new(&self.plan, &self.pivots, *next, length, self.blocks.part(length));
                *next += length;
                Some(Box::new(rows))
            }
            Stage::Bootstrap { taken } if !*taken => {
                *taken = true;
                let blocks = self.blocks.clone();
                Some(Box::new(Bootstrap::new(blocks, self.spec.seed, self.spec.resamples, self.spec.confidence)))
            }
            Stage::Pivots { .. } | Stage::Rows { .. } | Stage::Bootstrap { .. } | Stage::Done => None,
        }
    }

    fn merge(&mut self, work: Box<dyn Any>) {
        let work = match work.downcast::<Rows<M>>() {
            Ok(rows) => return self.merge_rows(*rows),
            Err(other) => other,
        };
        match work.downcast::<PivotRows<M>>() {
            Ok(rows) => {
                self.pivots = Arc::new(rows.pivots());
                self.stage = Stage::Rows { next: 0, merged: 0 };
            }
            Err(other) => {
                self.intervals = other.downcast::<Bootstrap>().map(|done| done.intervals).unwrap_or_default();
                self.stage = Stage::Done;
            }
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    fn finish(self: Box<Self>) -> Result<AnalysisResult, Failure> {
        self.result().map(AnalysisResult::Sobol)
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::{IndexStages, Metric, Model, Sobol, SobolResult};
    use crate::analysis::AnalysisResult;
    use crate::analysis::job::Job;
    use crate::analysis::model::{FINE, Outcomes};
    use crate::lanes::Column;
    use crate::uncertainty::{Distribution, UncertainInput};

    /// sin x1 + 7 sin² x2 + 0.1 x3⁴ sin x1: Ishigami and Homma, ISUMA 1990.
    struct Ishigami;

    impl Model for Ishigami {
        fn evaluate(&self, inputs: &mut [Column], used: usize, outcomes: &mut Outcomes) {
            for (i, x3) in inputs[2].iter().enumerate().take(used) {
                let (x1, x2) = (inputs[0][i], inputs[1][i]);
                outcomes.fates[i] = FINE;
                outcomes.values[0][i] = x1.sin() + 7.0 * x2.sin().powi(2) + 0.1 * x3.powi(4) * x1.sin();
            }
        }

        fn tiles_per_slice(&self) -> u64 {
            1
        }
    }

    fn indices(samples: u64, seed: u64) -> SobolResult {
        let distribution = Distribution::Uniform { min: -PI, max: PI };
        let input =
            |name: &str| UncertainInput { input: name.into(), unit: "1".into(), distribution: distribution.clone() };
        let inputs = vec![input("/x1"), input("/x2"), input("/x3")];
        let spec = Sobol { samples, seed, inputs, metrics: vec![Metric::Npv], resamples: 100, confidence: 0.95 };
        let distributions = vec![distribution; 3];
        match Job::new(IndexStages::new(spec, &distributions, Ishigami)).finish().unwrap() {
            AnalysisResult::Sobol(result) => result,
            other => panic!("{other:?}"),
        }
    }

    const FIRST: [f64; 3] = [0.3139, 0.4424, 0.0];
    const TOTAL: [f64; 3] = [0.5576, 0.4424, 0.2437];

    #[test]
    fn the_indices_of_ishigami_are_the_known_ones() {
        let result = indices(1 << 15, 1);
        let metric = &result.metrics[0];
        // (1/8 · 49 + 0.1 π⁴/5 + 0.01 π⁸/18 + 1/2)
        assert!((metric.variance.unwrap() - 13.8445).abs() < 0.02, "{:?}", metric.variance);
        for ((index, first), total) in metric.inputs.iter().zip(FIRST).zip(TOTAL) {
            assert!((index.first_order.unwrap() - first).abs() < 0.002, "{index:?} is not {first}");
            assert!((index.total_order.unwrap() - total).abs() < 0.002, "{index:?} is not {total}");
        }
    }

    #[test]
    fn the_intervals_cover_the_known_indices_and_shrink_with_more_samples() {
        let width = |result: &SobolResult| {
            let [low, high] = result.metrics[0].inputs[0].first_order_interval.unwrap();
            high - low
        };
        let (few, many) = (indices(512, 3), indices(1 << 13, 3));
        assert!(width(&many) < width(&few) / 2.0, "{} {}", width(&few), width(&many));
        for (index, (first, total)) in few.metrics[0].inputs.iter().zip(FIRST.into_iter().zip(TOTAL)) {
            let covers =
                |interval: Option<[f64; 2]>, value| interval.unwrap()[0] <= value && value <= interval.unwrap()[1];
            assert!(
                covers(index.first_order_interval, first) && covers(index.total_order_interval, total),
                "{index:?}"
            );
        }
    }

    #[test]
    fn another_seed_is_another_estimate_and_the_same_seed_the_same() {
        assert_eq!(indices(1024, 5), indices(1024, 5));
        assert_ne!(indices(1024, 5), indices(1024, 6));
    }
}
