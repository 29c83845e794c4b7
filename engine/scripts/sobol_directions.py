"""Writes src/uncertainty/directions.rs: python3 sobol_directions.py > ../src/uncertainty/directions.rs (needs scipy).

The numbers are those of Joe and Kuo, "Constructing Sobol sequences with better two-dimensional projections", SIAM
J. Sci. Comput. 30, 2008 (file new-joe-kuo-6.21201), as scipy carries them.
"""

import pathlib

import numpy
import scipy.stats

DIMENSIONS = 100

data = numpy.load(pathlib.Path(scipy.stats.__file__).parent / "_sobol_direction_numbers.npz")
print("//! Direction numbers of the Sobol sequence; written by `engine/scripts/sobol_directions.py`.")
print()
print("/// A primitive polynomial, its leading and last terms included, and the first direction numbers, one for each")
print("/// degree of the polynomial.")
print("pub(super) type Direction = (u32, &'static [u32]);")
print()
print("/// Of the dimensions, the first of which needs none.")
print("///")
print("/// # Source")
print("///")
print("/// Joe and Kuo, *Constructing Sobol sequences with better two-dimensional projections*, SIAM J. Sci. Comput.")
print("/// 30(5), 2008, set new-joe-kuo-6.21201.")
print(f"pub(super) const DIRECTIONS: [Direction; {DIMENSIONS - 1}] = [")
for poly, first in zip(data["poly"][1:DIMENSIONS], data["vinit"][1:DIMENSIONS]):
    degree = int(poly).bit_length() - 1
    print(f"    ({poly}, &{[int(m) for m in first[:degree]]}),")
print("];")
