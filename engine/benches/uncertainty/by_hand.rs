//! The Monte Carlo of the bench as somebody would write it for this one scenario: every constant folded, nothing
//! checked, nothing refused. It borrows the engine's random numbers, quantiles and exponential, and counts into the
//! same number of bins, over ranges that are known beforehand.

use multiversion::multiversion;

use crate::lanes::{Column, TILE, exp};
use crate::normal;
use crate::stream::Stream;

const CAPACITY: f64 = 500e3;
const BINS: usize = 8192;

struct Metric {
    low: f64,
    per_width: f64,
    counts: Vec<u32>,
    sums: [f64; 16],
    squares: [f64; 16],
}

impl Metric {
    fn new(low: f64, high: f64) -> Self {
        let per_width = BINS as f64 / (high - low);
        Self { low, per_width, counts: vec![0; BINS], sums: [0.0; 16], squares: [0.0; 16] }
    }

    #[inline(always)]
    fn take(&mut self, values: &Column) {
        let mut bins = [0u16; TILE];
        for start in (0..TILE).step_by(16) {
            for lane in 0..16 {
                let t = values[start + lane] - self.low;
                self.sums[lane] += t;
                self.squares[lane] += t * t;
                let bin = (t * self.per_width).clamp(0.0, BINS as f64 - 1.0);
                bins[start + lane] = (bin + 4_503_599_627_370_496.0).to_bits() as u16;
            }
        }
        for bin in bins {
            self.counts[usize::from(bin) & (BINS - 1)] += 1;
        }
    }
}

/// The means of LCOP, NPV, payback, IRR and MSP.
pub fn run(samples: u64) -> [f64; 5] {
    let mut metrics = [
        Metric::new(500.0, 3500.0),
        Metric::new(-5e9, 1e10),
        Metric::new(0.0, 20.0),
        Metric::new(-0.5, 3.0),
        Metric::new(0.0, 4500.0),
    ];
    let streams: [Stream; 8] = std::array::from_fn(|input| Stream::new(1, input as u64));
    let mut first = 0;
    while first < samples {
        tiles(&streams, first, &mut metrics);
        first += 64 * TILE as u64;
    }
    metrics.map(|metric| metric.low + metric.sums.iter().sum::<f64>() / first as f64)
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn tiles(streams: &[Stream; 8], first: u64, metrics: &mut [Metric; 5]) {
    for tile in 0..64 {
        let mut inputs = [Column::of(0.0); 8];
        for (stream, column) in streams.iter().zip(&mut inputs) {
            stream.fill(first + tile * TILE as u64, column);
        }
        let values = values(&mut inputs);
        for (metric, values) in metrics.iter_mut().zip(&values) {
            metric.take(values);
        }
    }
}

#[inline(always)]
fn triangular(column: &mut Column, min: f64, mode: f64, max: f64) {
    let width = max - min;
    for i in 0..TILE {
        let p = column[i];
        let up = p < (mode - min) / width;
        let distance = (if up { p * (width * (mode - min)) } else { (1.0 - p) * (width * (max - mode)) }).sqrt();
        column[i] = if up { min + distance } else { max - distance };
    }
}

#[inline(always)]
fn values(inputs: &mut [Column; 8]) -> [Column; 5] {
    let [feed, hydrogen, electricity, jet, diesel, tci, per_fuel, rate] = inputs;
    normal::quantiles(feed);
    normal::quantiles(hydrogen);
    normal::quantiles(jet);
    triangular(diesel, 1200.0, 1500.0, 2000.0);
    triangular(tci, 320e6, 400e6, 600e6);
    triangular(per_fuel, 1.15, 1.21, 1.35);
    let mut values = [Column::of(0.0); 5];
    let [lcop, npv, payback, irr, msp] = &mut values;
    for i in 0..TILE {
        let hydrogen = 5400.0 * exp(0.3 * hydrogen[i]);
        let electricity = 40.0 + 30.0 * electricity[i];
        let feed = 930.0 + 90.0 * feed[i];
        let jet = 3000.0 + 300.0 * jet[i];
        let r = 0.05 + 0.07 * rate[i];
        let opex = CAPACITY * (per_fuel[i] * feed + 0.042 * hydrogen + 0.12 * electricity) + 0.077 * tci[i];
        let co_products = CAPACITY * (0.15 * diesel[i] + 0.21 * 1000.0);
        let gross = CAPACITY * 0.64 * jet + co_products - opex;
        let depreciation = tci[i] * (1.0 / 20.0);
        let annual = gross - 0.28 * (gross - depreciation).max(0.0);
        let left = 1.0 - twentieth(1.0 / (1.0 + r));
        let crf = r / left;
        lcop[i] = (tci[i] * crf + opex) * (1.0 / CAPACITY);
        npv[i] = annual * (left / r) - tci[i];
        let required = tci[i] * crf;
        let asked = if required <= depreciation { required } else { (required - 0.28 * depreciation) * (1.0 / 0.72) };
        msp[i] = (asked + opex - co_products) * (1.0 / (CAPACITY * 0.64));
        let years = tci[i] / annual;
        let nearest = (years + 4_503_599_627_370_496.0) - 4_503_599_627_370_496.0;
        payback[i] = if years > nearest { nearest + 1.0 } else { nearest };
        irr[i] = annual / tci[i];
    }
    *irr = rates(irr);
    values
}

#[inline(always)]
fn twentieth(x: f64) -> f64 {
    let fourth = (x * x) * (x * x);
    let eighth = fourth * fourth;
    (eighth * eighth) * fourth
}

/// Newton's method on the capital recovery factor, from its asymptotes; losing plants have no rate and count as −0.5.
#[inline(always)]
fn rates(given: &Column) -> Column {
    let mut q = *given;
    let mut rate = q;
    for i in 0..TILE {
        q[i] = q[i].max(0.02);
        rate[i] = q[i].min((q[i] - 0.05) * (40.0 / 21.0));
    }
    for _ in 0..12 {
        let mut moving = 0;
        for i in 0..TILE {
            let r = rate[i];
            let discount = 1.0 / (1.0 + r);
            let last = twentieth(discount);
            let left = 1.0 - last;
            let step = (r * left - q[i] * (left * left)) / (left - r * 20.0 * (last * discount));
            rate[i] = r - step;
            moving |= u64::from(step.abs() > 1e-7);
        }
        if moving == 0 {
            break;
        }
    }
    for i in 0..TILE {
        rate[i] = if given[i] < 0.02 { -0.5 } else { rate[i] };
    }
    rate
}
