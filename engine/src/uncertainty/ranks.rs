//! Rank correlation.

/// The ranks of values, equal values sharing the mean of theirs.
///
/// Numbers are sorted several times as fast as pairs: the last bits of a value make room for its index, and the few
/// values that differ in these bits only are sorted again.
pub(crate) fn ranks(values: &[f64]) -> Vec<f64> {
    let indices = values.len().next_power_of_two() as u64 - 1;
    let mut order: Vec<u64> = values.iter().zip(0..).map(|(value, index)| ordered(*value) & !indices | index).collect();
    order.sort_unstable();
    let value = |packed: &u64| values[(packed & indices) as usize];
    for alike in order.chunk_by_mut(|a, b| a & !indices == b & !indices) {
        alike.sort_unstable_by(|a, b| value(a).total_cmp(&value(b)));
    }
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for group in order.chunk_by(|a, b| value(a) == value(b)) {
        let shared = first as f64 + (group.len() - 1) as f64 / 2.0;
        for packed in group {
            ranks[(packed & indices) as usize] = shared;
        }
        first += group.len();
    }
    ranks
}

/// A whole number that is greater where the value is greater, with -0 as 0.
fn ordered(value: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    let bits = (value + 0.0).to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
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
    fn values_are_ranked_to_the_last_bit() {
        let mut values: Vec<f64> = (0..100).map(|i| f64::from_bits(1.5f64.to_bits() + (i * 37) % 100)).collect();
        values.extend([-1.5, -0.0, 0.0, -1.5f64.next_up(), f64::MIN, f64::MAX]);
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = |value: f64| {
            let place = sorted.iter().position(|other| *other == value).unwrap() as f64;
            if value == 0.0 { place + 0.5 } else { place }
        };
        assert_eq!(ranks(&values), values.iter().map(|value| rank(*value)).collect::<Vec<_>>());
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
