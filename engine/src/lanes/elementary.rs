//! Logarithm, exponential and power without branches or calls.

use std::f64::consts::{FRAC_PI_2, LOG2_E};

use super::polynomial;

/// ln 2 in two parts; the first has 11 zero bits at its end, so that its product with an exponent is exact.
const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fefa_3800);
const LN_2_LOW: f64 = f64::from_bits(0x3d2e_f357_93c7_6730);

/// Adding it leaves the nearest whole number in the last bits.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

/// 1/3, 1/5, … of the series of artanh; the next term is below the last bit.
const ARTANH: [f64; 10] = [
    1.0 / 3.0,
    1.0 / 5.0,
    1.0 / 7.0,
    1.0 / 9.0,
    1.0 / 11.0,
    1.0 / 13.0,
    1.0 / 15.0,
    1.0 / 17.0,
    1.0 / 19.0,
    1.0 / 21.0,
];

/// 1/2!, 1/3!, … of the series of exp; the next term is below the last bit.
const EXP: [f64; 12] = [
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
    1.0 / 479_001_600.0,
    1.0 / 6_227_020_800.0,
];

/// The natural logarithm of a positive normal number, to about 2 units in the last place.
///
/// # Formula
///
/// `ln(2^k · m) = k · ln 2 + 2 · artanh((m − 1) / (m + 1))` with √½ ≤ m < √2.
#[inline(always)]
pub(crate) fn ln(x: f64) -> f64 {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const ONE: u64 = 0x3ff0_0000_0000_0000;
    const TWO_TO_52: u64 = 0x4330_0000_0000_0000;
    const TWO_TO_52_AND_BIAS: f64 = 4_503_599_627_371_519.0;
    let shifted = x.to_bits().wrapping_add(ONE - SQRT_HALF);
    let exponent = f64::from_bits((shifted >> 52) | TWO_TO_52) - TWO_TO_52_AND_BIAS;
    let m = f64::from_bits((shifted & 0x000f_ffff_ffff_ffff) + SQRT_HALF);
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let artanh = (2.0 * s).mul_add(q * polynomial(&ARTANH, q), 2.0 * s);
    exponent.mul_add(LN_2_HIGH, exponent.mul_add(LN_2_LOW, artanh))
}

/// The exponential of a number between −700 and 700 (beyond, of the nearer of these), to about 2 units in the
/// last place.
///
/// # Formula
///
/// `exp(x) = 2^k · exp(x − k · ln 2)` with k = the nearest whole number to x / ln 2.
#[inline(always)]
pub(crate) fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let shifted = x.mul_add(LOG2_E, ROUNDING);
    let k = shifted - ROUNDING;
    let r = k.mul_add(-LN_2_LOW, k.mul_add(-LN_2_HIGH, x));
    let small = 1.0 + (r * r).mul_add(polynomial(&EXP, r), r);
    let scale = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1f64.to_bits()));
    small * scale
}

/// −1/3!, 1/5!, … and −1/2!, 1/4!, … of the series of sine and cosine; up to π/4 the next term is below the last bit.
const SINE: [f64; 7] = [
    -1.0 / 6.0,
    1.0 / 120.0,
    -1.0 / 5040.0,
    1.0 / 362_880.0,
    -1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
    -1.0 / 1_307_674_368_000.0,
];
const COSINE: [f64; 8] = [
    -1.0 / 2.0,
    1.0 / 24.0,
    -1.0 / 720.0,
    1.0 / 40_320.0,
    -1.0 / 3_628_800.0,
    1.0 / 479_001_600.0,
    -1.0 / 87_178_291_200.0,
    1.0 / 20_922_789_888_000.0,
];

/// Sine and cosine of a part of half a turn, −½ to ½, to 3e-16.
///
/// # Formula
///
/// `sin 2φ = 2 · sin φ · cos φ` and `cos 2φ = 1 − 2 · sin² φ` with φ = part · π / 2.
#[inline(always)]
pub(crate) fn circle(part: f64) -> (f64, f64) {
    let half = part * FRAC_PI_2;
    let square = half * half;
    let sine = (half * square).mul_add(polynomial(&SINE, square), half);
    let cosine = square.mul_add(polynomial(&COSINE, square), 1.0);
    (2.0 * sine * cosine, (-2.0 * sine).mul_add(sine, 1.0))
}

/// A positive normal number to any power.
#[inline(always)]
pub(crate) fn power(base: f64, exponent: f64) -> f64 {
    exp(exponent * ln(base))
}

#[cfg(test)]
mod tests {
    use super::{circle, exp, ln, power};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn logarithm_and_exponential_agree_with_the_library(x in 1e-300..1e300f64, y in -699.0..699.0f64) {
            prop_assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs().max(1e-3), "ln {x}");
            prop_assert!((exp(y) / y.exp() - 1.0).abs() <= 6e-16, "exp {y}");
        }

        #[test]
        fn the_circle_agrees_with_the_library(part in -0.5..0.5f64) {
            let (sine, cosine) = (part * std::f64::consts::PI).sin_cos();
            prop_assert!((circle(part).0 - sine).abs() <= 3e-16 && (circle(part).1 - cosine).abs() <= 3e-16, "{part}");
        }

        #[test]
        fn a_power_agrees_with_the_library(base in 1e-6..1e6f64, exponent in -2.0..2.0f64) {
            prop_assert!((power(base, exponent) / base.powf(exponent) - 1.0).abs() <= 1e-14);
        }

        #[test]
        fn the_logarithm_near_one_keeps_its_digits(x in 0.9..1.1f64) {
            prop_assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs() + 1e-30, "{x}: {} {}", ln(x), x.ln());
        }
    }

    #[test]
    fn the_ends_are_finite() {
        assert!(exp(f64::MAX).is_finite() && exp(f64::MIN) > 0.0);
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }
}
