//! The Monte Carlo of the bench as somebody would write it for this one scenario: every constant folded, nothing
//! checked, nothing refused. It borrows the engine's random numbers, exponential and start of the rate's search, and
//! keeps what the answer needs, of each metric: sum and sum of squares, extremes, how many are below zero, and counts in
//! the same number of bins, over ranges that are known beforehand.

use multiversion::multiversion;

use crate::lanes::{Column, TILE, exp};
use crate::start::FittedStart;
use crate::stream::Stream;
use crate::variates::{Triangle, normals};

const CAPACITY: f64 = 500e3;
const BINS: usize = 8192;
const TWO_TO_52: f64 = 4_503_599_627_370_496.0;

struct Metric {
    low: f64,
    per_width: f64,
    counts: Box<[u32; BINS]>,
    sums: [f64; 16],
    squares: [f64; 16],
    least: [f64; 16],
    greatest: [f64; 16],
    negative: [u64; 16],
}

impl Metric {
    fn new(low: f64, high: f64) -> Self {
        Self {
            low,
            per_width: BINS as f64 / (high - low),
            counts: Box::new([0; BINS]),
            sums: [0.0; 16],
            squares: [0.0; 16],
            least: [f64::INFINITY; 16],
            greatest: [f64::NEG_INFINITY; 16],
            negative: [0; 16],
        }
    }

    #[inline(always)]
    fn take(&mut self, values: &Column) {
        let mut bins = [0u16; TILE];
        let Self { mut sums, mut squares, mut least, mut greatest, mut negative, .. } = *self;
        for start in (0..TILE).step_by(16) {
            for lane in 0..16 {
                let value = values[start + lane];
                let t = value - self.low;
                sums[lane] += t;
                squares[lane] = t.mul_add(t, squares[lane]);
                least[lane] = if value < least[lane] { value } else { least[lane] };
                greatest[lane] = if value > greatest[lane] { value } else { greatest[lane] };
                negative[lane] += u64::from(value < 0.0);
                let bin = (t * self.per_width).clamp(0.0, BINS as f64 - 1.0);
                bins[start + lane] = (bin + TWO_TO_52).to_bits() as u16;
            }
        }
        (self.sums, self.squares, self.least, self.greatest) = (sums, squares, least, greatest);
        self.negative = negative;
        for bin in bins {
            self.counts[usize::from(bin) & (BINS - 1)] += 1;
        }
    }
}

/// Years, each counted in eight places by turns.
struct Years([u32; 1024]);

impl Years {
    #[inline(always)]
    fn take(&mut self, values: &Column) {
        let mut places = [0u16; TILE];
        for i in 0..TILE {
            places[i] = (values[i].clamp(0.0, 127.0) + TWO_TO_52).to_bits() as u16 * 8 + i as u16 % 8;
        }
        for place in places {
            self.0[usize::from(place) & 1023] += 1;
        }
    }

    fn sum(&self) -> f64 {
        self.0.chunks(8).zip(0..).map(|(counts, year)| f64::from(year) * f64::from(counts.iter().sum::<u32>())).sum()
    }
}

/// What has been seen of NPV, MSP, LCOP and IRR, and of the payback.
struct Seen {
    metrics: [Metric; 4],
    payback: Years,
}

/// The means of LCOP, NPV, payback, IRR and MSP.
pub fn run(samples: u64) -> [f64; 5] {
    let ranges = [(500.0, 3500.0), (-5e9, 1e10), (-0.5, 3.0), (0.0, 4500.0)];
    let mut seen = Seen { metrics: ranges.map(|(low, high)| Metric::new(low, high)), payback: Years([0; 1024]) };
    let streams: [Stream; 8] = std::array::from_fn(|input| Stream::new(1, input as u64));
    let start = FittedStart::new(20.0, 0.0);
    let mut first = 0;
    while first < samples {
        tiles(&streams, &start, first, &mut seen);
        first += 64 * TILE as u64;
    }
    std::hint::black_box(seen.metrics.each_ref().map(|metric| (metric.least, metric.greatest, metric.negative)));
    let payback = seen.payback.sum() / first as f64;
    let [lcop, npv, irr, msp] = seen.metrics.map(|metric| metric.low + metric.sums.iter().sum::<f64>() / first as f64);
    [lcop, npv, payback, irr, msp]
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma", "x86_64+avx2+fma"))]
fn tiles(streams: &[Stream; 8], start: &FittedStart, first: u64, seen: &mut Seen) {
    for tile in 0..64 {
        let mut inputs = [Column::of(0.0); 8];
        draw(streams, first + tile * TILE as u64, &mut inputs);
        let (values, payback) = values(&inputs, start);
        for (metric, values) in seen.metrics.iter_mut().zip(&values) {
            metric.take(values);
        }
        seen.payback.take(&payback);
    }
}

#[inline(always)]
fn draw(streams: &[Stream; 8], first: u64, inputs: &mut [Column; 8]) {
    let [feed, hydrogen, electricity, jet, diesel, tci, per_fuel, rate] = inputs;
    normals(streams[0], first, feed);
    normals(streams[1], first, hydrogen);
    streams[2].fill(first, electricity);
    normals(streams[3], first, jet);
    Triangle::new(1200.0, 1500.0, 2000.0).fill(streams[4], first, diesel);
    Triangle::new(320e6, 400e6, 600e6).fill(streams[5], first, tci);
    Triangle::new(1.15, 1.21, 1.35).fill(streams[6], first, per_fuel);
    streams[7].fill(first, rate);
}

/// LCOP, NPV, IRR, MSP; and the payback.
#[inline(always)]
fn values(inputs: &[Column; 8], start: &FittedStart) -> ([Column; 4], Column) {
    let [feed, hydrogen, electricity, jet, diesel, tci, per_fuel, rate] = inputs;
    let mut values = [Column::of(0.0); 4];
    let mut payback = Column::of(0.0);
    let [lcop, npv, irr, msp] = &mut values;
    for i in 0..TILE {
        let hydrogen = 5400.0 * exp(0.3 * hydrogen[i]);
        let electricity = 30f64.mul_add(electricity[i], 40.0);
        let feed = 90f64.mul_add(feed[i], 930.0);
        let jet = 300f64.mul_add(jet[i], 3000.0);
        let r = 0.07f64.mul_add(rate[i], 0.05);
        let direct = per_fuel[i].mul_add(feed, 0.042f64.mul_add(hydrogen, 0.12 * electricity));
        let opex = CAPACITY.mul_add(direct, 0.077 * tci[i]);
        let co_products = CAPACITY * 0.15f64.mul_add(diesel[i], 210.0);
        let gross = (CAPACITY * 0.64).mul_add(jet, co_products - opex);
        let depreciation = tci[i] * (1.0 / 20.0);
        let annual = gross - 0.28 * (gross - depreciation).max(0.0);
        let growth = (1.0 + r) * nineteenth(1.0 + r);
        let (above, below) = (growth - 1.0, r * growth);
        let per_both = 1.0 / (above * below);
        let crf = below * below * per_both;
        let required = tci[i] * crf;
        lcop[i] = (required + opex) * (1.0 / CAPACITY);
        npv[i] = annual.mul_add(above * above * per_both, -tci[i]);
        let taxed = (required - 0.28 * depreciation) * (1.0 / 0.72);
        let asked = if required <= depreciation { required } else { taxed };
        msp[i] = (asked + opex - co_products) * (1.0 / (CAPACITY * 0.64));
        let years = tci[i] / annual;
        let nearest = (years + TWO_TO_52) - TWO_TO_52;
        payback[i] = if years > nearest { nearest + 1.0 } else { nearest };
        irr[i] = annual / tci[i];
    }
    *irr = rates(irr, start);
    (values, payback)
}

#[inline(always)]
fn nineteenth(x: f64) -> f64 {
    let ninth = {
        let fourth = (x * x) * (x * x);
        fourth * fourth * x
    };
    ninth * ninth * x
}

/// Newton's method on the capital recovery factor; losing plants have no rate and count as −0.5.
#[inline(always)]
fn rates(given: &Column, start: &FittedStart) -> Column {
    let mut q = *given;
    for i in 0..TILE {
        q[i] = q[i].max(0.02);
    }
    let mut rate = start.of(&q);
    for _ in 0..12 {
        let mut moving = 0;
        for i in 0..TILE {
            let r = rate[i];
            let all_but_one = nineteenth(1.0 + r);
            let growth = (1.0 + r) * all_but_one;
            let above = growth - 1.0;
            let slope = above.mul_add(growth, -(r * 20.0 * all_but_one));
            let step = above * r.mul_add(growth, -q[i] * above) / slope;
            rate[i] = r - step;
            moving |= u64::from(step.abs() > 1e-6);
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
