//! The sections that switch how finance, policy and carbon are calculated.

use super::section::{choice, section};

choice! {
    /// A named set of switches.
    Profile {
        /// Everything is paid in year 0 from equity, straight line over the lifetime, losses expire.
        Safire = "safire",
        /// The discounted cash flow of NREL's design reports for an nth plant.
        NrelNthPlant = "nrel-nth-plant",
        /// The published calculation flowchart of SAFAPAC, 2025.
        Safapac2025 = "safapac-2025",
    }
}

choice! {
    /// How the investment is written off.
    Depreciation {
        /// In equal parts over the depreciation period.
        StraightLine = "straight_line",
        /// MACRS, 5-year property.
        Macrs5 = "macrs_5",
        /// MACRS, 7-year property.
        Macrs7 = "macrs_7",
        /// MACRS, 10-year property.
        Macrs10 = "macrs_10",
        /// MACRS, 15-year property.
        Macrs15 = "macrs_15",
        /// MACRS, 20-year property.
        Macrs20 = "macrs_20",
    }
}

choice! {
    /// What becomes of a year's loss.
    Losses {
        /// It lowers no later tax.
        Expire = "expire",
        /// It lowers the taxable income of later years.
        CarriedForward = "carried_forward",
    }
}

choice! {
    /// How debt is accounted for.
    Financing {
        /// Drawn, served and repaid in the cash flow, which is then the owners'.
        Loan = "loan",
        /// In the rate alone: the weighted average cost of capital, after tax.
        Wacc = "wacc",
    }
}

choice! {
    /// When money counts as back.
    Payback {
        /// As soon as the sum of the cash flow is not negative.
        NotNegative = "not_negative",
        /// As soon as the sum of the cash flow is positive.
        Positive = "positive",
    }
}

section! {
    /// How the investment is financed, depreciated and taxed.
    FinanceInputs ["an object with the finance switches"] {
        /// Calendar year of the first year of operation, in yr.
        first_year: FIRST_YEAR,
        /// Share of the investment spent in the first year of construction. The last year of construction that
        /// is given is year 0, the one before operation; all shares sum to 1.
        construction_year_1: CONSTRUCTION_1,
        /// The second year of construction.
        construction_year_2: CONSTRUCTION_2,
        /// The third year of construction.
        construction_year_3: CONSTRUCTION_3,
        /// The fourth year of construction.
        construction_year_4: CONSTRUCTION_4,
        /// The fifth year of construction.
        construction_year_5: CONSTRUCTION_5,
        /// Part of the first year of operation that is start-up, in yr.
        startup_time: STARTUP_TIME,
        /// Revenue during start-up, a share of the ordinary one.
        startup_revenue: STARTUP_REVENUE,
        /// Variable cost during start-up, a share of the ordinary one.
        startup_variable_cost: STARTUP_VARIABLE_COST,
        /// Fixed cost during start-up, a share of the ordinary one.
        startup_fixed_cost: STARTUP_FIXED_COST,
        /// Years of straight-line depreciation; the lifetime where left out.
        depreciation_period: DEPRECIATION_PERIOD,
        /// The greatest share of a year's taxable income that carried losses may cancel.
        loss_limit: LOSS_LIMIT,
        /// Share of the investment that is borrowed.
        debt_share: DEBT_SHARE,
        /// Interest on debt, per year.
        debt_rate: DEBT_RATE,
        /// Years of operation in which the loan is repaid, in equal instalments.
        debt_term: DEBT_TERM,
        /// General inflation, per year. Above 0 the cash flow and all rates are nominal, at 0 they are real.
        inflation: INFLATION,
        /// Rise of feedstock prices above inflation, per year.
        feedstock_escalation: FEEDSTOCK_ESCALATION,
        /// Rise of the hydrogen price above inflation, per year.
        hydrogen_escalation: HYDROGEN_ESCALATION,
        /// Rise of the electricity price above inflation, per year.
        electricity_escalation: ELECTRICITY_ESCALATION,
        /// Rise of the main product's price above inflation, per year.
        main_product_escalation: MAIN_PRODUCT_ESCALATION,
        /// Rise of the co-products' prices above inflation, per year.
        co_product_escalation: CO_PRODUCT_ESCALATION,
        /// Rise of the fixed cost above inflation, per year.
        fixed_cost_escalation: FIXED_COST_ESCALATION,
    } choices {
        /// The set of switches that fills in what is left out here and in the economics.
        profile: Profile,
        /// How the investment is written off.
        depreciation: Depreciation,
        /// What becomes of a year's loss.
        losses: Losses,
        /// How debt is accounted for.
        financing: Financing,
        /// When money counts as back.
        payback: Payback,
    }
}

choice! {
    /// The US clean fuel production credit.
    CleanFuelCredit {
        /// Does not enter the cash flow.
        None = "none",
        /// Enters at the base amount.
        Base = "base",
        /// Enters at the amount for facilities that meet the wage and apprenticeship rules.
        Full = "full",
    }
}

choice! {
    /// What kind of renewable fuel the law sees in the main product.
    FuelKind {
        /// A biofuel, waste oils and fats included.
        Biofuel = "biofuel",
        /// A biofuel from feedstocks of RED Annex IX, part A.
        AdvancedBiofuel = "advanced_biofuel",
        /// A renewable fuel of non-biological origin.
        Rfnbo = "rfnbo",
    }
}

choice! {
    /// Allowances that the EU ETS gives for sustainable aviation fuel.
    SafAllowances {
        /// Do not enter the cash flow.
        None = "none",
        /// Enter, as far as airlines pass them on.
        PassedOn = "passed_on",
    }
}

section! {
    /// Incentives that enter the cash flow.
    PolicyInputs ["an object with the policy inputs"] {
        /// Paid per tonne of CO2e that the main product avoids against the fossil comparator, e.g. in USD/t.
        carbon_price: CARBON_PRICE,
        /// First calendar year of the carbon price.
        carbon_price_first_year: CARBON_PRICE_FIRST_YEAR,
        /// Last calendar year of the carbon price.
        carbon_price_last_year: CARBON_PRICE_LAST_YEAR,
        /// Paid per tonne of main product, e.g. in USD/t.
        production_incentive: PRODUCTION_INCENTIVE,
        /// First calendar year of the production incentive.
        production_incentive_first_year: PRODUCTION_INCENTIVE_FIRST_YEAR,
        /// Last calendar year of the production incentive.
        production_incentive_last_year: PRODUCTION_INCENTIVE_LAST_YEAR,
        /// Price of an EU ETS allowance, e.g. in USD/t.
        eu_allowance_price: EU_ALLOWANCE_PRICE,
        /// Share of the EU ETS allowances' value that reaches the producer.
        eu_pass_through: EU_PASS_THROUGH,
    } choices {
        /// The US clean fuel production credit (section 45Z).
        us_45z: CleanFuelCredit,
        /// What kind of renewable fuel the main product is.
        fuel_kind: FuelKind,
        /// The allowances of the EU ETS for sustainable aviation fuel.
        eu_saf_allowances: SafAllowances,
    }
}

choice! {
    /// How emissions are shared among products.
    Allocation {
        /// By energy content: every MJ carries the same.
        Energy = "energy",
        /// By mass: every tonne carries the same.
        Mass = "mass",
        /// By value: every dollar of revenue, premiums left out, carries the same.
        EconomicValue = "economic_value",
    }
}

section! {
    /// How emissions are found and shared.
    CarbonInputs ["an object with the carbon inputs"] {
        /// A default life-cycle value instead of the inventory of feedstocks, utilities and process.
        default_ci: DEFAULT_CI,
    } choices {
        /// How emissions are shared among products.
        allocation: Allocation,
    }
}
