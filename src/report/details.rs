//! Tables of what a base analysis rests on and leads to.

use safire_domain::{
    details::Details,
    engine::{
        Balances, CashFlowTable, CashFlowYear, PolicyReport, Prices,
        balances::Balance,
        cash_flow::Money,
        inputs::ResolvedChoice,
        policy::{PolicyYear, Verdict},
        prices::Price,
    },
};

use super::{answer, giver, grouped, heading, line, plain};

/// Columns of the cash flow that stand side by side.
const SIDE_BY_SIDE: usize = 7;

/// All of them.
pub(super) fn tables(out: &mut String, details: &Details) {
    cash_flow(out, &details.cash_flow);
    prices(out, &details.prices);
    policy(out, &details.policy);
    balances(out, &details.balances);
    choices(out, &details.choices);
}

/// A column of the cash flow.
struct Column {
    name: String,
    cells: Vec<f64>,
}

/// The cash flow, a few columns at a time; what is 0 in every year is left out.
fn cash_flow(out: &mut String, table: &CashFlowTable) {
    let money = match table.money {
        Money::Real => "real",
        Money::Nominal => "nominal",
    };
    let rate = plain(table.discount_rate * 100.0, 2);
    heading(out, &format!("Cash flow by year, in {money} USD, discounted at {rate} %"));
    let columns: Vec<Column> = columns(table).into_iter().filter(|c| c.cells.iter().any(|cell| *cell != 0.0)).collect();
    for (at, columns) in columns.chunks(SIDE_BY_SIDE).enumerate() {
        if at > 0 {
            line(out, format_args!(""));
        }
        let names: String = columns.iter().map(|column| format!("{:>20}", column.name)).collect();
        line(out, format_args!("  {:<6}{names}", "year"));
        for (row, year) in table.years.iter().enumerate() {
            let cells: String = columns.iter().map(|column| format!("{:>20}", cell(column, row))).collect();
            line(out, format_args!("  {:<6}{cells}", year.calendar_year.unwrap_or(year.year)));
        }
    }
}

fn cell(column: &Column, row: usize) -> String {
    let value = column.cells[row];
    if column.name == "discount factor" { plain(value, 6) } else { grouped(value, 0) }
}

fn columns(table: &CashFlowTable) -> Vec<Column> {
    type Of = fn(&CashFlowYear) -> f64;
    let column = |name: &str, of: &dyn Fn(&CashFlowYear) -> f64| Column {
        name: name.to_owned(),
        cells: table.years.iter().map(of).collect(),
    };
    let plain = |columns: &[(&str, Of)]| -> Vec<Column> { columns.iter().map(|(name, of)| column(name, of)).collect() };
    let products = table.products.iter().enumerate();
    let products =
        products.map(|(at, code)| column(&format!("sales of {code}"), &|year| year.revenue_by_product_usd[at]));
    let incentives = table.incentives.iter().enumerate();
    let incentives = incentives.map(|(at, code)| column(code, &|year| year.incentives_by_code_usd[at]));
    let mut all = plain(&[
        ("capital", |year| year.capital_usd),
        ("working capital", |year| year.working_capital_usd),
        ("loan drawn", |year| year.loan_drawn_usd),
    ]);
    all.extend(products);
    all.extend(plain(&[
        ("revenue", |year| year.revenue_usd),
        ("variable cost", |year| year.variable_cost_usd),
        ("fixed cost", |year| year.fixed_cost_usd),
    ]));
    all.extend(incentives);
    all.extend(plain(&[
        ("taxed incentives", |year| year.taxed_incentives_usd),
        ("tax credits", |year| year.tax_credits_usd),
        ("depreciation", |year| year.depreciation_usd),
        ("interest", |year| year.interest_usd),
        ("principal", |year| year.principal_usd),
        ("loan balance", |year| year.loan_balance_usd),
        ("taxable income", |year| year.taxable_income_usd),
        ("losses used", |year| year.losses_used_usd),
        ("losses carried", |year| year.losses_carried_usd),
        ("tax", |year| year.tax_usd),
        ("cash flow", |year| year.cash_flow_usd),
        ("discount factor", |year| year.discount_factor),
        ("discounted", |year| year.discounted_usd),
        ("cumulative", |year| year.cumulative_usd),
        ("cum. discounted", |year| year.cumulative_discounted_usd),
    ]));
    all
}

fn prices(out: &mut String, prices: &Prices) {
    heading(out, "Prices");
    line(out, format_args!("  {:<32}{:>14}{:>14}{:>14}{:>14}", "", "USD/t", "USD/L", "USD/gal", "USD/GJ"));
    price(out, "LCOP", &prices.lcop);
    for product in &prices.products {
        price(out, &format!("Minimum for {}", product.code), &product.msp);
        price(out, &format!("LCOP net, {}", product.code), &product.lcop_net);
    }
}

fn price(out: &mut String, name: &str, price: &Price) {
    let cell = |found, decimals| answer(found, |value| plain(value, decimals));
    let cells =
        [cell(&price.usd_per_t, 2), cell(&price.usd_per_l, 4), cell(&price.usd_per_gal, 4), cell(&price.usd_per_gj, 4)];
    let cells: String = cells.iter().map(|cell| format!(" {cell:>13}")).collect();
    line(out, format_args!("  {name:<32}{cells}"));
}

fn policy(out: &mut String, report: &PolicyReport) {
    heading(out, &format!("Policy at {} gCO2e/MJ", plain(report.ci_g_per_mj, 2)));
    let columns = ["scheme", "eligible", "limit", "missed by", "in cash flow"];
    line(
        out,
        format_args!("  {:<22}{:>10}{:>12}{:>12}{:>14}", columns[0], columns[1], columns[2], columns[3], columns[4]),
    );
    for verdict in &report.schemes {
        scheme(out, verdict);
    }
}

fn scheme(out: &mut String, verdict: &Verdict) {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| plain(value, 2));
    let yes = |is: bool| if is { "yes" } else { "no" };
    let cells = [number(verdict.limit_g_per_mj), number(verdict.misses_by_g_per_mj)];
    let (eligible, enters) = (yes(verdict.eligible), yes(verdict.in_cash_flow));
    line(out, format_args!("  {:<22}{eligible:>10}{:>12}{:>12}{enters:>14}", verdict.scheme, cells[0], cells[1]));
    for (years, says) in periods(&verdict.years) {
        line(out, format_args!("      {years}: {says}"));
    }
    if let Some(note) = &verdict.note {
        line(out, format_args!("      {note}"));
    }
    line(out, format_args!("      [{}]", verdict.source));
}

/// Years in which a scheme says the same, together.
fn periods(years: &[PolicyYear]) -> Vec<(String, String)> {
    let alike = |a: &PolicyYear, b: &PolicyYear| says(a) == says(b);
    let period = |years: &[PolicyYear]| match years {
        [] => String::new(),
        [one] => one.year.to_string(),
        [first, .., last] => format!("{} to {}", first.year, last.year),
    };
    years.chunk_by(alike).map(|same| (period(same), same.first().map(says).unwrap_or_default())).collect()
}

fn says(year: &PolicyYear) -> String {
    let percent = |share: f64| format!("{} %", plain(share * 100.0, 1));
    let parts = [
        year.usd.map(|usd| format!("{} USD", grouped(usd, 0))),
        year.share.map(|share| format!("asks for {}", percent(share))),
        year.synthetic_share.map(|share| format!("{} synthetic", percent(share))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn balances(out: &mut String, balances: &Balances) {
    balance(out, "Mass balance", "t/yr", &balances.mass_t_per_yr);
    balance(out, "Carbon balance", "t/yr", &balances.carbon_t_per_yr);
    if let Some(energy) = &balances.energy_gj_per_yr {
        balance(out, "Energy balance", "GJ/yr", energy);
    }
}

fn balance(out: &mut String, title: &str, unit: &str, balance: &Balance) {
    heading(out, title);
    let mut row = |direction: &str, name: &str, amount: f64| {
        line(out, format_args!("  {direction:<4}{name:<28} {:>20}  {unit}", grouped(amount, 0)));
    };
    balance.inputs.iter().for_each(|flow| row("in", &flow.code, flow.amount));
    balance.outputs.iter().for_each(|flow| row("out", &flow.code, flow.amount));
    row("", "difference", balance.difference);
    if let Some(share) = balance.yielded {
        line(out, format_args!("  {:<32} {:>20}  %", "yielded", plain(share * 100.0, 2)));
    }
}

fn choices(out: &mut String, choices: &[ResolvedChoice]) {
    if choices.is_empty() {
        return;
    }
    heading(out, "Choices");
    for choice in choices {
        line(out, format_args!("  {:<52} {:<24} {}", choice.pointer, choice.code, giver(choice.source)));
    }
}
