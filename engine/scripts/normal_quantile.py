"""Fits the coefficients of src/uncertainty/normal.rs: python3 normal_quantile.py (needs mpmath).

With x = 2p - 1 and w = -ln(1 - x^2) the normal quantile is z = x * P(w), and P is smooth (Giles,
"Approximating the erfinv function", GPU Computing Gems Jade Edition, 2011). P is interpolated at Chebyshev
nodes, in w on [0, 6.25] and in sqrt(w) on [2.5, 4] and [4, 6.125], and printed in powers of the variable
scaled to [-1, 1].
"""

import mpmath as mp

mp.mp.dps = 60


def scaled_quantile(w):
    """P(w) = z / x, by Newton's method on the logarithm of the upper tail."""
    x = mp.sqrt(-mp.expm1(-w))
    if w < 3:
        return mp.sqrt(2) * mp.erfinv(x) / x
    tail = mp.exp(-w) / (1 + x) / 2
    z = mp.sqrt(2 * w) * mp.mpf("0.9")
    while True:
        upper = mp.erfc(z / mp.sqrt(2)) / 2
        step = (mp.log(upper) - mp.log(tail)) * upper / -mp.npdf(z)
        z -= step
        if abs(step) < mp.mpf(10) ** -50:
            return z / x


def chebyshev(f, low, high, terms):
    nodes = [mp.cos(mp.pi * (2 * j + 1) / (2 * terms)) for j in range(terms)]
    values = [f((low + high) / 2 + (high - low) / 2 * t) for t in nodes]
    for i in range(terms):
        terms_of_sum = (values[j] * mp.cos(i * mp.pi * (2 * j + 1) / (2 * terms)) for j in range(terms))
        yield mp.fsum(terms_of_sum) * (2 if i else 1) / terms


def powers(coefficients):
    """The Chebyshev series as a polynomial, ascending."""
    coefficients = list(coefficients)
    size = len(coefficients)
    before, now = [mp.mpf(1)] + [mp.mpf(0)] * (size - 1), [mp.mpf(0), mp.mpf(1)] + [mp.mpf(0)] * (size - 2)
    total = [coefficients[0] * a for a in before]
    for c in coefficients[1:]:
        total = [t + c * a for t, a in zip(total, now)]
        before, now = now, [2 * a - b for a, b in zip([mp.mpf(0)] + now[:-1], before)]
    return total


def show(name, f, low, high, terms):
    print(f"const {name}: [f64; {terms}] = [")
    for a in powers(chebyshev(f, mp.mpf(low), mp.mpf(high), terms)):
        print(f"    {float(a)!r},")
    print("];\n")


if __name__ == "__main__":
    show("CENTRE", scaled_quantile, 0, 6.25, 24)
    show("TAIL", lambda s: scaled_quantile(s * s), 2.5, 4, 20)
    show("FAR_TAIL", lambda s: scaled_quantile(s * s), 4, 6.125, 20)
