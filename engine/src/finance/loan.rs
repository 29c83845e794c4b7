//! A loan that is drawn while the plant is built and repaid in equal instalments while it runs.

use super::crf;

/// The yearly instalment that repays `principal` with interest.
///
/// # Formula
///
/// `A = P · CRF(r_d, n_d)`
///
/// ```
/// use safire_engine::finance::instalment;
/// assert_eq!(format!("{:.4}", instalment(1000.0, 0.08, 10)), "149.0295");
/// ```
pub fn instalment(principal: f64, rate: f64, years: u32) -> f64 {
    principal * crf(rate, years)
}

/// What is owed, and what a year of it costs.
///
/// ```
/// use safire_engine::finance::Loan;
///
/// let mut loan = Loan::default();
/// loan.draw(1000.0);
/// assert_eq!(loan.interest(0.25), 250.0);
/// let repaid = loan.repay(0.25, 1);
/// assert_eq!((repaid, loan.balance), (1000.0, 0.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Loan {
    /// What is owed at the end of the year.
    pub balance: f64,
}

impl Loan {
    /// Borrows more.
    pub fn draw(&mut self, amount: f64) {
        self.balance += amount;
    }

    /// Interest for a year on what is owed.
    pub fn interest(&self, rate: f64) -> f64 {
        self.balance * rate
    }

    /// Repays the part of this year's instalment that is not interest, with `years_left` instalments to go,
    /// this one included, and returns that part.
    pub fn repay(&mut self, rate: f64, years_left: u32) -> f64 {
        let principal = match years_left {
            0 => 0.0,
            1 => self.balance,
            _ => instalment(self.balance, rate, years_left) - self.interest(rate),
        };
        self.balance -= principal;
        principal
    }
}
