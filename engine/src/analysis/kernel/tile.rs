//! The formulas of the base analysis, for a tile of samples.

use super::operand::{Sum, each};
use super::returns::{Factors, Flow};
use super::{Kernel, Scale};
use crate::lanes::{Column, TILE, power};
use crate::metric::Metric;

/// A tile under way.
pub(super) struct Tile<'a> {
    kernel: &'a Kernel,
    inputs: &'a [Column],
}

/// What the selling price depends on, besides cost.
struct Carbon {
    ci: Column,
    /// CI below that of the fossil comparator.
    saved: Column,
    energy: Column,
}

/// Where no metric depends on it.
static NO_CARBON: Carbon = Carbon { ci: Column::of(0.0), saved: Column::of(0.0), energy: Column::of(0.0) };

impl<'a> Tile<'a> {
    pub fn new(kernel: &'a Kernel, inputs: &'a [Column]) -> Self {
        Self { kernel, inputs }
    }

    /// Works out all metrics.
    #[inline(always)]
    pub fn evaluate(&self, values: &mut [Column], doubt: &mut Column) {
        let (kernel, inputs) = (self.kernel, self.inputs);
        let capacity = kernel.capacity.at(inputs);
        let tci = self.tci(doubt);
        let direct_per_t = kernel.direct.sum(inputs);
        let ratio = kernel.indirect.at(inputs);
        let opex = each(|i| capacity[i].mul_add(direct_per_t[i], ratio[i] * tci[i]));
        let per_main = self.per_main(doubt);
        let Factors { annuity, crf, growth } = kernel.rate.factors(inputs, doubt);
        let mut room = Column::of(0.0);
        let per_year = kernel.rate.per_year(inputs, &mut room);
        let cost = |i: usize| tci[i].mul_add(crf[i], opex[i]);

        let carbon = kernel.needs.carbon.then(|| self.carbon());
        let carbon = carbon.as_ref().unwrap_or(&NO_CARBON);
        let zero = Column::of(0.0);
        let revenue = if kernel.needs.revenue { self.money(&kernel.revenue, &kernel.premium, carbon) } else { zero };
        let co_revenue =
            if kernel.needs.revenue { self.money(&kernel.co_revenue, &kernel.co_premium, carbon) } else { zero };
        let years = kernel.rate.years.at(inputs);
        let working_capital = kernel.working_capital.at(inputs);
        let flow = Flow {
            tci: &tci,
            working_capital,
            without_working_capital: kernel.working_capital.value() == Some(0.0),
            start: kernel.start.as_ref(),
            years,
            per_year,
            fixed_years: kernel.rate.years.value(),
            annual: if kernel.needs.returns { self.annual(&tci, &opex, &revenue, per_year) } else { zero },
        };
        let msp = if kernel.needs.price {
            let required =
                Required { crf: &crf, tci: &tci, opex: &opex, co_revenue: &co_revenue, per_main: &per_main, per_year };
            self.msp(&required, carbon, doubt)
        } else {
            zero
        };
        for (metric, value) in kernel.metrics.iter().zip(values.iter_mut()) {
            *value = match metric {
                Metric::Lcop => {
                    let per_production = self.reciprocal(&self.production(), kernel.yields.is_fixed());
                    each(|i| cost(i) * per_production[i])
                }
                Metric::LcopNet => each(|i| (cost(i) - co_revenue[i]) * per_main[i]),
                Metric::Npv => flow.npv(&annuity, &growth),
                Metric::Irr => flow.irr(doubt),
                Metric::Payback => flow.payback(doubt),
                Metric::Msp => msp,
                Metric::MspPerEnergy => self.per_energy(&msp),
                Metric::Ci => carbon.ci,
                Metric::Emissions => each(|i| carbon.ci[i] * carbon.energy[i] * capacity[i] / 1e3),
                Metric::Abatement => self.abatement(&self.per_energy(&msp), carbon, doubt),
                Metric::Tci => tci,
                Metric::Opex => opex,
                Metric::DirectOpex => each(|i| capacity[i] * direct_per_t[i]),
                Metric::IndirectOpex => each(|i| ratio[i] * tci[i]),
                Metric::Revenue => revenue,
                Metric::Production => self.production(),
                // Never asked of lanes, see `lanes_suffice`.
                Metric::DiscountedPayback => Column::of(f64::NAN),
            };
        }
    }

    #[inline(always)]
    fn production(&self) -> Column {
        let (capacity, yields) = (self.kernel.capacity.at(self.inputs), self.kernel.yields.sum(self.inputs));
        each(|i| capacity[i] * yields[i])
    }

    #[inline(always)]
    fn per_energy(&self, msp: &Column) -> Column {
        let energy = self.kernel.main_energy.at(self.inputs);
        each(|i| msp[i] / energy[i])
    }

    /// One over a production, which only varies with the capacity where the yields are fixed.
    #[inline(always)]
    fn reciprocal(&self, production: &Column, fixed_yields: bool) -> Column {
        if fixed_yields && self.kernel.capacity.value().is_some() {
            return Column::of(1.0 / production[0]);
        }
        each(|i| 1.0 / production[i])
    }

    /// One over the production of the main product. Next to no production makes costs that are too large: doubtful.
    #[inline(always)]
    fn per_main(&self, doubt: &mut Column) -> Column {
        let (capacity, per_capacity) = (self.kernel.capacity.at(self.inputs), self.kernel.main_yield.at(self.inputs));
        let main = each(|i| capacity[i] * per_capacity[i]);
        let fixed = self.kernel.main_yield.value().is_some();
        if !(fixed && self.kernel.capacity.value().is_some() && main[0] > 1e-6) {
            for i in 0..TILE {
                doubt[i] += if main[i] > 1e-6 { 0.0 } else { 1.0 };
            }
        }
        self.reciprocal(&main, fixed)
    }

    #[inline(always)]
    fn tci(&self, doubt: &mut Column) -> Column {
        let reference = self.kernel.investment.reference.at(self.inputs);
        let tci = match &self.kernel.investment.scale {
            Scale::Fixed(scale) => each(|i| reference[i] * scale),
            Scale::Varied { reference_capacity, exponent } => {
                let (capacity, exponent) = (self.kernel.capacity.at(self.inputs), exponent.at(self.inputs));
                let reference_capacity = reference_capacity.at(self.inputs);
                each(|i| reference[i] * power(capacity[i] / reference_capacity[i], exponent[i]))
            }
        };
        doubt_where(doubt, |i| !(tci[i] > 1e-3 && tci[i] < 1e30));
        tci
    }

    #[inline(always)]
    fn carbon(&self) -> Carbon {
        let kernel = self.kernel;
        let (energy, emitted) = (kernel.energy.sum(self.inputs), kernel.emitted.sum(self.inputs));
        let (process, fossil) = (kernel.process_ci.at(self.inputs), kernel.fossil_ci.at(self.inputs));
        let ci = each(|i| emitted[i] / energy[i] + process[i]);
        Carbon { ci, saved: each(|i| fossil[i] - ci[i]), energy }
    }

    /// Revenue per year of some products, with their premiums.
    #[inline(always)]
    fn money(&self, prices: &Sum, premiums: &Sum, carbon: &Carbon) -> Column {
        let capacity = self.kernel.capacity.at(self.inputs);
        let prices = prices.sum(self.inputs);
        if premiums.vanishes() {
            return each(|i| capacity[i] * prices[i]);
        }
        let premiums = premiums.sum(self.inputs);
        each(|i| capacity[i] * (prices[i] + premiums[i] * carbon.saved[i]))
    }

    /// Cash flow of a year of operation.
    #[inline(always)]
    fn annual(&self, tci: &Column, opex: &Column, revenue: &Column, per_year: &Column) -> Column {
        let tax_rate = self.kernel.tax_rate.at(self.inputs);
        each(|i| {
            let gross = revenue[i] - opex[i];
            let taxed = gross - tci[i] * per_year[i];
            let taxed = if taxed > 0.0 { taxed } else { 0.0 };
            gross - taxed * tax_rate[i]
        })
    }

    #[inline(always)]
    fn msp(&self, required: &Required<'_>, carbon: &Carbon, doubt: &mut Column) -> Column {
        let Required { crf, tci, opex, co_revenue, per_main, per_year } = required;
        let kernel = self.kernel;
        let rate = kernel.rate.rate.at(self.inputs);
        let (working_capital, tax_rate) = (kernel.working_capital.at(self.inputs), kernel.tax_rate.at(self.inputs));
        let sensitivity = kernel.main_sensitivity.at(self.inputs);
        let per_kept = match kernel.tax_rate.value() {
            Some(tax_rate) if tax_rate < 0.9999 => Column::of(1.0 / (1.0 - tax_rate)),
            _ => each_with_doubt(doubt, |i| (1.0 / (1.0 - tax_rate[i]), tax_rate[i] >= 0.9999)),
        };
        each(|i| {
            let cash_flow = tci[i] * (crf[i] + working_capital[i] * rate[i]);
            let depreciation = tci[i] * per_year[i];
            let taxed = (cash_flow - tax_rate[i] * depreciation) * per_kept[i];
            let gross = if cash_flow <= depreciation { cash_flow } else { taxed };
            (gross + opex[i] - co_revenue[i]) * per_main[i] - sensitivity[i] * carbon.saved[i]
        })
    }

    #[inline(always)]
    fn abatement(&self, msp_per_energy: &Column, carbon: &Carbon, doubt: &mut Column) -> Column {
        let kernel = self.kernel;
        let (price, energy) = (kernel.fossil_price.at(self.inputs), kernel.fossil_energy.at(self.inputs));
        each_with_doubt(doubt, |i| {
            let saved = carbon.saved[i];
            let cost = (msp_per_energy[i] - price[i] / energy[i]) * 1e3 / saved;
            (if saved > 0.0 { cost } else { f64::NAN }, saved > -1e-6 && saved < 1e-6)
        })
    }
}

/// What the minimum selling price has to pay for.
struct Required<'a> {
    crf: &'a Column,
    tci: &'a Column,
    opex: &'a Column,
    co_revenue: &'a Column,
    /// One over the production of the main product.
    per_main: &'a Column,
    /// One over the lifetime.
    per_year: &'a Column,
}

/// Doubts samples. There is hardly ever one: to ask for any first takes fewer operations than to write them down.
#[inline(always)]
pub(super) fn doubt_where(doubt: &mut Column, doubtful: impl Fn(usize) -> bool) {
    if (0..TILE).fold(0, |any, i| any | u64::from(doubtful(i))) != 0 {
        for i in 0..TILE {
            doubt[i] += if doubtful(i) { 1.0 } else { 0.0 };
        }
    }
}

/// A column of numbers, some of which are doubtful.
#[inline(always)]
pub(super) fn each_with_doubt(doubt: &mut Column, number: impl Fn(usize) -> (f64, bool)) -> Column {
    let mut column = Column::of(0.0);
    for i in 0..TILE {
        let (value, doubtful) = number(i);
        column[i] = value;
        doubt[i] += if doubtful { 1.0 } else { 0.0 };
    }
    column
}
