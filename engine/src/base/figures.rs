//! Every number of the base analysis: its name in the trace, symbol, unit and formula.

use std::fmt::{self, Display, Formatter};

use crate::trace::Operand;

/// A number that the analysis works out.
pub(crate) struct Figure {
    /// Its name in the trace.
    pub name: &'static str,
    /// Its symbol in the formulas.
    pub symbol: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Its formula.
    pub formula: &'static str,
}

impl Figure {
    const fn new(name: &'static str, symbol: &'static str, unit: &'static str, formula: &'static str) -> Self {
        Self { name, symbol, unit, formula }
    }

    /// The figure as an operand of a later step.
    pub fn operand(&self, value: f64) -> Operand {
        self.operand_named(self.name.to_owned(), value)
    }

    /// The figure of one feedstock, product or year as an operand of a later step.
    pub fn operand_of(&self, part: impl Display, value: f64) -> Operand {
        self.operand_named(Name::of(self, part).to_string(), value)
    }

    fn operand_named(&self, name: String, value: f64) -> Operand {
        Operand {
            symbol: self.symbol.into(),
            name: name.replace(['_', '.'], " "),
            value,
            unit: self.unit.into(),
            source: name,
        }
    }
}

/// The name of a figure, or of a figure of one feedstock, product or year.
pub(crate) struct Name<P> {
    figure: &'static str,
    part: P,
}

impl<P: Display> Name<P> {
    pub fn of(figure: &Figure, part: P) -> Self {
        Self { figure: figure.name, part }
    }
}

impl<P: Display> Display for Name<P> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.figure, self.part)
    }
}

macro_rules! figures {
    ($($name:ident = $in_trace:literal, $symbol:literal, $unit:literal, $formula:literal;)+) => {
        $(pub(super) const $name: Figure = Figure::new($in_trace, $symbol, $unit, $formula);)+
    };
}

figures! {
    TCI = "tci", "TCI", "USD", "TCI_ref · (C / C_ref)^a";
    WORKING_CAPITAL = "working_capital", "W", "USD", "w · TCI";
    THROUGHPUT = "throughput", "q", "t/h", "C / h";

    FEEDSTOCK_CONSUMPTION = "feedstock_consumption", "m_f", "t/yr", "C · y_f";
    FEEDSTOCK_COST = "feedstock_cost", "K_f", "USD/yr", "m_f · p_f";
    HYDROGEN_CONSUMPTION = "hydrogen_consumption", "m_H2", "t/yr", "C · y_H2";
    HYDROGEN_COST = "hydrogen_cost", "K_H2", "USD/yr", "m_H2 · p_H2";
    ELECTRICITY_CONSUMPTION = "electricity_consumption", "m_el", "MWh/yr", "C · y_el";
    ELECTRICITY_COST = "electricity_cost", "K_el", "USD/yr", "m_el · p_el";

    PRODUCTION = "production", "m_i", "t/yr", "C · y_i";
    TOTAL_PRODUCTION = "total_production", "m", "t/yr", "Σ m_i";
    FEEDSTOCK_CARBON = "feedstock_carbon", "B", "kg/kg", "Σ c_f · y_f";
    CCE = "cce", "CCE_i", "%", "c_i · y_i / B · 100 %";
    FUEL_ENERGY = "fuel_energy", "E", "MJ/kg", "Σ e_i · y_i";
    ENERGY_SHARE = "energy_share", "x_i", "1", "e_i · y_i / E";

    CI_OF_FEEDSTOCK = "ci_of_feedstock", "CI_F,f", "gCO2e/MJ", "CI_f · y_f / E";
    CI_FEEDSTOCK = "ci_feedstock", "CI_F", "gCO2e/MJ", "Σ CI_F,f";
    CI_HYDROGEN = "ci_hydrogen", "CI_H", "gCO2e/MJ", "CI_H2 · y_H2 / E";
    CI_ELECTRICITY = "ci_electricity", "CI_E", "gCO2e/MJ", "CI_el · y_el / E";
    CI_PROCESS = "ci_process", "CI_P", "gCO2e/MJ", "CI_process";
    CI = "ci", "CI", "gCO2e/MJ", "CI_F + CI_H + CI_E + CI_P";
    EMISSIONS = "emissions", "M", "t/yr", "CI · E · C / 1000";
    ALLOCATED_EMISSIONS = "allocated_emissions", "M_i", "t/yr", "M · x_i";

    DIRECT_OPEX = "direct_opex", "O_d", "USD/yr", "Σ K_f + K_H2 + K_el";
    INDIRECT_OPEX = "indirect_opex", "O_i", "USD/yr", "k · TCI";
    OPEX = "opex", "OPEX", "USD/yr", "O_d + O_i";
    PRICE = "price", "P_i", "USD/t", "p_i + s_i · (CI_fossil − CI)";
    PRODUCT_REVENUE = "product_revenue", "R_i", "USD/yr", "m_i · P_i";
    REVENUE = "revenue", "R", "USD/yr", "Σ R_i";
    CO_PRODUCT_REVENUE = "co_product_revenue", "R_co", "USD/yr", "Σ R_i without the main product";

    CRF = "crf", "CRF", "1/yr", "r(1+r)^n / ((1+r)^n − 1), 1/n where r = 0";
    ANNUAL_CAPITAL = "annual_capital", "K", "USD/yr", "TCI · CRF";
    LCOP = "lcop", "LCOP", "USD/t", "(K + OPEX) / m";
    LCOP_NET = "lcop_net", "LCOP_net", "USD/t", "(K + OPEX − R_co) / m_main";

    GROSS = "gross_margin", "G", "USD/yr", "R − OPEX";
    DEPRECIATION = "depreciation", "D", "USD/yr", "TCI / n";
    TAX = "tax", "T", "USD/yr", "max(0, G − D) · τ";
    ANNUAL_CASH_FLOW = "annual_cash_flow", "CF", "USD/yr", "G − T";
    INVESTMENT_FLOW = "cash_flow", "CF_t", "USD", "−TCI − W";
    CASH_FLOW = "cash_flow", "CF_t", "USD", "CF";
    LAST_CASH_FLOW = "cash_flow", "CF_t", "USD", "CF + W";
    NPV = "npv", "NPV", "USD", "Σ CF_t / (1+r)^t";
    IRR = "irr", "IRR", "1", "r with Σ CF_t / (1+r)^t = 0";
    PAYBACK = "payback", "t_p", "yr", "first t with Σ CF_s ≥ 0 over s ≤ t, once it was < 0";
    DISCOUNTED_PAYBACK = "discounted_payback", "t_d", "yr", "first t with Σ CF_s / (1+r)^s ≥ 0 over s ≤ t, once it was < 0";
    NEGATIVE_AGAIN = "payback_negative_again", "t_p'", "yr", "first t > t_p with Σ CF_s < 0 over s ≤ t";
    DISCOUNTED_NEGATIVE_AGAIN =
        "discounted_payback_negative_again", "t_d'", "yr", "first t > t_d with Σ CF_s / (1+r)^s < 0 over s ≤ t";

    REQUIRED_CASH_FLOW = "required_cash_flow", "A", "USD/yr", "TCI · CRF + W · r, D where r = 0";
    REQUIRED_GROSS = "required_gross_margin", "G_A", "USD/yr", "A where A ≤ D, else (A − τ · D) / (1 − τ)";
    PREMIUM = "premium", "Z", "USD/t", "s_i · (CI_fossil − CI)";
    MSP = "msp", "MSP", "USD/t", "(G_A + OPEX − R_co) / m_main − Z";
    MSP_PER_ENERGY = "msp_per_energy", "MSP_E", "USD/GJ", "MSP / e_main";
    FOSSIL_PRICE_PER_ENERGY = "fossil_price_per_energy", "P_fossil", "USD/GJ", "p_fossil / e_fossil";
    ABATEMENT = "abatement_cost", "A_CO2", "USD/t", "(MSP_E − P_fossil) · 1000 / (CI_fossil − CI)";

    WACC = "wacc", "r", "1", "(1 − d) · r + d · r_d · (1 − τ)";
    CI_DEFAULT = "ci_process", "CI_P", "gCO2e/MJ", "CI_default";
    MASS_SHARE = "mass_share", "x_i", "1", "m_i / m";
    VALUE_SHARE = "value_share", "x_i", "1", "p_i · y_i / Σ p_j · y_j";
    PRODUCT_CI = "product_ci", "CI_i", "gCO2e/MJ", "M_i · 1000 / (m_i · e_i)";

    CAPITAL = "capital", "I_t", "USD", "k_t · TCI";
    LOAN_DRAWN = "loan_drawn", "L_t", "USD", "d · I_t";
    INTEREST = "interest", "J_t", "USD", "r_d · (B_t−1 + L_t)";
    PRINCIPAL = "principal", "A_t", "USD", "B_t−1 · CRF(r_d, instalments left) − J_t";
    LOAN_BALANCE = "loan_balance", "B_t", "USD", "B_t−1 + L_t − A_t";
    YEAR_REVENUE = "revenue_of_year", "R_t", "USD", "Σ R_i · ((1+i)(1+g_i))^t · (1 − u + u · u_R in year 1)";
    YEAR_VARIABLE_COST = "variable_cost", "V_t", "USD", "Σ K · ((1+i)(1+g))^t · (1 − u + u · u_V in year 1)";
    YEAR_FIXED_COST = "fixed_cost", "F_t", "USD", "O_i · ((1+i)(1+g_F))^t · (1 − u + u · u_F in year 1)";
    TAXED_INCENTIVES = "taxed_incentives", "B_t", "USD", "sum of the incentives that are income";
    TAX_CREDITS = "tax_credits", "C_t", "USD", "sum of the incentives that are tax credits";
    YEAR_DEPRECIATION = "depreciation", "D_t", "USD", "TCI · share of the year";
    TAXABLE_INCOME = "taxable_income", "X_t", "USD", "R_t + B_t − V_t − F_t − D_t − J_t";
    LOSSES_USED = "losses_used", "N_t", "USD", "min(S_t−1, l · max(0, X_t)) where losses are carried, else 0";
    LOSSES_CARRIED = "losses_carried", "S_t", "USD", "S_t−1 + max(0, −X_t) − N_t where losses are carried, else 0";
    YEAR_TAX = "tax", "T_t", "USD", "max(0, X_t − N_t) · τ";
    BUILDING_FLOW = "cash_flow", "CF_t", "USD", "−I_t + L_t − J_t, less W in year 0";
    OPERATING_FLOW = "cash_flow", "CF_t", "USD", "R_t + B_t + C_t − V_t − F_t − T_t − J_t − A_t, plus W in year n";
    FIRST_FLOW_YEAR = "cash_flow_first_year", "t_1", "yr", "1 − years of construction";
    SOLVED_MSP = "msp", "MSP", "USD/t", "P_main − Z with NPV(P_main) = 0, by bracketing";
    REPAID = "payback", "t_p", "yr", "first t with Σ CF_s ≥ 0 (or > 0, as chosen) over s ≤ t, once it was < 0";
    REPAID_WITH_INTEREST = "discounted_payback", "t_d", "yr", "first t with Σ CF_s / (1+r)^s ≥ 0 (or > 0) over s ≤ t, once it was < 0";
}
