//! The base analysis in lanes: the same formulas for all samples of a tile at once.
//!
//! The scalar base analysis stays the truth. The lanes take what is common: one sign change of the cash flow, rates
//! well above 0, values well inside their ranges. Every sample for which they are not sure to agree with it is
//! *doubtful* and handed back, to be worked out by the base analysis itself.

mod operand;
mod rate;
mod returns;

use operand::{Operand, Sum, each};
use returns::{Flow, Rate};

use super::metric::Metric;
use super::model::{FINE, Outcomes};
use crate::base::analyse;
use crate::inputs::{
    Economics, Electricity, Feedstock, Fossil, Hydrogen, Inputs, Place, Plant, Product, SUM_TOLERANCE, Values, fields,
};
use crate::lanes::{Column, TILE, power};
use crate::trace::Plain;

/// Whether the lanes compute what the base analysis would.
///
/// This is the one switch between the two. It names every input, so that an input that the lanes do not know
/// stops it from compiling: decide here for which of its values the formulas below are still those of the base
/// analysis, and answer `false` for all others.
pub(crate) fn lanes_suffice(base: &Inputs, metrics: &[Metric]) -> bool {
    let Values { plant, feedstocks, hydrogen, electricity, products, economics, fossil } = &**base;
    let Plant { capacity_t_per_yr: _, load_hours_per_yr: _, process_ci_g_per_mj: _ } = plant;
    let Hydrogen { price_usd_per_t: _, yield_kg_per_kg: _, ci_g_per_kg: _ } = hydrogen;
    let Electricity { price_usd_per_mwh: _, yield_mwh_per_t: _, ci_g_per_kwh: _ } = electricity;
    let Fossil { ci_g_per_mj: _, price_usd_per_t: _, energy_mj_per_kg: _ } = fossil;
    let Economics {
        discount_rate: _,
        lifetime_yr: _,
        tci_reference_usd: _,
        reference_capacity_t_per_yr: _,
        scaling_exponent: _,
        working_capital_ratio: _,
        indirect_opex_ratio: _,
        tax_rate: _,
    } = economics;
    for feedstock in feedstocks {
        let Feedstock { code: _, price_usd_per_t: _, yield_kg_per_kg: _, carbon_kg_per_kg: _, ci_g_per_kg: _ } =
            feedstock;
    }
    for product in products {
        let Product {
            code: _,
            price_usd_per_t: _,
            yield_kg_per_kg: _,
            carbon_kg_per_kg: _,
            energy_mj_per_kg: _,
            density_kg_per_m3: _,
            price_sensitivity_usd_per_t_per_g_per_mj: _,
        } = product;
    }
    let known = !metrics.contains(&Metric::DiscountedPayback);
    known && analyse(base, &mut Plain).is_ok()
}

/// The formulas with their operands: numbers of the scenario, or columns of varied inputs.
pub(crate) struct Kernel {
    places: Vec<Place>,
    metrics: Vec<Metric>,
    capacity: Operand,
    process_ci: Operand,
    investment: Investment,
    working_capital: Operand,
    indirect: Operand,
    tax_rate: Operand,
    rate: Rate,
    fossil_ci: Operand,
    fossil_price: Operand,
    fossil_energy: Operand,
    main_yield: Operand,
    main_energy: Operand,
    main_sensitivity: Operand,
    /// Cost of feedstocks, hydrogen and electricity per tonne of capacity.
    direct: Sum,
    /// Product per capacity.
    yields: Sum,
    /// Revenue per tonne of capacity, without premium, of all products and of the co-products.
    revenue: Sum,
    co_revenue: Sum,
    /// Premium per tonne of capacity and gCO2e/MJ saved, of all products and of the co-products.
    premium: Sum,
    co_premium: Sum,
    energy: Sum,
    emitted: Sum,
    carbon_out: Sum,
    carbon_fed: Sum,
    /// Whether any of the balances can be upset.
    balances_vary: bool,
    needs: Needs,
}

/// Which parts of the analysis the metrics ask for.
struct Needs {
    carbon: bool,
    revenue: bool,
    returns: bool,
    price: bool,
}

/// TCI and what it depends on.
struct Investment {
    reference: Operand,
    reference_capacity: Operand,
    exponent: Operand,
}

impl Kernel {
    /// The formulas for a scenario of which the numbers at some places vary.
    pub fn new(base: &Inputs, places: &[Place], metrics: &[Metric]) -> Self {
        let of = |field, part| Operand::of(base, places, field, part);
        let one = |field| of(field, 0);
        let feedstocks = 0..base.feedstocks.len();
        let products = 0..base.products.len();
        let feed = |field| feedstocks.clone().map(move |part| (of(field, part), of(&fields::FEEDSTOCK_YIELD, part)));
        let made = |range: std::ops::Range<usize>, field| {
            range.map(move |part| (of(field, part), of(&fields::PRODUCT_YIELD, part)))
        };
        let utilities = |hydrogen, electricity| {
            [(one(hydrogen), one(&fields::HYDROGEN_YIELD)), (one(electricity), one(&fields::ELECTRICITY_YIELD))]
        };
        let co_products = 1..base.products.len();
        let premium = Sum::of(made(products.clone(), &fields::PRICE_SENSITIVITY));
        let balanced = [
            &fields::FEEDSTOCK_YIELD,
            &fields::FEEDSTOCK_CARBON,
            &fields::PRODUCT_YIELD,
            &fields::PRODUCT_CARBON,
            &fields::PRODUCT_ENERGY,
        ];
        Self {
            places: places.to_vec(),
            metrics: metrics.to_vec(),
            capacity: one(&fields::CAPACITY),
            process_ci: one(&fields::PROCESS_CI),
            investment: Investment {
                reference: one(&fields::TCI_REFERENCE),
                reference_capacity: one(&fields::REFERENCE_CAPACITY),
                exponent: one(&fields::SCALING_EXPONENT),
            },
            working_capital: one(&fields::WORKING_CAPITAL_RATIO),
            indirect: one(&fields::INDIRECT_OPEX_RATIO),
            tax_rate: one(&fields::TAX_RATE),
            rate: Rate::of(one(&fields::DISCOUNT_RATE), one(&fields::LIFETIME)),
            fossil_ci: one(&fields::FOSSIL_CI),
            fossil_price: one(&fields::FOSSIL_PRICE),
            fossil_energy: one(&fields::FOSSIL_ENERGY),
            main_yield: one(&fields::PRODUCT_YIELD),
            main_energy: one(&fields::PRODUCT_ENERGY),
            main_sensitivity: one(&fields::PRICE_SENSITIVITY),
            direct: Sum::of(
                feed(&fields::FEEDSTOCK_PRICE).chain(utilities(&fields::HYDROGEN_PRICE, &fields::ELECTRICITY_PRICE)),
            ),
            yields: Sum::of(products.clone().map(|part| (of(&fields::PRODUCT_YIELD, part), Operand::fixed(1.0)))),
            revenue: Sum::of(made(products.clone(), &fields::PRODUCT_PRICE)),
            co_revenue: Sum::of(made(co_products.clone(), &fields::PRODUCT_PRICE)),
            co_premium: Sum::of(made(co_products, &fields::PRICE_SENSITIVITY)),
            energy: Sum::of(made(products.clone(), &fields::PRODUCT_ENERGY)),
            emitted: Sum::of(
                feed(&fields::FEEDSTOCK_CI).chain(utilities(&fields::HYDROGEN_CI, &fields::ELECTRICITY_CI)),
            ),
            carbon_out: Sum::of(made(products.clone(), &fields::PRODUCT_CARBON)),
            carbon_fed: Sum::of(feed(&fields::FEEDSTOCK_CARBON)),
            balances_vary: places.iter().any(|place| balanced.contains(&place.field)),
            needs: Needs::of(metrics, premium.vanishes()),
            premium,
        }
    }

    /// Works out a tile. Bit i of the answer says that sample i is doubtful: its results are not to be used.
    #[inline(always)]
    pub fn evaluate(&self, inputs: &mut [Column], outcomes: &mut Outcomes) -> u64 {
        outcomes.fates = [FINE; TILE];
        let mut doubt = Column::of(0.0);
        self.check(inputs, &mut doubt);
        let tile = Tile { kernel: self, inputs };
        tile.evaluate(&mut outcomes.values, &mut doubt);
        doubtful(&doubt)
    }

    /// Doubts what leaves its range or upsets a balance.
    #[inline(always)]
    fn check(&self, inputs: &mut [Column], doubt: &mut Column) {
        for (place, column) in self.places.iter().zip(inputs.iter_mut()) {
            let range = place.field.range;
            if range.whole {
                column.iter_mut().for_each(|value| *value = value.round());
            }
            let least = if range.min_exclusive { range.min.next_up() } else { range.min };
            for i in 0..TILE {
                doubt[i] += if column[i] >= least && column[i] <= range.max { 0.0 } else { 1.0 };
            }
        }
        if self.balances_vary {
            self.check_balances(inputs, doubt);
        }
    }

    #[inline(always)]
    fn check_balances(&self, inputs: &[Column], doubt: &mut Column) {
        /// Sums in another order may differ by this much.
        const ROUNDING: f64 = 1e-11;
        if !(self.yields.is_fixed() && self.energy.is_fixed()) {
            let (yields, energy) = (self.yields.sum(inputs), self.energy.sum(inputs));
            let main = self.main_yield.at(inputs);
            for i in 0..TILE {
                let made = yields[i] <= 1.0 + SUM_TOLERANCE - ROUNDING && main[i] > 1e-9 && energy[i] > 1e-9;
                doubt[i] += if made { 0.0 } else { 1.0 };
            }
        }
        let (out, fed) = (self.carbon_out.sum(inputs), self.carbon_fed.sum(inputs));
        for i in 0..TILE {
            let balanced = out[i] <= fed[i] + SUM_TOLERANCE - ROUNDING && fed[i] > 1e-9;
            doubt[i] += if balanced { 0.0 } else { 1.0 };
        }
    }
}

/// The samples with any doubt.
#[inline(always)]
fn doubtful(doubt: &Column) -> u64 {
    if doubt.iter().fold(0, |any, doubt| any | doubt.to_bits()) == 0 {
        return 0;
    }
    (0..TILE).filter(|sample| doubt[*sample] != 0.0).fold(0, |mask, sample| mask | 1 << sample)
}

impl Needs {
    fn of(metrics: &[Metric], without_premium: bool) -> Self {
        let any = |wanted: &[Metric]| metrics.iter().any(|metric| wanted.contains(metric));
        let price = any(&[Metric::Msp, Metric::MspPerEnergy, Metric::Abatement]);
        let returns = any(&[Metric::Npv, Metric::Irr, Metric::Payback]);
        let revenue = returns || price || any(&[Metric::Revenue, Metric::LcopNet]);
        let carbon = any(&[Metric::Ci, Metric::Emissions, Metric::Abatement]) || (revenue && !without_premium);
        Self { carbon, revenue, returns, price }
    }
}

/// A tile under way.
struct Tile<'a> {
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

impl Tile<'_> {
    #[inline(always)]
    fn evaluate(&self, values: &mut [Column], doubt: &mut Column) {
        let (kernel, inputs) = (self.kernel, self.inputs);
        let capacity = kernel.capacity.at(inputs);
        let tci = self.tci(doubt);
        let direct_per_t = kernel.direct.sum(inputs);
        let ratio = kernel.indirect.at(inputs);
        let direct = each(|i| capacity[i] * direct_per_t[i]);
        let indirect = each(|i| ratio[i] * tci[i]);
        let opex = each(|i| direct[i] + indirect[i]);
        let yields = kernel.yields.sum(inputs);
        let production = each(|i| capacity[i] * yields[i]);
        let per_production = self.reciprocal(&production, kernel.yields.is_fixed());
        let per_main = self.per_main(doubt);
        let (annuity, crf, last) = kernel.rate.factors(inputs, doubt);
        let cost = each(|i| tci[i] * crf[i] + opex[i]);

        let zero = Column::of(0.0);
        let carbon = if kernel.needs.carbon { self.carbon() } else { Carbon { ci: zero, saved: zero, energy: zero } };
        let revenue = if kernel.needs.revenue { self.money(&kernel.revenue, &kernel.premium, &carbon) } else { zero };
        let co_revenue =
            if kernel.needs.revenue { self.money(&kernel.co_revenue, &kernel.co_premium, &carbon) } else { zero };
        let years = kernel.rate.years.at(inputs);
        let working_capital = kernel.working_capital.at(inputs);
        let flow = Flow {
            tci: &tci,
            working_capital,
            fixed_working_capital: kernel.working_capital.value().is_some(),
            years,
            per_year: kernel.rate.per_year(inputs),
            fixed_years: kernel.rate.years.value(),
            annual: if kernel.needs.returns { self.annual(&tci, &opex, &revenue) } else { zero },
        };
        let msp = if kernel.needs.price {
            let required = Required { crf: &crf, tci: &tci, opex: &opex, co_revenue: &co_revenue, per_main: &per_main };
            self.msp(&required, &carbon, doubt)
        } else {
            zero
        };
        let per_energy = || {
            let energy = kernel.main_energy.at(inputs);
            each(|i| msp[i] / energy[i])
        };

        for (metric, value) in kernel.metrics.iter().zip(values.iter_mut()) {
            *value = match metric {
                Metric::Lcop => each(|i| cost[i] * per_production[i]),
                Metric::LcopNet => each(|i| (cost[i] - co_revenue[i]) * per_main[i]),
                Metric::Npv => each(|i| {
                    let working_capital = working_capital[i] * tci[i];
                    flow.annual[i] * annuity[i] - tci[i] - working_capital * (1.0 - last[i])
                }),
                Metric::Irr => flow.irr(doubt),
                Metric::Payback => flow.payback(doubt),
                Metric::Msp => msp,
                Metric::MspPerEnergy => per_energy(),
                Metric::Ci => carbon.ci,
                Metric::Emissions => each(|i| carbon.ci[i] * carbon.energy[i] * capacity[i] / 1e3),
                Metric::Abatement => self.abatement(&per_energy(), &carbon, doubt),
                Metric::Tci => tci,
                Metric::Opex => opex,
                Metric::DirectOpex => direct,
                Metric::IndirectOpex => indirect,
                Metric::Revenue => revenue,
                Metric::Production => production,
                // Never asked of lanes, see `lanes_suffice`.
                Metric::DiscountedPayback => Column::of(f64::NAN),
            };
        }
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
        for i in 0..TILE {
            doubt[i] += if main[i] > 1e-6 { 0.0 } else { 1.0 };
        }
        self.reciprocal(&main, self.kernel.main_yield.value().is_some())
    }

    #[inline(always)]
    fn tci(&self, doubt: &mut Column) -> Column {
        let Investment { reference, reference_capacity, exponent } = &self.kernel.investment;
        let fixed = (self.kernel.capacity.value(), reference_capacity.value(), exponent.value());
        let reference = reference.at(self.inputs);
        let tci = if let (Some(capacity), Some(reference_capacity), Some(exponent)) = fixed {
            let scale = (capacity / reference_capacity).powf(exponent);
            each(|i| reference[i] * scale)
        } else {
            let (capacity, exponent) = (self.kernel.capacity.at(self.inputs), exponent.at(self.inputs));
            let reference_capacity = reference_capacity.at(self.inputs);
            each(|i| reference[i] * power(capacity[i] / reference_capacity[i], exponent[i]))
        };
        for i in 0..TILE {
            doubt[i] += if tci[i] > 1e-3 && tci[i] < 1e30 { 0.0 } else { 1.0 };
        }
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
    fn annual(&self, tci: &Column, opex: &Column, revenue: &Column) -> Column {
        let (per_year, tax_rate) = (self.kernel.rate.per_year(self.inputs), self.kernel.tax_rate.at(self.inputs));
        each(|i| {
            let gross = revenue[i] - opex[i];
            let taxed = gross - tci[i] * per_year[i];
            let taxed = if taxed > 0.0 { taxed } else { 0.0 };
            gross - taxed * tax_rate[i]
        })
    }

    #[inline(always)]
    fn msp(&self, required: &Required<'_>, carbon: &Carbon, doubt: &mut Column) -> Column {
        let Required { crf, tci, opex, co_revenue, per_main } = required;
        let kernel = self.kernel;
        let rate = kernel.rate.rate.at(self.inputs);
        let per_year = kernel.rate.per_year(self.inputs);
        let (working_capital, tax_rate) = (kernel.working_capital.at(self.inputs), kernel.tax_rate.at(self.inputs));
        let sensitivity = kernel.main_sensitivity.at(self.inputs);
        for i in 0..TILE {
            doubt[i] += if tax_rate[i] < 0.9999 { 0.0 } else { 1.0 };
        }
        let per_kept = match kernel.tax_rate.value() {
            Some(tax_rate) => Column::of(1.0 / (1.0 - tax_rate)),
            None => each(|i| 1.0 / (1.0 - tax_rate[i])),
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
}

/// A column of numbers, some of which are doubtful.
#[inline(always)]
fn each_with_doubt(doubt: &mut Column, number: impl Fn(usize) -> (f64, bool)) -> Column {
    let mut column = Column::of(0.0);
    for i in 0..TILE {
        let (value, doubtful) = number(i);
        column[i] = value;
        doubt[i] += if doubtful { 1.0 } else { 0.0 };
    }
    column
}
