//! Size: investment, consumption, production and operating cost.

/// Total capital investment at capacity `capacity`, in the money of the reference.
///
/// # Formula
///
/// `TCI = TCI_ref · (C / C_ref)^a`
///
/// # Source
///
/// The six-tenths rule: Williams, *Chemical Engineering* 54(12), 1947; Peters, Timmerhaus and West,
/// *Plant Design and Economics for Chemical Engineers*, 5th ed., section 6.
///
/// ```
/// use safire_engine::plant::total_capital_investment;
/// assert_eq!(total_capital_investment(400e6, 500e3, 500e3, 0.6), 400e6);
/// ```
pub fn total_capital_investment(tci_reference: f64, capacity: f64, reference_capacity: f64, exponent: f64) -> f64 {
    tci_reference * (capacity / reference_capacity).powf(exponent)
}

/// What is consumed or produced per year when the plant makes `capacity` of fuel.
///
/// # Formula
///
/// `m = C · y`, with y in kg per kg of fuel (t/yr follows) or MWh per t of fuel (MWh/yr follows).
///
/// ```
/// use safire_engine::plant::annual_amount;
/// assert_eq!(annual_amount(500e3, 1.21), 605_000.0);
/// ```
pub fn annual_amount(capacity: f64, per_fuel: f64) -> f64 {
    capacity * per_fuel
}

/// Fuel per hour of operation.
///
/// # Formula
///
/// `q = C / h`
///
/// ```
/// use safire_engine::plant::hourly_throughput;
/// assert_eq!(hourly_throughput(500e3, 8000.0), 62.5);
/// ```
pub fn hourly_throughput(capacity: f64, load_hours: f64) -> f64 {
    capacity / load_hours
}

/// Money per year for an amount per year.
///
/// # Formula
///
/// `K = m · p`
///
/// ```
/// use safire_engine::plant::annual_money;
/// assert_eq!(annual_money(605e3, 930.0), 562_650_000.0);
/// ```
pub fn annual_money(amount: f64, price: f64) -> f64 {
    amount * price
}

/// The price of a product with its premium for a low carbon intensity.
///
/// # Formula
///
/// `P = p + s · (CI_fossil − CI)`: negative for a fuel that is worse than the comparator.
///
/// ```
/// use safire_engine::plant::price_with_premium;
/// assert_eq!(price_with_premium(3000.0, 10.0, 89.0, 21.0), 3680.0);
/// ```
pub fn price_with_premium(price: f64, sensitivity: f64, fossil_ci: f64, ci: f64) -> f64 {
    price + sensitivity * (fossil_ci - ci)
}
