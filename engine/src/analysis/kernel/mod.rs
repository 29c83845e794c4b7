//! The base analysis in lanes: the same formulas for all samples of a tile at once.
//!
//! The scalar base analysis stays the truth. The lanes take what is common: one sign change of the cash flow, rates
//! well above 0, values well inside their ranges. Every sample for which they are not sure to agree with it is
//! *doubtful* and handed back, to be worked out by the base analysis itself.

mod operand;
mod rate;
mod returns;
mod start;
mod tile;

use operand::{Operand, Sum};
use returns::Rate;
use start::FittedStart;
use tile::{Tile, doubt_where};

use super::model::{FINE, Outcomes};
use crate::base::analyse;
use crate::inputs::{
    Economics, Electricity, Feedstock, Fossil, Hydrogen, Inputs, Place, Plant, Product, SUM_TOLERANCE, Values, fields,
};
use crate::lanes::{Column, TILE};
use crate::metric::Metric;
use crate::trace::Plain;

/// Whether the lanes compute what the base analysis would.
///
/// This is the one switch between the two. It names every input, so that an input that the lanes do not know
/// stops it from compiling: decide here for which of its values the formulas below are still those of the base
/// analysis, and answer `false` for all others.
pub(crate) fn lanes_suffice(base: &Inputs, places: &[Place], metrics: &[Metric]) -> bool {
    let Values { plant, feedstocks, hydrogen, electricity, products, economics, fossil, finance, policy, carbon } =
        &**base;
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
        let Feedstock {
            code: _,
            price_usd_per_t: _,
            yield_kg_per_kg: _,
            carbon_kg_per_kg: _,
            ci_g_per_kg: _,
            energy_mj_per_kg: _,
        } = feedstock;
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
    let switched = |place: &Place| fields::SWITCHES.contains(&place.field.section);
    let simple = finance.is_simple() && !policy.pays() && carbon.is_empty() && !places.iter().any(switched);
    known && simple && analyse(base, &mut Plain).is_ok()
}

/// The least and the greatest value of an input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach {
    pub least: f64,
    pub greatest: f64,
}

/// The formulas with their operands: numbers of the scenario, or columns of varied inputs.
pub(crate) struct Kernel {
    places: Vec<Place>,
    /// Which of the places have values that may leave their range.
    may_leave: Vec<bool>,
    metrics: Vec<Metric>,
    capacity: Operand,
    process_ci: Operand,
    investment: Investment,
    working_capital: Operand,
    indirect: Operand,
    tax_rate: Operand,
    rate: Rate,
    /// For the rate of return, where lifetime and working capital are the same for all samples.
    start: Option<FittedStart>,
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
    scale: Scale,
}

/// TCI per TCI of the reference plant.
enum Scale {
    Fixed(f64),
    Varied { reference_capacity: Operand, exponent: Operand },
}

impl Scale {
    fn of(capacity: &Operand, reference_capacity: Operand, exponent: Operand) -> Self {
        match (capacity.value(), reference_capacity.value(), exponent.value()) {
            (Some(capacity), Some(reference), Some(exponent)) => Self::Fixed((capacity / reference).powf(exponent)),
            _ => Self::Varied { reference_capacity, exponent },
        }
    }
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
        let (lifetime, working_capital) = (one(&fields::LIFETIME), one(&fields::WORKING_CAPITAL_RATIO));
        let fixed = lifetime.value().zip(working_capital.value());
        Self {
            start: fixed.map(|(years, working_capital)| FittedStart::new(years, working_capital)),
            places: places.to_vec(),
            may_leave: vec![true; places.len()],
            metrics: metrics.to_vec(),
            capacity: one(&fields::CAPACITY),
            process_ci: one(&fields::PROCESS_CI),
            investment: Investment {
                reference: one(&fields::TCI_REFERENCE),
                scale: Scale::of(
                    &one(&fields::CAPACITY),
                    one(&fields::REFERENCE_CAPACITY),
                    one(&fields::SCALING_EXPONENT),
                ),
            },
            working_capital,
            indirect: one(&fields::INDIRECT_OPEX_RATIO),
            tax_rate: one(&fields::TAX_RATE),
            rate: Rate::of(one(&fields::DISCOUNT_RATE), lifetime),
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

    /// The same for values that lie between these, give or take rounding: what cannot leave its range is not looked at.
    pub fn within(mut self, reaches: &[Reach]) -> Self {
        let stays = |place: &Place, reach: &Reach| {
            let (range, rounding) = (place.field.range, 1e-9 * (reach.least.abs() + reach.greatest.abs()));
            reach.least - rounding > range.min && reach.greatest + rounding < range.max
        };
        self.may_leave = self.places.iter().zip(reaches).map(|(place, reach)| !stays(place, reach)).collect();
        self
    }

    /// Works out a tile. Bit i of the answer says that sample i is doubtful: its results are not to be used.
    #[inline(always)]
    pub fn evaluate(&self, inputs: &mut [Column], outcomes: &mut Outcomes) -> u64 {
        outcomes.fates = [FINE; TILE];
        let mut doubt = Column::of(0.0);
        self.check(inputs, &mut doubt);
        let tile = Tile::new(self, inputs);
        tile.evaluate(&mut outcomes.values, &mut doubt);
        doubtful(&doubt)
    }

    /// Doubts what leaves its range or upsets a balance.
    #[inline(always)]
    fn check(&self, inputs: &mut [Column], doubt: &mut Column) {
        for ((place, may_leave), column) in self.places.iter().zip(&self.may_leave).zip(inputs.iter_mut()) {
            let range = place.field.range;
            if range.whole {
                column.iter_mut().for_each(|value| *value = value.round());
            }
            if !may_leave {
                continue;
            }
            let inside = |value: f64| (value >= range.min) & (value <= range.max);
            doubt_where(doubt, |i| !inside(column[i]));
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
