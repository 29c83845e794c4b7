"""The bench's Monte Carlo in numpy and its Sobol indices in SALib.

Each line that comes in names one of them and how many samples; the answer is the seconds of CPU time it took.
"""

import sys
import time

import numpy as np

BLOCK = 8192
CAPACITY = 500e3


def rates(q):
    """Newton's method on the capital recovery factor; losing plants have no rate and count as -0.5."""
    loses = q < 0.02
    q = np.maximum(q, 0.02)
    r = np.minimum(q, (q - 0.05) * (40 / 21))
    for _ in range(12):
        discount = 1 / (1 + r)
        last = discount**20
        left = 1 - last
        step = (r * left - q * left * left) / (left - r * 20 * last * discount)
        r = r - step
        if np.abs(step).max() <= 1e-7:
            break
    return np.where(loses, -0.5, r)


def model(feed, hydrogen, electricity, jet, diesel, tci, per_fuel, r):
    opex = CAPACITY * (per_fuel * feed + 0.042 * hydrogen + 0.12 * electricity) + 0.077 * tci
    co_products = CAPACITY * (0.15 * diesel + 210.0)
    gross = CAPACITY * 0.64 * jet + co_products - opex
    depreciation = tci / 20
    annual = gross - 0.28 * np.maximum(gross - depreciation, 0)
    left = 1 - (1 + r) ** -20
    crf = r / left
    lcop = (tci * crf + opex) / CAPACITY
    npv = annual / crf - tci
    required = tci * crf
    asked = np.where(required <= depreciation, required, (required - 0.28 * depreciation) / 0.72)
    msp = (asked + opex - co_products) / (CAPACITY * 0.64)
    return lcop, npv, np.ceil(tci / annual), rates(annual / tci), msp


def monte_carlo(samples):
    rng = np.random.default_rng(1)
    ranges = [(500, 3500), (-5e9, 1e10), (0, 20), (-0.5, 3), (0, 4500)]
    counts = [np.zeros(8192) for _ in ranges]
    moments = np.zeros((5, 2))
    extremes = np.tile([np.inf, -np.inf], (5, 1))
    negative = np.zeros(5)
    for start in range(0, samples, BLOCK):
        n = min(BLOCK, samples - start)
        values = model(
            rng.normal(930, 90, n),
            5400 * np.exp(0.3 * rng.standard_normal(n)),
            rng.uniform(40, 70, n),
            rng.normal(3000, 300, n),
            rng.triangular(1200, 1500, 2000, n),
            rng.triangular(320e6, 400e6, 600e6, n),
            rng.triangular(1.15, 1.21, 1.35, n),
            rng.uniform(0.05, 0.12, n),
        )
        for metric, (value, (low, high)) in enumerate(zip(values, ranges)):
            bins = np.clip((value - low) * (8192 / (high - low)), 0, 8191).astype(np.int64)
            counts[metric] += np.bincount(bins, minlength=8192)
            moments[metric] += value.sum(), (value * value).sum()
            extremes[metric] = min(extremes[metric, 0], value.min()), max(extremes[metric, 1], value.max())
            negative[metric] += np.count_nonzero(value < 0)
    return moments, extremes, negative, counts


def sobol_indices(samples):
    from SALib.analyze import sobol as analyze
    from SALib.sample import sobol as sample
    from scipy import stats

    problem = {"num_vars": 8, "names": list("abcdefgh"), "bounds": [[0, 1]] * 8}

    def triangular(p, low, mode, high):
        return stats.triang.ppf(p, (mode - low) / (high - low), low, high - low)

    p = np.clip(sample.sample(problem, samples, calc_second_order=False, seed=1), 1e-12, 1 - 1e-12).T
    values = model(
        stats.norm.ppf(p[0], 930, 90),
        5400 * np.exp(0.3 * stats.norm.ppf(p[1])),
        40 + 30 * p[2],
        stats.norm.ppf(p[3], 3000, 300),
        triangular(p[4], 1200, 1500, 2000),
        triangular(p[5], 320e6, 400e6, 600e6),
        triangular(p[6], 1.15, 1.21, 1.35),
        0.05 + 0.07 * p[7],
    )
    for value in values:
        analyze.analyze(problem, value, calc_second_order=False, num_resamples=100, seed=1)


def timed(run, samples):
    start = time.process_time()
    run(samples)
    return time.process_time() - start


if __name__ == "__main__":
    np.seterr(all="ignore")
    for line in sys.stdin:
        what, samples = line.split()
        print(timed({"monte_carlo": monte_carlo, "sobol_indices": sobol_indices}[what], int(samples)), flush=True)
