//! The standard normal distribution.

use multiversion::multiversion;
use statrs::function::erf::erfc;

use crate::lanes::{Column, TILE, ln, polynomial};

/// The probability below z.
///
/// # Formula
///
/// `Φ(z) = erfc(−z / √2) / 2`
pub(crate) fn probability(z: f64) -> f64 {
    erfc(-z * std::f64::consts::FRAC_1_SQRT_2) / 2.0
}

/// The density at z.
///
/// # Formula
///
/// `φ(z) = exp(−z² / 2) / √(2π)`
pub(crate) fn density(z: f64) -> f64 {
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// The value below which a share `p` lies, 2^−53 ≤ p ≤ 1 − 2^−53, to 2e-15 of itself.
///
/// # Formula
///
/// `z = x · P(w)` with x = 2p − 1, w = −ln(1 − x²) and P polynomials fitted by `engine/scripts/normal_quantile.py`.
///
/// # Source
///
/// The variable w, in which P is smooth: Giles, *Approximating the erfinv function*, GPU Computing Gems, Jade
/// Edition, 2011, chapter 10.
pub(crate) fn quantile(p: f64) -> f64 {
    if width(p) < CENTRE_END { centre(p) } else { tail(p) }
}

/// The quantiles of a column of probabilities.
#[inline(always)]
pub(crate) fn quantiles(column: &mut Column) {
    let mut beyond = 0;
    let given = *column;
    for i in 0..TILE {
        let p = given[i];
        beyond |= u64::from(4.0 * p * (1.0 - p) < CENTRE_SHARE);
        column[i] = centre(p);
    }
    if beyond != 0 {
        tails(&given, column);
    }
}

/// Two in a thousand probabilities lie beyond the centre.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn tails(given: &Column, column: &mut Column) {
    for i in 0..TILE {
        if 4.0 * given[i] * (1.0 - given[i]) < CENTRE_SHARE {
            column[i] = quantile(given[i]);
        }
    }
}

const CENTRE_END: f64 = 6.25;
/// A little above exp(−6.25): what is between is looked at twice, by [`quantile`] itself.
const CENTRE_SHARE: f64 = 0.001_931;

#[inline(always)]
fn width(p: f64) -> f64 {
    -ln(4.0 * p * (1.0 - p))
}

#[inline(always)]
fn centre(p: f64) -> f64 {
    const HALF: f64 = CENTRE_END / 2.0;
    (2.0 * p - 1.0) * polynomial(&CENTRE, (width(p) - HALF) * (1.0 / HALF))
}

fn tail(p: f64) -> f64 {
    let s = width(p).sqrt();
    let scaled = if s < 4.0 {
        polynomial(&TAIL, (s - 3.25) / 0.75)
    } else {
        polynomial(&FAR_TAIL, (s.min(6.125) - 5.0625) / 1.0625)
    };
    (2.0 * p - 1.0) * scaled
}

const CENTRE: [f64; 24] = [
    2.338620710026593,
    1.061359245941059,
    -0.0833290935280152,
    -0.031967516158611514,
    0.02518482680773321,
    -0.005851046104529433,
    -0.0017984444652822756,
    0.0017429978089465805,
    -0.0003739089957853321,
    -0.00016530579810925363,
    0.00013204077567969004,
    -2.12523287471523e-05,
    -1.5917898517508315e-05,
    1.0083257483661359e-05,
    -9.724912828181154e-07,
    -1.4978201850101315e-06,
    7.716543975230637e-07,
    -1.4725771436793193e-08,
    -1.487044247507703e-07,
    5.55999639976491e-08,
    1.2829852844388905e-08,
    -1.2200690530131382e-08,
    -1.2131077183626839e-10,
    1.103328720160869e-09,
];

const TAIL: [f64; 20] = [
    4.36127285516533,
    1.0662381493576991,
    0.00427253636475456,
    -0.0022380510716470373,
    0.001114835654206752,
    -0.0005665844382780535,
    0.0002399425807167015,
    -6.70221641762559e-05,
    3.4023704139801323e-06,
    7.251117662519049e-06,
    -3.7684524872096514e-06,
    7.445382289490582e-07,
    1.3106426104373828e-07,
    -1.3392384558450154e-07,
    3.7765147257775285e-08,
    -5.103470099156732e-10,
    -3.846070248717937e-09,
    1.393067015241705e-09,
    5.5565251284818604e-12,
    -9.030950593005966e-11,
];

const FAR_TAIL: [f64; 20] = [
    6.9481013588775555,
    1.5180496761253581,
    -0.00028306739241844395,
    -0.0003337947822198368,
    0.00012634531575448057,
    -3.458982997892304e-05,
    8.373290606139854e-06,
    -1.918007267756856e-06,
    4.4924991943250286e-07,
    -1.2768339740381317e-07,
    5.2750650897024674e-08,
    -2.843211381915084e-08,
    1.576577433409543e-08,
    -7.840270156206922e-09,
    3.252497252282161e-09,
    -1.1071329054496085e-09,
    2.9686886318321715e-10,
    1.189425599048879e-12,
    -6.167366514038424e-11,
    2.148407616013268e-11,
];

#[cfg(test)]
mod tests {
    use super::{Column, TILE, probability, quantile, quantiles};

    #[test]
    fn the_quantile_of_a_probability_is_the_value_it_came_from() {
        for step in -100..=0 {
            let z = f64::from(step) / 20.0;
            let back = quantile(probability(z));
            // Ten digits are what erfc has here.
            assert!((back - z).abs() <= 1e-10 * z.abs().max(0.1), "{z}: {back}");
        }
    }

    #[test]
    fn quantiles_far_out_are_exact() {
        // Roots of erfc(−z / √2) / 2 = p, found with 40 digits.
        let exact = [
            (1e-15, -7.941345326170997),
            (6e-16, -8.004451847360402),
            (1e-12, -7.034483825301132),
            (1e-09, -5.9978070150076865),
            (0.0005, -3.290526731491895),
            (0.01, -2.326347874040841),
        ];
        for (p, z) in exact {
            assert!((quantile(p) / z - 1.0).abs() < 2e-15, "{p}: {}", quantile(p));
        }
    }

    #[test]
    fn a_column_gives_the_bits_of_its_numbers() {
        let mut column = Column::of(0.0);
        for i in 0..TILE {
            column[i] = (i as f64 + 0.5) / 64.0;
        }
        column[3] = 1e-16;
        column[60] = 1.0 - 1e-4;
        column[61] = 0.000_483;
        let given = column;
        quantiles(&mut column);
        for i in 0..TILE {
            assert_eq!(column[i].to_bits(), quantile(given[i]).to_bits(), "{}", given[i]);
        }
    }

    #[test]
    fn the_ends_of_the_drawn_probabilities_are_finite_and_mirrored() {
        let end = 2f64.powi(-53);
        assert!((quantile(end) + 8.2095).abs() < 1e-4);
        assert!((quantile(1.0 - end) + quantile(end)).abs() < 1e-12);
        assert_eq!(quantile(0.5), 0.0);
    }
}
