//! Correlations between uncertain inputs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::analysis::check::{Complaints, codes};
use crate::inputs::Allowed;
use crate::lanes::{Column, TILE};

/// How two uncertain inputs go together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Correlation {
    /// The two inputs, as JSON pointers.
    pub between: [String; 2],
    /// Correlation of the normal scores: what Pearson's coefficient is for two normal inputs. Spearman's
    /// coefficient of any two inputs is then `6/π · arcsin(ρ/2)`.
    pub coefficient: f64,
}

/// The Gaussian copula: normal numbers with given correlations, from independent ones.
///
/// # Formula
///
/// `z = L · ε` with the lower triangular L of `R = L · Lᵀ` (Cholesky).
///
/// # Source
///
/// Nelsen, *An Introduction to Copulas*, 2nd ed., section 2.3.6; Kruskal, *Ordinal measures of association*, JASA
/// 53, 1958, for Spearman's coefficient.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Copula {
    /// Which inputs are correlated with any other, ascending.
    pub members: Vec<usize>,
    /// The rows of L, each up to its diagonal.
    factor: Vec<Vec<f64>>,
}

impl Copula {
    /// The copula of the inputs with these names; none where nothing is correlated.
    pub fn checked(correlations: &[Correlation], names: &[&str], complaints: &mut Complaints) -> Option<Self> {
        let mut matrix = identity(names.len());
        let mut members = Vec::new();
        let mut valid = true;
        for (index, correlation) in correlations.iter().enumerate() {
            let at = format!("/correlations/{index}");
            let Some((a, b)) = pair(correlation, names, &at, complaints) else {
                valid = false;
                continue;
            };
            let allowed = Allowed { min: -0.9999, max: 0.9999, unit: "1", min_exclusive: false };
            complaints.number(format!("{at}/coefficient"), "the coefficient", correlation.coefficient, allowed);
            if matrix[a][b] != 0.0 {
                complaints.add(at, codes::REPEATED, "the correlation of two inputs is given twice".into());
            }
            (matrix[a][b], matrix[b][a]) = (correlation.coefficient, correlation.coefficient);
            members.extend([a, b]);
        }
        members.sort_unstable();
        members.dedup();
        if !valid || members.is_empty() {
            return None;
        }
        let rows = members.iter().map(|row| members.iter().map(|column| matrix[*row][*column]).collect());
        let rows: Vec<Vec<f64>> = rows.collect();
        let factor = cholesky(&rows);
        if factor.is_none() {
            let impossible = "no random numbers can have these correlations: their matrix is not positive definite";
            let names: Vec<&str> = members.iter().map(|member| names[*member]).collect();
            let message = format!("{impossible}. {}", remedy(&rows, &names));
            complaints.add("/correlations".into(), codes::NOT_POSITIVE_DEFINITE, message);
        }
        Some(Self { members, factor: factor? })
    }

    /// Turns the members' columns of independent normal numbers into correlated ones.
    #[inline(always)]
    pub fn correlate(&self, columns: &mut [Column]) {
        // From the last on: each row needs the independent numbers of the rows above it.
        for (row, factors) in self.factor.iter().enumerate().rev() {
            let mut sum = Column::of(0.0);
            for (factor, member) in factors.iter().zip(&self.members) {
                let independent = &columns[*member];
                for i in 0..TILE {
                    sum[i] += factor * independent[i];
                }
            }
            columns[self.members[row]] = sum;
        }
    }
}

fn identity(size: usize) -> Vec<Vec<f64>> {
    let row = |at| (0..size).map(|column| if column == at { 1.0 } else { 0.0 }).collect();
    (0..size).map(row).collect()
}

/// The numbers of two different uncertain inputs.
fn pair(correlation: &Correlation, names: &[&str], at: &str, complaints: &mut Complaints) -> Option<(usize, usize)> {
    let mut number = |which: usize| {
        let name = correlation.between[which].as_str();
        let found = names.iter().position(|known| *known == name);
        if found.is_none() {
            let message = format!("{name:?} is not one of the uncertain inputs");
            complaints.add(format!("{at}/between/{which}"), codes::UNKNOWN_INPUT, message);
        }
        found
    };
    let (a, b) = (number(0), number(1));
    let (a, b) = (a?, b?);
    if a == b {
        complaints.add(format!("{at}/between"), codes::REPEATED, "an input is not correlated with itself".into());
        return None;
    }
    Some((a, b))
}

/// The least change that makes a matrix of correlations positive definite: of one coefficient, or else of all of them by
/// the same factor, which always does.
fn remedy(matrix: &[Vec<f64>], names: &[&str]) -> String {
    let pairs = (0..matrix.len()).flat_map(|a| (0..a).map(move |b| (b, a))).filter(|(b, a)| matrix[*a][*b] != 0.0);
    let changes = pairs.filter_map(|pair| Some((pair, possible(matrix, pair)?)));
    let change = |((b, a), value): &((usize, usize), f64)| (value - matrix[*a][*b]).abs();
    match changes.min_by(|x, y| change(x).total_cmp(&change(y))) {
        Some(((b, a), value)) => format!(
            "The least change that would do: {value:.4} instead of {} between {} and {}",
            matrix[a][b], names[b], names[a]
        ),
        None => format!("They would be possible if all of them were multiplied by {:.4}", scale(matrix)),
    }
}

/// Steps that a coefficient is tried in, from −1 to 1.
const TRIALS: u32 = 400;

/// The value of one coefficient, nearest to the one that it has, with which the matrix is positive definite.
fn possible(matrix: &[Vec<f64>], (b, a): (usize, usize)) -> Option<f64> {
    let with = |value: f64| {
        let mut changed = matrix.to_vec();
        (changed[a][b], changed[b][a]) = (value, value);
        cholesky(&changed).is_some()
    };
    let given = matrix[a][b];
    let trials = (1..TRIALS).map(|step| f64::from(step) * 2.0 / f64::from(TRIALS) - 1.0);
    let near = |x: &f64, y: &f64| (x - given).abs().total_cmp(&(y - given).abs());
    let mut inside = trials.filter(|value| with(*value)).min_by(near)?;
    let mut outside = given;
    for _ in 0..40 {
        let middle = f64::midpoint(inside, outside);
        *(if with(middle) { &mut inside } else { &mut outside }) = middle;
    }
    Some(rounded_towards(inside, inside - given))
}

/// The greatest factor of all coefficients with which the matrix is positive definite.
fn scale(matrix: &[Vec<f64>]) -> f64 {
    let scaled = |factor: f64| {
        let entry = |row: usize, column: usize, value: f64| if row == column { value } else { value * factor };
        let row = |(row, values): (usize, &Vec<f64>)| {
            values.iter().enumerate().map(|(column, value)| entry(row, column, *value)).collect()
        };
        cholesky(&matrix.iter().enumerate().map(row).collect::<Vec<_>>()).is_some()
    };
    let (mut possible, mut impossible) = (0.0, 1.0);
    for _ in 0..40 {
        let middle = f64::midpoint(possible, impossible);
        *(if scaled(middle) { &mut possible } else { &mut impossible }) = middle;
    }
    rounded_towards(possible, -1.0)
}

/// Four decimals, in the direction of a change: what is told is still possible.
fn rounded_towards(value: f64, direction: f64) -> f64 {
    let shifted = value * 1e4;
    (if direction < 0.0 { shifted.floor() } else { shifted.ceil() }) / 1e4
}

/// L of a symmetric matrix, if it is positive definite by more than rounding.
///
/// # Source
///
/// Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 10.1.
fn cholesky(matrix: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    const LEAST_PIVOT: f64 = 1e-10;
    let mut factor: Vec<Vec<f64>> = Vec::with_capacity(matrix.len());
    for (i, given) in matrix.iter().enumerate() {
        let mut row: Vec<f64> = Vec::with_capacity(i + 1);
        for (above, known) in factor.iter().zip(given) {
            let used: f64 = row.iter().zip(above).map(|(a, b)| a * b).sum();
            row.push((known - used) / above[above.len() - 1]);
        }
        let pivot = given[i] - row.iter().map(|a| a * a).sum::<f64>();
        if pivot.is_nan() || pivot <= LEAST_PIVOT {
            return None;
        }
        row.push(pivot.sqrt());
        factor.push(row);
    }
    Some(factor)
}
