"""Elementary functions of lane values, the same bits for one lane and for many: logarithm, exponential, normal tail.

    log x           = n log 2 + 2 atanh(f / (2 + f)),  x = 2ⁿ (1 + f), 1 + f in √½ … √2; the series of atanh to s²³
    log erfc x      = log(E(t) / (1 + 2x)) - x²,  t = (x - 3)/(x + 3),  x ≥ 0
E is the Chebyshev series of (1 + 2x) e^{x²} erfc x up to t²⁴, as powers of t; its relative error is 6e-17 for every x.
Errors of the whole: log 4e-16, log1p 6e-16, e^-x 4e-15 (0 ≤ x ≤ 4), nats 1e-15, relative, of values below 1 absolute.
Sources: Cody & Waite (1980), Software Manual for the Elementary Functions, ch. 5; Shepherd & Laframboise (1981), Mathematics of
Computation 36(153), where t has 3.75.
"""

from typing import Any

from forecast.kernels.jit import inner
from forecast.kernels.lanes import above, absolute, exponent, filled, fma, mantissa, pick, polynomial, root, seen

LOG2_HIGH, LOG2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10  # the first has 21 zeros at its end
SQRT2, HALF_ROOT = 1.4142135623730951, 0.7071067811865476
MOST = 1e150  # of |d|: its square still is a number
FOLDS = 16.0  # e^-x is (e^-(x/16))^16

_atanh = polynomial(*(2.0 / (2 * k + 3) for k in range(11)))
_small_exponential = polynomial(
    1.0, -1.0, 1 / 2, -1 / 6, 1 / 24, -1 / 120, 1 / 720, -1 / 5040, 1 / 40320, -1 / 362880, 1 / 3628800, -1 / 39916800
)
_erfcx = polynomial(
    *(1.2530080582697296, -0.13562110612458117, -0.0475622943534492, 0.1296451587027594, -0.11927366341538638),
    *(0.0683080273440099, -0.02377051491717134, 0.0025293918156939696, 0.0018886903449991718, -0.0007798322696543306),
    *(-0.00010515971958448065, 0.0001250993424583729, 4.949196649968345e-06, -2.0100542268525612e-05),
    *(-7.308281468783614e-07, 3.472370944977168e-06, 3.5576086684080595e-07, -6.166011460398726e-07),
    *(-1.4047654315428462e-07, 1.0183620603842736e-07, 4.1064013667940355e-08, -1.3312919661038687e-08),
    *(-8.217595058711455e-09, 9.862533510345587e-10, 8.393734858690877e-10),
)


@inner
def least(x: Any, y: Any) -> Any:
    """The smaller one; y where x is NaN."""
    return pick(above(y, x), x, y)


@inner
def most(x: Any, y: Any) -> Any:
    """The larger one; y where x is NaN."""
    return pick(above(x, y), x, y)


@inner
def logarithm(x: Any) -> Any:
    """log x of a positive number."""
    m, n, one = mantissa(x), exponent(x), filled(x, 1.0)
    large = above(m, filled(x, SQRT2))
    f = pick(large, m * filled(x, 0.5), m) - one
    n = n + large
    s = f / (f + filled(x, 2.0))
    square = s * s
    rest = fma(s * square, _atanh(square), n * filled(x, LOG2_LOW))
    return fma(n, filled(x, LOG2_HIGH), (s + s) + rest)


@inner
def logarithm_of_more(x: Any) -> Any:
    """log(1 + x), x ≥ 0."""
    one = filled(x, 1.0)
    u = one + x
    return logarithm(u) + (x - (u - one)) / u


@inner
def decayed(x: Any) -> Any:
    """e^-x, 0 ≤ x ≤ 4."""
    e = _small_exponential(x / filled(x, FOLDS))
    e = e * e
    e = e * e
    e = e * e
    return e * e


@inner
def nats_of(d: Any) -> Any:
    """-log P(|Z| > |d|), Z standard normal."""
    x = least(absolute(d), filled(d, MOST)) * filled(d, HALF_ROOT)
    three, one = filled(d, 3.0), filled(d, 1.0)
    e = _erfcx((x - three) / (x + three))
    s = fma(x, x, logarithm(fma(filled(d, 2.0), x, one) / e))
    return most(s, one - one)


@inner
def under_normal(y: Any, mean: Any, variance: Any) -> Any:
    """Surprise and signed normal score of a reading, see `surprise`; NaN where anything is missing."""
    faint, far = filled(y, 1e-300), filled(y, MOST)
    deviation = root(variance)
    d = (y - mean) / pick(above(faint, deviation), faint, deviation)
    near = filled(y, 0.0) - far
    z = pick(above(d, far), far, pick(above(near, d), near, d))
    return pick(seen(d), nats_of(d), d), z
