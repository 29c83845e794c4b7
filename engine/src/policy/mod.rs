//! Policy: which schemes accept the main product, by how much it misses, and what they pay.
//!
//! A report is worked out from the inputs when it is asked for. What enters the cash flow is said in the
//! inputs (`/policy`); the report says what each scheme would pay whether or not it enters.

pub mod corsia;
mod corsia_table;
pub(crate) mod incentives;
pub mod schemes;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::{Ledger, Stages};
use crate::failure::Failure;
use crate::inputs::{CleanFuelCredit, FuelKind, Inputs};
use crate::trace::Plain;

use incentives::{Incentive, Sale, eu_saf_allowances, us_45z};
use schemes::*;

/// What each scheme says about the main product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(description = "What each scheme says about the main product.")]
pub struct PolicyReport {
    /// The main product's carbon intensity that is judged, in gCO2e/MJ.
    pub ci_g_per_mj: f64,
    /// The schemes.
    pub schemes: Vec<Verdict>,
}

/// What one scheme says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// The scheme, by code.
    pub scheme: String,
    /// Whether it accepts the main product, or pays for it.
    pub eligible: bool,
    /// The greatest carbon intensity that it accepts, in gCO2e/MJ, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_g_per_mj: Option<f64>,
    /// By how much the carbon intensity is above the limit, in gCO2e/MJ; 0 where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misses_by_g_per_mj: Option<f64>,
    /// What it saves against the scheme's comparator, as a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saving: Option<f64>,
    /// What it pays or asks by calendar year; by year of operation where there is no calendar.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub years: Vec<PolicyYear>,
    /// Whether what it pays is in the cash flow.
    pub in_cash_flow: bool,
    /// What else there is to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where its numbers come from.
    pub source: String,
}

/// One year of a scheme.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyYear {
    /// The year.
    pub year: i32,
    /// What the scheme pays for an ordinary year's production at the prices of year 0, in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
    /// The share of sustainable fuel that the scheme asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The share of synthetic fuel that the scheme asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic_share: Option<f64>,
}

/// Works out what each scheme says.
///
/// ```
/// use safire_engine::{InputDocument, policy::policy, resolve};
///
/// let example: serde_json::Value =
///     serde_json::from_str(include_str!("../../../examples/hefa-uco-usa.json")).unwrap();
/// let given: InputDocument = serde_json::from_value(example["inputs"].clone()).unwrap();
/// let report = policy(&resolve(&given, None).unwrap().inputs).unwrap();
///
/// let corsia = &report.schemes[0];
/// assert_eq!((corsia.scheme.as_str(), corsia.eligible), ("corsia", true));
/// assert_eq!(format!("{:.1}", corsia.limit_g_per_mj.unwrap()), "80.1");
/// ```
pub fn policy(inputs: &Inputs) -> Result<PolicyReport, Failure> {
    let mut recorder = Plain;
    let stages = Stages::of(inputs, &mut Ledger::new(&mut recorder))?;
    let product = Judged { inputs, stages: &stages, ci: stages.sales.main_ci };
    let schemes = vec![
        product.corsia(),
        product.red("red_biofuel", FuelKind::Biofuel),
        product.red("red_rfnbo", FuelKind::Rfnbo),
        product.refueleu(),
        product.us_45z()?,
        product.eu_saf_allowances()?,
        product.offer("carbon_price", Incentive::CarbonPrice, inputs.policy.carbon_price.is_some())?,
        product.offer("production_incentive", Incentive::Production, inputs.policy.production_incentive.is_some())?,
    ];
    Ok(PolicyReport { ci_g_per_mj: product.ci, schemes })
}

/// The main product as the schemes see it.
struct Judged<'a> {
    inputs: &'a Inputs,
    stages: &'a Stages,
    ci: f64,
}

impl Judged<'_> {
    fn corsia(&self) -> Verdict {
        self.threshold("corsia", CORSIA_BASELINE, CORSIA_SAVING, CORSIA_SOURCE)
    }

    fn red(&self, scheme: &str, kind: FuelKind) -> Verdict {
        let verdict = self.threshold(scheme, RED_COMPARATOR, red_saving(kind), RED_SOURCE);
        if (self.inputs.policy.kind() == FuelKind::Rfnbo) == (kind == FuelKind::Rfnbo) {
            return verdict;
        }
        let note = format!("the fuel is a {}", self.inputs.policy.kind().code());
        Verdict { eligible: false, note: Some(note), ..verdict }
    }

    /// A scheme that asks for a saving against a comparator.
    fn threshold(&self, scheme: &str, comparator: f64, saving: f64, source: &str) -> Verdict {
        let limit = comparator * (1.0 - saving);
        Verdict {
            scheme: scheme.into(),
            eligible: self.ci <= limit,
            limit_g_per_mj: Some(limit),
            misses_by_g_per_mj: Some((self.ci - limit).max(0.0)),
            saving: Some(1.0 - self.ci / comparator),
            years: Vec::new(),
            in_cash_flow: false,
            note: None,
            source: source.into(),
        }
    }

    /// ReFuelEU counts what the Renewable Energy Directive accepts.
    fn refueleu(&self) -> Verdict {
        let kind = self.inputs.policy.kind();
        let accepted = self.threshold("refueleu", RED_COMPARATOR, red_saving(kind), REFUELEU_SOURCE);
        let years = self.calendar().filter_map(|calendar_year| {
            let year = calendar_year?;
            Some(PolicyYear {
                year,
                usd: None,
                share: Some(refueleu_share(year)),
                synthetic_share: Some(refueleu_synthetic_share(year)),
            })
        });
        let note = "feedstocks that the regulation excludes, such as food and feed crops, are not checked";
        Verdict { years: years.collect(), note: Some(note.into()), ..accepted }
    }

    fn us_45z(&self) -> Result<Verdict, Failure> {
        let chosen = self.inputs.policy.clean_fuel_credit();
        let credit = if chosen == CleanFuelCredit::None { CleanFuelCredit::Full } else { chosen };
        let limit = US_45Z_BASELINE * 1e3 / MJ_PER_MMBTU;
        let years = self.years(|sale| us_45z(self.inputs, credit, sale))?;
        let paid = years.iter().any(|year| year.usd.is_some_and(|usd| usd > 0.0));
        let note = match (self.inputs.finance.first_year, self.inputs.main_product().density_kg_per_m3) {
            (None, _) => "how much depends on the first year of operation, which is not given",
            (_, None) => "how much depends on the density of the main product, which is not given",
            _ => "sold in the US, from feedstocks of North America since 2026: not checked",
        };
        Ok(Verdict {
            scheme: Incentive::Us45z.code().into(),
            eligible: self.ci < limit && (paid || years.is_empty()),
            limit_g_per_mj: Some(limit),
            misses_by_g_per_mj: Some((self.ci - limit).max(0.0)),
            saving: None,
            years,
            in_cash_flow: chosen != CleanFuelCredit::None,
            note: Some(note.into()),
            source: US_45Z_SOURCE.into(),
        })
    }

    fn eu_saf_allowances(&self) -> Result<Verdict, Failure> {
        let kind = self.inputs.policy.kind();
        let accepted = self.threshold("eu_saf_allowances", RED_COMPARATOR, red_saving(kind), EU_ETS_SOURCE);
        let years = self.years(|sale| eu_saf_allowances(self.inputs, sale))?;
        let in_time = years.is_empty() || years.iter().any(|year| year.usd.is_some_and(|usd| usd > 0.0));
        let note = "given to airlines, 20 million allowances in all; what the producer gets is the pass-through";
        Ok(Verdict {
            eligible: accepted.eligible && in_time,
            years,
            in_cash_flow: self.inputs.policy.allowances_passed_on() > 0.0,
            note: Some(note.into()),
            ..accepted
        })
    }

    /// What the inputs themselves offer.
    fn offer(&self, scheme: &str, incentive: Incentive, given: bool) -> Result<Verdict, Failure> {
        let years = if given { self.years(|sale| incentive.paid(self.inputs, sale))? } else { Vec::new() };
        Ok(Verdict {
            scheme: scheme.into(),
            eligible: years.iter().any(|year| year.usd.is_some_and(|usd| usd > 0.0)),
            limit_g_per_mj: (incentive == Incentive::CarbonPrice).then_some(self.inputs.fossil.ci_g_per_mj),
            misses_by_g_per_mj: (incentive == Incentive::CarbonPrice)
                .then(|| (self.ci - self.inputs.fossil.ci_g_per_mj).max(0.0)),
            saving: None,
            years,
            in_cash_flow: given,
            note: (!given).then(|| "not given".into()),
            source: "the inputs".into(),
        })
    }

    /// The calendar years of operation; none of them where the first is not given.
    fn calendar(&self) -> impl Iterator<Item = Option<i32>> {
        let first = self.inputs.finance.first_year;
        (0..self.inputs.economics.lifetime_yr as i32).map(move |later| first.map(|first| first + later))
    }

    /// What is paid by year.
    fn years(&self, paid: impl Fn(&Sale) -> f64) -> Result<Vec<PolicyYear>, Failure> {
        let main = &self.stages.sales.products[0];
        let mut years = Vec::new();
        for (operation_year, calendar_year) in (1..).zip(self.calendar()) {
            let sale = Sale { calendar_year, t: main.t_per_yr, ci: self.ci, usd_per_t: main.usd_per_t, level: 1.0 };
            let usd = paid(&sale);
            if !usd.is_finite() {
                return Err(Failure::not_finite(format!("policy.{operation_year}"), usd));
            }
            let year = calendar_year.unwrap_or(operation_year);
            years.push(PolicyYear { year, usd: Some(usd), share: None, synthetic_share: None });
        }
        Ok(years)
    }
}
