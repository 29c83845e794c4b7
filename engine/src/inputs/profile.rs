//! Profiles: named sets of switches, each an ordinary document that fills in what a user leaves out.

use crate::units::Quantity;

use super::document::{EconomicInputs, InputDocument};
use super::switches::{Depreciation, FinanceInputs, Financing, Losses, Payback, Profile};

impl Profile {
    /// What the profile gives. The user's values come before it, the default set's after it.
    ///
    /// # Source
    ///
    /// `safire`: the base analysis as documented in `docs/analyses.md`.
    ///
    /// `nrel-nth-plant`: Humbird et al., *Process Design and Economics for Biochemical Conversion of
    /// Lignocellulosic Biomass to Ethanol*, NREL/TP-5100-47764, 2011, section 4 and its discounted cash flow:
    /// 40 % equity at 10 %, 10-year loan at 8 %, 35 % tax, 30 years, 7-year MACRS, working capital 5 % of the
    /// fixed capital, 8/60/32 % over three years. Half a year of start-up is that of its predecessor, Aden
    /// et al., NREL/TP-510-32438, 2002; the report of 2011 has a quarter.
    ///
    /// `safapac-2025`: the calculation flowchart in SAFAPAC's public repository, 2025. Its cash flow has no
    /// working capital although its inputs name a ratio, and money is back when the sum is *above* 0;
    /// everything else is as in `safire`.
    ///
    /// ```
    /// use safire_engine::inputs::Profile;
    ///
    /// let nrel = Profile::NrelNthPlant.document();
    /// assert_eq!(nrel.finance.debt_share.unwrap().value, 60.0);
    /// assert_eq!(nrel.economics.lifetime.unwrap().value, 30.0);
    /// ```
    pub fn document(self) -> InputDocument {
        let (finance, economics) = match self {
            Self::Safire => (simple(), EconomicInputs::default()),
            Self::NrelNthPlant => (nrel_finance(), nrel_economics()),
            Self::Safapac2025 => (
                FinanceInputs { payback: Some(Payback::Positive), ..simple() },
                EconomicInputs { working_capital_ratio: percent(0.0), ..EconomicInputs::default() },
            ),
        };
        let finance = FinanceInputs { profile: Some(self), ..finance };
        InputDocument { finance, economics, ..InputDocument::default() }
    }
}

fn percent(value: f64) -> Option<Quantity> {
    Some(Quantity::new(value, "%"))
}

fn years(value: f64) -> Option<Quantity> {
    Some(Quantity::new(value, "yr"))
}

/// Every switch off.
fn simple() -> FinanceInputs {
    FinanceInputs {
        depreciation: Some(Depreciation::StraightLine),
        losses: Some(Losses::Expire),
        financing: Some(Financing::Loan),
        payback: Some(Payback::NotNegative),
        construction_year_1: percent(100.0),
        startup_time: years(0.0),
        startup_revenue: percent(100.0),
        startup_variable_cost: percent(100.0),
        startup_fixed_cost: percent(100.0),
        loss_limit: percent(100.0),
        debt_share: percent(0.0),
        debt_rate: percent(0.0),
        debt_term: years(1.0),
        inflation: percent(0.0),
        feedstock_escalation: percent(0.0),
        hydrogen_escalation: percent(0.0),
        electricity_escalation: percent(0.0),
        main_product_escalation: percent(0.0),
        co_product_escalation: percent(0.0),
        fixed_cost_escalation: percent(0.0),
        ..FinanceInputs::default()
    }
}

fn nrel_finance() -> FinanceInputs {
    FinanceInputs {
        depreciation: Some(Depreciation::Macrs7),
        losses: Some(Losses::CarriedForward),
        construction_year_1: percent(8.0),
        construction_year_2: percent(60.0),
        construction_year_3: percent(32.0),
        startup_time: years(0.5),
        startup_revenue: percent(50.0),
        startup_variable_cost: percent(75.0),
        debt_share: percent(60.0),
        debt_rate: percent(8.0),
        debt_term: years(10.0),
        ..simple()
    }
}

fn nrel_economics() -> EconomicInputs {
    EconomicInputs {
        discount_rate: percent(10.0),
        lifetime: years(30.0),
        working_capital_ratio: percent(5.0),
        tax_rate: percent(35.0),
        ..EconomicInputs::default()
    }
}

impl FinanceInputs {
    fn construction(&mut self) -> [&mut Option<Quantity>; 5] {
        [
            &mut self.construction_year_1,
            &mut self.construction_year_2,
            &mut self.construction_year_3,
            &mut self.construction_year_4,
            &mut self.construction_year_5,
        ]
    }

    /// Takes what is missing from a profile. A construction schedule is taken whole or not at all: the
    /// shares of two schedules mixed sum to nothing sensible. Rate and term of a loan are taken only from a profile
    /// that has one: a debt without them is refused.
    pub(super) fn fill_from_profile(&mut self, profile: &Self) {
        let mut profile = profile.clone();
        let owes = |share: &Option<Quantity>| share.as_ref().is_some_and(|share| share.value > 0.0);
        if owes(&self.debt_share) && !owes(&profile.debt_share) {
            (profile.debt_rate, profile.debt_term) = (None, None);
        }
        if self.construction().iter().any(|share| share.is_some()) {
            profile.construction().into_iter().for_each(|share| *share = None);
        }
        self.fill_from(&profile);
    }
}
