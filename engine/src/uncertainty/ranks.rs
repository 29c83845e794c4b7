//! Rank correlation.

/// The ranks of values, equal values sharing the mean of theirs.
pub(crate) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<(f64, u32)> = values.iter().zip(0..).map(|(value, index)| (*value, index)).collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for group in order.chunk_by(|a, b| a.0 == b.0) {
        let shared = first as f64 + (group.len() - 1) as f64 / 2.0;
        for (_, index) in group {
            ranks[*index as usize] = shared;
        }
        first += group.len();
    }
    ranks
}

/// Spearman's coefficient of two columns of ranks; none where one of them is constant.
///
/// # Formula
///
/// `Σ (a − ā)(b − b̄) / √(Σ (a − ā)² · Σ (b − b̄)²)`
///
/// # Source
///
/// Spearman, *The proof and measurement of association between two things*, Am. J. Psychol. 15, 1904; ties as in
/// Kendall, *Rank Correlation Methods*, chapter 3.
pub(crate) fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean, b - mean);
        both += a * b;
        first += a * a;
        second += b * b;
    }
    let size = (first * second).sqrt();
    (size > 0.0).then(|| (both / size).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::{correlation, ranks};

    #[test]
    fn equal_values_share_their_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [2.5, 0.0, 2.5, 1.0]);
    }

    #[test]
    fn the_coefficient_is_that_of_scipy() {
        let oracle: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/spearman.json")).unwrap();
        let column = |name: &str| -> Vec<f64> { serde_json::from_value(oracle[name].clone()).unwrap() };
        let rho = correlation(&ranks(&column("x")), &ranks(&column("y"))).unwrap();
        assert!((rho - oracle["rho"].as_f64().unwrap()).abs() < 1e-14, "{rho}");
    }

    #[test]
    fn a_constant_has_no_rank_correlation() {
        assert_eq!(correlation(&ranks(&[1.0, 1.0]), &ranks(&[1.0, 2.0])), None);
    }
}
