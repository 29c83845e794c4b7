//! The base analysis of many variations of one scenario.

use crate::base::analyse;
use crate::inputs::{Inputs, Place, Variation};
use crate::lanes::{Column, TILE};
use crate::trace::Plain;

pub(crate) use super::kernel::Reach;
use super::kernel::{Kernel, lanes_suffice};
use crate::metric::Metric;

/// What became of the samples of a tile.
#[derive(Debug, Clone)]
pub(crate) struct Outcomes {
    /// For each sample one of [`FINE`], [`FAILED`], [`UNBALANCED`], or [`OUT_OF_RANGE`] and more.
    pub fates: [u8; TILE],
    /// For each metric its values; NaN where there is none. Only where the fate is [`FINE`].
    pub values: Vec<Column>,
}

/// The analysis has a result.
pub(crate) const FINE: u8 = 0;
/// A result would not be a finite number.
pub(crate) const FAILED: u8 = 1;
/// The products would not be made of the feedstocks.
pub(crate) const UNBALANCED: u8 = 2;
/// The first varied input would leave its range; one more for the second, and so on.
pub(crate) const OUT_OF_RANGE: u8 = 3;

impl Outcomes {
    /// Room for the results of one tile.
    pub fn of(metrics: usize) -> Self {
        Self { fates: [FINE; TILE], values: vec![Column::of(f64::NAN); metrics] }
    }

    /// Whether every sample of the tile has every result.
    #[inline(always)]
    pub fn all_fine(&self) -> bool {
        self.fates.iter().fold(0, |any, fate| any | fate) == FINE
    }
}

/// A function from some inputs to some results, tile by tile.
pub(crate) trait Model: Send + Sync {
    /// Works out the first `used` samples of a tile; the columns hold one input each and may be changed.
    fn evaluate(&self, inputs: &mut [Column], used: usize, outcomes: &mut Outcomes);

    /// How many tiles are worked out in about a third of a millisecond; at least one.
    fn tiles_per_slice(&self) -> u64;
}

/// The base analysis as a function of some of its inputs.
pub(crate) struct BaseModel {
    base: Inputs,
    places: Vec<Place>,
    metrics: Vec<Metric>,
    kernel: Option<Kernel>,
}

impl BaseModel {
    /// The metrics of a scenario as functions of the numbers at some places.
    pub fn new(base: &Inputs, places: Vec<Place>, metrics: Vec<Metric>) -> Self {
        let kernel = lanes_suffice(base, &places, &metrics).then(|| Kernel::new(base, &places, &metrics));
        Self { base: base.clone(), places, metrics, kernel }
    }

    /// The same for values that lie between these, place by place.
    pub fn within(self, reaches: &[Reach]) -> Self {
        Self { kernel: self.kernel.map(|kernel| kernel.within(reaches)), ..self }
    }

    /// The same without lanes: each sample by the base analysis itself.
    #[cfg(test)]
    pub fn scalar(base: &Inputs, places: Vec<Place>, metrics: Vec<Metric>) -> Self {
        Self { kernel: None, ..Self::new(base, places, metrics) }
    }

    /// One sample, by the base analysis itself.
    fn evaluate_one(&self, inputs: &[Column], sample: usize, outcomes: &mut Outcomes) {
        outcomes.fates[sample] = self.fate_of_one(inputs, sample, &mut outcomes.values);
    }

    fn fate_of_one(&self, inputs: &[Column], sample: usize, values: &mut [Column]) -> u8 {
        let mut variation = Variation::of(&self.base);
        for (number, (place, column)) in self.places.iter().zip(inputs).enumerate() {
            if !variation.put(*place, column[sample]) {
                return OUT_OF_RANGE + number as u8;
            }
        }
        let Some(varied) = variation.balanced() else { return UNBALANCED };
        let Ok(result) = analyse(varied, &mut Plain) else { return FAILED };
        for (metric, column) in self.metrics.iter().zip(values) {
            column[sample] = metric.of(&result).unwrap_or(f64::NAN);
        }
        FINE
    }
}

impl Model for BaseModel {
    #[inline(always)]
    fn evaluate(&self, inputs: &mut [Column], used: usize, outcomes: &mut Outcomes) {
        let doubtful = match &self.kernel {
            Some(kernel) => kernel.evaluate(inputs, outcomes),
            None => u64::MAX,
        };
        if doubtful != 0 {
            for sample in (0..used).filter(|sample| doubtful >> sample & 1 == 1) {
                self.evaluate_one(inputs, sample, outcomes);
            }
        }
    }

    fn tiles_per_slice(&self) -> u64 {
        match &self.kernel {
            Some(_) => 64,
            None if self.base.finance.is_simple() => 4,
            // A price that is found by trying takes a score of cash flows: a tile takes half a millisecond.
            None => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BaseModel, FINE, Metric, Model, Outcomes};
    use crate::inputs::{Inputs, Place, fields};
    use crate::lanes::{Column, TILE};
    use crate::{InputDocument, Quantity, resolve};
    use proptest::prelude::*;

    const METRICS: [Metric; 16] = [
        Metric::Tci,
        Metric::Opex,
        Metric::Revenue,
        Metric::Production,
        Metric::Lcop,
        Metric::LcopNet,
        Metric::Npv,
        Metric::Irr,
        Metric::Payback,
        Metric::Msp,
        Metric::MspPerEnergy,
        Metric::Ci,
        Metric::Emissions,
        Metric::Abatement,
        Metric::DirectOpex,
        Metric::IndirectOpex,
    ];

    fn scenario(working_capital: f64, sensitivity: f64) -> Inputs {
        let example = include_str!("../../../examples/hefa-uco-usa.json");
        let example: serde_json::Value = serde_json::from_str(example).unwrap();
        let mut document: InputDocument = serde_json::from_value(example["inputs"].clone()).unwrap();
        document.economics.working_capital_ratio = Some(Quantity::new(working_capital, "1"));
        let jet = document.products.get_mut("jet").unwrap();
        jet.price_sensitivity = Some(Quantity::new(sensitivity, "USD/t per gCO2e/MJ"));
        resolve(&document, None).unwrap().inputs
    }

    /// Every number that can be varied.
    fn places(inputs: &Inputs) -> Vec<Place> {
        let parts = |section: &str| match section {
            "/feedstocks/*" => inputs.feedstocks.len(),
            "/products/*" => inputs.products.len(),
            _ => 1,
        };
        let all =
            fields::ALL.iter().flat_map(|field| (0..parts(field.section)).filter_map(|part| Place::of(field, part)));
        all.collect()
    }

    fn outcomes(model: &BaseModel, columns: &[Column]) -> Outcomes {
        let mut outcomes = Outcomes::of(METRICS.len());
        model.evaluate(&mut columns.to_vec(), TILE, &mut outcomes);
        outcomes
    }

    /// By how much a result may differ, given the results of the sample.
    fn tolerance(metric: Metric, of: impl Fn(Metric) -> f64) -> f64 {
        let yearly = of(Metric::Opex).abs() + of(Metric::Revenue).abs() + of(Metric::Tci);
        let size = match metric {
            Metric::Npv => 30.0 * yearly,
            Metric::Irr => return 1e-9 * (1.0 + of(Metric::Irr).abs()),
            Metric::Payback => return 0.0,
            Metric::Lcop | Metric::LcopNet | Metric::Msp => 10.0 * yearly / of(Metric::Production),
            Metric::MspPerEnergy => yearly / of(Metric::Production),
            // The difference of two CIs is in the denominator.
            Metric::Abatement => 1e4 * (of(Metric::Abatement).abs() + yearly / of(Metric::Production)),
            Metric::Ci => 1e3 + of(metric).abs(),
            Metric::Emissions => 1e2 * of(Metric::Production) * (1.0 + of(Metric::Ci).abs()),
            _ => of(metric).abs() + yearly * 1e-3,
        };
        1e-12 * size
    }

    fn assert_alike(base: &Inputs, places: &[Place], columns: &[Column]) {
        let fast = outcomes(&BaseModel::new(base, places.to_vec(), METRICS.to_vec()), columns);
        let truth = outcomes(&BaseModel::scalar(base, places.to_vec(), METRICS.to_vec()), columns);
        assert_eq!(fast.fates, truth.fates);
        for sample in (0..TILE).filter(|sample| truth.fates[*sample] == FINE) {
            for (number, metric) in METRICS.into_iter().enumerate() {
                let (fast, exact) = (fast.values[number][sample], truth.values[number][sample]);
                let of = |wanted| truth.values[METRICS.iter().position(|metric| *metric == wanted).unwrap()][sample];
                assert_eq!(fast.is_nan(), exact.is_nan(), "{metric:?} is {fast}, should be {exact}");
                let close = exact.is_nan() || (fast - exact).abs() <= tolerance(metric, of);
                assert!(close, "{metric:?} is {fast:e}, should be {exact:e}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn the_lanes_agree_with_the_base_analysis(
            chosen in prop::collection::vec(any::<bool>(), 64),
            factors in prop::collection::vec(0.3..1.7f64, 640),
            working_capital in prop_oneof![Just(0.0), 0.0..0.3f64],
            sensitivity in prop_oneof![Just(0.0), -5.0..5.0f64],
        ) {
            let base = scenario(working_capital, sensitivity);
            let all = places(&base);
            let places: Vec<Place> =
                all.into_iter().zip(&chosen).filter(|(_, chosen)| **chosen).map(|(place, _)| place).collect();
            let mut columns = vec![Column::of(0.0); places.len()];
            for (number, (place, column)) in places.iter().zip(&mut columns).enumerate() {
                for i in 0..TILE {
                    // Products may be made of more than the feedstock in some samples: yields vary less.
                    let narrow = if place.field.group == crate::Group::MassYield { 0.05 } else { 1.0 };
                    column[i] = base.number(*place) * (1.0 + narrow * (factors[(number * 67 + i * 7) % 640] - 1.0));
                }
            }
            assert_alike(&base, &places, &columns);
        }

        #[test]
        fn the_lanes_agree_where_the_plant_hardly_earns_or_loses(
            prices in prop::collection::vec(700.0..2500.0f64, TILE),
            rates in prop::collection::vec(0.0..0.3f64, TILE),
            lifetime in 1.0..60.0f64,
            working_capital in prop_oneof![Just(0.0), 0.0..1.0f64],
        ) {
            let base = scenario(working_capital, 0.0);
            let places = ["/products/jet/price", "/economics/discount_rate", "/economics/lifetime"];
            let places: Vec<Place> = places.iter().map(|pointer| base.place(pointer).unwrap()).collect();
            let mut columns = [Column::of(0.0), Column::of(0.0), Column::of(lifetime)];
            columns[0].copy_from_slice(&prices);
            columns[1].copy_from_slice(&rates);
            // Years that differ in a tile, and a few rates of 0.
            for i in 0..8 {
                columns[2][i] = lifetime * 0.5 + i as f64;
                columns[1][i * 5] = 0.0;
            }
            assert_alike(&base, &places, &columns);
            assert_alike(&base, &places[..2], &columns[..2]);
        }
    }

    #[test]
    fn the_lanes_are_sure_of_almost_every_ordinary_sample() {
        let base = scenario(0.05, 1.0);
        let places: Vec<Place> = ["/products/jet/price", "/economics/discount_rate", "/feedstocks/UCO/price"]
            .iter()
            .map(|pointer| base.place(pointer).unwrap())
            .collect();
        let model = BaseModel::new(&base, places.clone(), METRICS.to_vec());
        let mut columns: Vec<Column> = places.iter().map(|place| Column::of(base.number(*place))).collect();
        for (i, price) in columns[0].iter_mut().enumerate() {
            *price *= 0.9 + 0.003 * i as f64;
        }
        let doubtful = model.kernel.as_ref().unwrap().evaluate(&mut columns, &mut Outcomes::of(METRICS.len()));
        assert_eq!(doubtful, 0);
    }
}
