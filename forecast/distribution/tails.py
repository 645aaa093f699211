"""Log tail probabilities that torch lacks: Student's t and the chi-square, exact far beyond underflow.

Student's t, z ≥ 0:  P(T > z) = ½ I_x(a, ½),  a = ν/2, x = ν/(ν + z²), I the regularised incomplete beta function.
Raising the first argument by n leaves only positive terms (DLMF 8.17.20, repeated)
    I_x(a, ½) = I_x(a+n, ½) + x^a √(1-x) Σ_{j<n} Γ(a+½+j) / (Γ(a+1+j) √π) x^j
and for a large one the expansion of DiDonato & Morris (1992, ACM TOMS 18(3), eq. 9-9.6) with b = ½ reads
    I_x(A, ½) = C e^-u Σ p_n k_n,   T = A - ¼, u = -T log x, k_0 = erfcx(√u),
    4T² k_{n+1} = (2n+½)(2n+3/2) k_n + (u+2n+3/2) (log x / 2)^2n √(u/π),
where C follows from I_1 = 1. Nothing cancels, so the logarithm is exact in both the centre and the tail.

Chi-square: P(χ²_k > s) = Q(k/2, s/2), beyond the reach of `gammaincc` by Legendre's continued fraction (DLMF 8.9.2).
Computed in float64 whatever comes in; shapes broadcast.
"""

import math

import torch
from torch import Tensor

from forecast.distribution.forecast import alike

LARGE = 40.0  # first argument from which the expansion is exact to double precision
SHALLOW = 0.5  # x below which the shifted series alone is exact
SHIFT = 48
TERMS = 8
STEPS = 3  # of Halley's rule, from the first guess to full precision for any ν and level


def _weights() -> list[float]:
    """p_n of the expansion for b = ½."""
    p = [1.0]
    for n in range(1, TERMS):
        inner = sum((m * 0.5 - n) / math.factorial(2 * m + 1) * p[n - m] for m in range(1, n))
        p.append(-0.5 / math.factorial(2 * n + 1) + inner / n)
    return p


WEIGHTS = _weights()


def _expansion(u: Tensor, log_x: Tensor, large: Tensor) -> Tensor:
    """C Σ p_n k_n of the expansion for the first argument `large`."""
    four_square = 4 * (large - 0.25).square()
    edge = (u / math.pi).sqrt()
    quarter_square = (log_x / 2).square()
    k: Tensor = torch.special.erfcx(u.sqrt())
    total = k * WEIGHTS[0]
    for n in range(TERMS - 1):
        k = ((2 * n + 0.5) * (2 * n + 1.5) * k + (u + (2 * n + 1.5)) * edge) / four_square
        edge = edge * quarter_square
        total = total + WEIGHTS[n + 1] * k
    return total / _whole(large)


def _whole(large: Tensor) -> Tensor:
    """1/C = √T Γ(A) / Γ(A + ½), the sum at x = 1."""
    four_square = 4 * (large - 0.25).square()
    total = torch.zeros_like(large)
    for n in reversed(range(TERMS - 1)):
        total = (2 * n + 0.5) * (2 * n + 1.5) / four_square * (WEIGHTS[n + 1] + total)
    return 1 + total


def gamma_ratio(a: Tensor) -> Tensor:
    """Γ(a + ½) / Γ(a) in float64, without the cancellation of two large logarithms."""
    a = a.double()
    large = a.clamp(min=LARGE)
    small = (torch.lgamma(a + 0.5) - torch.lgamma(a)).exp()
    return torch.where(a < LARGE, small, (large - 0.25).sqrt() / _whole(large))


def log_student_density(z: Tensor, df: Tensor) -> Tensor:
    """log of the density of T at z."""
    z, df = alike(z.double().clamp(-1e150, 1e150), df.double().clamp(max=1e12))
    kernel = (df + 1) / 2 * torch.log1p((z / df.sqrt()).square())
    return (gamma_ratio(df / 2) / (math.pi * df).sqrt()).log() - kernel


def _series(log_x: Tensor, a: Tensor) -> Tensor:
    """log of the SHIFT positive terms by which I_x(a, ½) exceeds I_x(a + SHIFT, ½)."""
    j = torch.arange(1, SHIFT, dtype=a.dtype, device=a.device).reshape(-1, *[1] * a.ndim)
    total = 1 + ((a + j - 0.5) / (a + j) * log_x.exp()).cumprod(0).sum(0)
    lead = gamma_ratio(a) / (a * math.sqrt(math.pi))
    return lead.log() + a * log_x + 0.5 * (-torch.expm1(log_x)).log() + total.log()


def log_student_tail(z: Tensor, df: Tensor) -> Tensor:
    """log P(T > z) for z ≥ 0 and `df` degrees of freedom."""
    z, df = alike(z.double().clamp(max=1e150), df.double().clamp(max=1e12))
    a = df / 2
    log_x = -torch.log1p((z / df.sqrt()).square())
    deep = log_x < math.log(SHALLOW)
    direct = (a >= LARGE) & ~deep
    large = torch.where(direct, a, a + SHIFT)
    near = log_x.clamp(min=math.log(SHALLOW))
    u = -(large - 0.25) * near
    rest = _expansion(u, near, large).log() - u
    series = _series(log_x, a)
    shifted = torch.where(deep, series, torch.logaddexp(series, rest))
    return torch.where(direct, rest, shifted) - math.log(2)


def student_quantile(log_p: Tensor, df: Tensor) -> Tensor:
    """z ≥ 0 with log P(T > z) = log_p ≤ log ½: Halley's rule in s, z = √ν sinh s, where the log tail is concave."""
    log_p, df = alike(log_p.double(), df.double().clamp(max=1e12))
    root = df.sqrt()
    score: Tensor = torch.special.ndtri(log_p.exp().clamp(min=1e-300))
    s = torch.asinh((torch.expm1((score.square() / df).clamp(max=600))).sqrt())
    for _ in range(STEPS):
        z = root * torch.sinh(s)
        tail = log_student_tail(z, df)
        slope = (log_student_density(z, df) - tail).exp() * root * torch.cosh(s)
        bend = slope * (df * torch.tanh(s) - slope)  # second derivative of the log tail
        gap = (tail - log_p) / slope
        s = (s + gap / (1 - gap * bend / (2 * slope))).clamp(min=0)
    return torch.where(log_p == -math.inf, math.inf, root * torch.sinh(s))


def log_chi2_tail(square: Tensor, count: Tensor) -> Tensor:
    """log P(χ² > square) with `count` ≥ 1 degrees of freedom."""
    x, a = alike(square.double() / 2, count.double() / 2)
    far = x > a + 10 * a.sqrt() + 20
    reach = torch.where(far, x, a + 10 * a.sqrt() + 20)
    b = reach + 1 - a
    c = torch.full_like(b, 1e300)
    d = 1 / b
    fraction = d
    for i in range(1, 60):
        factor = -i * (i - a)
        b = b + 2
        d = 1 / (factor * d + b)
        c = b + factor / c
        fraction = fraction * c * d
    outer = a * reach.log() - reach - torch.lgamma(a) + fraction.log()
    return torch.where(far, outer, torch.special.gammaincc(a, torch.where(far, a, x)).log())
