"""The forms that `auto_ssm` tries: a structural model, on a scale, with or without a profile of the longest season.

Scale: y itself, its logarithm or a power of it (these two for positive series alone), standardised as in `forecast.models.units`.
Trend: none; damped; drift = half the slope of the straight line, which never changes (Theta); on few rows without a season also
undamped, and a steep drift on the logarithm, three quarters of the slope, in place of a memory and of level and damped trend on the
logarithm; or, beside two seasons, a season that walks, walks and grows evenly, or walks and grows by two harmonics, and a memory.
Disturbance: white, or white and a first-order memory, together an ARMA(1,1).
A season of up to 24 rows is a ring of dummies, a longer one six harmonics. A second, longer season is a profile: for
each of its positions the mean deviation from the shorter season's mean, shrunk by how well its repeats agree. Where no season
is known, those that calendars have are tried on the series that repeat at that lag:

    correlation of z_t and z_{t-m} ≥ 0.3,  z = y - centred mean of m rows, three seasons and 60 rows at least

A level and a cycle, where that is asked for, are tried on series without a stated season in whose changes the spectrum has a peak
between 5 rows and a quarter of the series: five frequencies together with three times the mean power. The climb begins at its period.

A series may keep another time than its panel (a day of 23 rows where the clock leaves out an hour). In place of a stated
season of 16 ≤ m ≤ 24 rows it has one of k rows, 3/4 m ≤ k ≤ 5/4 m, where that one holds far better over the last 3 m rows:

    mean |y_t - y_{t-k}| < 1/2 mean |y_t - y_{t-m}|
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import pad

from forecast.distribution.transformed import Power
from forecast.models.units import units
from forecast.ssm.belief import Belief
from forecast.ssm.cycle import Cycle
from forecast.ssm.season import Season
from forecast.ssm.structural import DRIFT, MEAN, Structural

RING, HARMONICS = 24, 6
PRIOR = 900.0  # variance of a harmonic at the start, in squared typical changes
CALENDAR, REPEAT, LEAST = (7, 12, 24, 52), 0.3, 60  # seasons to look for, what shows one, rows it takes
GROWTHS = (0, 1, 5)  # states of the growth of a season that walks
FEW = 40  # rows before the ones held out, below which a series without a season has forms of its own
HALF, STEEP = 0.5, 0.75  # shares of the line's slope that a drift has: Theta's, and that of few rows
NEAR, BETTER = 16, 0.5  # the least season in whose place others are tried, and what share of its changes they may leave
TURNS, SHORTEST = 50, 5.0  # rows that a cycle takes, and its shortest period
TOGETHER, PEAK = 5, 3.0  # frequencies that are averaged, and how many times the mean power shows a cycle
Bank = tuple["Form", ...]


@runtime_checkable
class Scaled(Protocol):
    """What has a scale."""

    @property
    def power(self) -> float: ...


@dataclass(frozen=True)
class Form:
    """One way to see a series."""

    model: Structural
    power: float = 1.0  # of the scale it is meant on: 1 for the values, 0 for their logarithm
    profile: int = 0  # length of the season taken out as a profile
    short: int = 1  # length of the season that the model has
    sought: bool = False  # the season is not known of the panel, and has to show in the series
    share: float = HALF  # of the straight line's slope, which a drift goes on with
    least: int = 0  # observed rows from which it is tried
    most: int = 0  # and up to which; 0: any number

    def begin(self, theta: Tensor, drift: Tensor) -> tuple[Tensor, Belief]:
        """Coefficients and the belief before the first row, of parameters (n P) and slopes that never change (n)."""
        return self.model.coefficients(theta), self.model.start(len(theta), theta, theta, drift)

    @property
    def word(self) -> str:
        """As a report calls it."""
        trends = {"none": "level", "damped": "damped trend", "full": "trend", DRIFT: "drift"}
        parts = [trends.get(self.model.trend, self.model.trend)]
        parts[0] = "steep " * (self.share > HALF) + parts[0]
        parts = parts[: not self.model.walks]
        parts += [
            f"{'growing ' * (season.growth > 0)}{'walking ' * season.walk}season {season.length}"
            for season in self.model.seasons
        ]
        parts += [f"profile {self.profile}"] * (self.profile > 0) + ["memory"] * self.model.memory
        return f"{self.scale}: " * bool(self.scale) + ", ".join(parts)

    @property
    def scale(self) -> str:
        """The scale in words, none for the values as they are."""
        return {1.0: "", 0.0: "logarithm", 0.5: "square root"}.get(self.power, f"power {self.power:g}")

    @property
    def needs(self) -> int:
        """Observed rows from which it can be fitted."""
        season = max([season.length for season in self.model.seasons], default=0)
        return max(self.model.rank + self.model.parameters + 1, 2 * season + 2, 3 * self.profile)


def bank(
    seasons: tuple[int, ...] = (),
    trends: tuple[str, ...] = ("none", "damped", DRIFT),
    memory: bool = True,
    powers: tuple[float, ...] = (1.0, 0.0),
    cycle: bool = False,
) -> Bank:
    """The forms for a panel of these seasons; saved models know them by their place, so that new ones go to the end."""
    lengths = sorted(length for length in seasons if length > 1)
    short, long = (lengths[0], lengths[-1]) if lengths else (1, 1)
    own = (_season(short),) if short > 1 else ()
    profiles = [long] if long > short else []
    kinds = [(trend, False) for trend in trends] + [(trend, True) for trend in trends if memory and trend != DRIFT]
    own_kinds = [kind for kind in kinds if kind[1] or not profiles] or kinds
    few = not own and {*trends} >= {"none", "damped", DRIFT} and {*powers} >= {1.0, 0.0}
    plain = [
        Form(Structural(trend, memory=more), power, least=FEW * (few and (more or (power == 0 and trend != DRIFT))))
        for power in powers
        for trend, more in kinds[: 1 if profiles else None]
        if not (more and own)
    ]
    steep = [Form(Structural("full"), most=FEW), Form(Structural(DRIFT), 0.0, share=STEEP, most=FEW)] if few else []
    rings = [
        Form(Structural(trend, own, memory=more), power, profile, short)
        for profile in (0, *profiles)
        for power in powers
        for trend, more in own_kinds
        if own
    ]
    walks = [
        Form(_walk(short, growth), power, profile, short)
        for profile in (0, *profiles)
        for power in powers
        for growth in GROWTHS
        if memory and profiles and short <= RING
    ]
    near = [
        Form(_walk(length, GROWTHS[-1]), power, short=length) for length in near_to(short) for power in powers if memory
    ]
    sought = [
        Form(Structural(trend, (_season(length),)), power, short=length, sought=True)
        for length in CALENDAR
        for power in powers
        for trend in trends
        if not own
    ]
    cycles = [Form(Structural("none", cycle=Cycle()), power, least=TURNS) for power in powers if cycle and not own]
    return (*plain, *rings, *walks, *near, *sought, *steep, *cycles)


def near_to(season: int) -> list[int]:
    """Lengths that are tried in place of a stated one."""
    lengths = range(-(-3 * season // 4), 5 * season // 4 + 1) if NEAR <= season <= RING else range(0)
    return [length for length in lengths if length != season]


def _walk(length: int, growth: int) -> Structural:
    return Structural(MEAN, (Season(length, walk=True, growth=growth),), memory=True)


def _season(length: int) -> Season:
    return Season(length) if length <= RING else Season(length, HARMONICS, PRIOR)


def on_scale(form: Scaled, y: Tensor) -> Tensor:
    """Values (n T) on the form's scale; where it is the logarithm, missing where there is none."""
    return y.log() if form.power == 0 else Power(y.new_tensor(form.power)).forward(y)


def off_scale(form: Scaled, z: Tensor) -> Tensor:
    """Values (n T) that are z on the form's scale."""
    return Power(z.new_tensor(form.power)).inverse(z)


def log_slope(form: Scaled, y: Tensor) -> Tensor:
    """Sum (n) of the logarithms of dz/dy over the observed values (n T): what makes likelihoods on two scales comparable."""
    if form.power == 1:
        return y.new_zeros(len(y))
    seen = y.isfinite()
    each = math.log(form.power or 1.0) + (form.power - 1) * torch.where(seen, y, 1.0).abs().log()
    return torch.where(seen, each, 0.0).sum(1)


def usable(form: Form, y: Tensor, own: Tensor | None = None) -> Tensor:
    """Which lanes (n T) a form can be fitted to; `own` (n): the season that each lane has in place of the stated one."""
    seen = y.isfinite()
    count = seen.sum(1)
    enough = (count >= max(form.needs, form.least)) & ((count < form.most) if form.most else True)
    if own is not None and form.short > 1 and not form.sought:
        enough &= own == form.short
    if form.sought:
        enough &= (seen.sum(1) >= max(LEAST, 3 * form.short)) & (_repeat(y, form.short) >= REPEAT)
    if form.model.cycle:
        enough &= turning(y) > 0
    return enough & (torch.where(seen, y, 1.0) > 0).all(1) if form.power != 1 else enough


def turning(y: Tensor) -> Tensor:
    """Period (n) of the highest peak in the spectrum of the changes, in rows; 0 where none stands out or fewer than four turns are seen."""
    change = y.diff(dim=1)
    seen = change.isfinite()
    change = torch.where(seen, change - change.nanmean(1, keepdim=True), 0.0)
    power = torch.fft.rfft(change).abs().square()[:, 1:]
    if power.shape[1] < 3 * TOGETHER:
        return y.new_zeros(len(y))
    half = TOGETHER // 2
    smooth = power.unfold(1, TOGETHER, 1).mean(2)  # centred on the frequencies half + 1, half + 2, … of a turn in all rows
    period = change.shape[1] / torch.arange(half + 1, half + 1 + smooth.shape[1], dtype=y.dtype)
    within = (period >= SHORTEST) & (period <= seen.sum(1, keepdim=True) / 4)
    peak = torch.where(within, smooth, 0.0).max(1)
    higher = pad(smooth, (1, 1)).unfold(1, 3, 1).amax(2).gather(1, peak.indices[:, None])[:, 0]
    shows = (peak.values >= PEAK * power.mean(1)) & (peak.values >= higher) & (power.mean(1) > 0)
    return torch.where(shows, period[peak.indices], 0.0)


def position(y: Tensor) -> Tensor:
    """Rows since the first observed one (n T), 0 before it."""
    return (y.isfinite().cummax(1).values.long().cumsum(1) - 1).clamp(min=0)


def profile_of(form: Form, z: Tensor) -> Tensor:
    """The profile (n M) of values on the form's scale; zeros (n 1) where it has none."""
    if not form.profile:
        return z.new_zeros(len(z), 1)
    inner = z - centred(z, form.profile)
    at = position(z)
    deviation = inner - by_position(inner, at, form.short)[0]
    mean, count, square = by_position(deviation, at, form.profile, whole=True)
    total = count.sum(1, keepdim=True)
    between = (count * mean.square()).sum(1, keepdim=True) / total
    within = (square.sum(1, keepdim=True) - total * between) / (total - form.profile).clamp(min=1)
    repeats = total / form.profile
    kept = (1 - within / (repeats * between).clamp(min=1e-300)).clamp(0, 1)
    return torch.where((repeats > 1.5) & mean.isfinite(), kept * mean, 0.0)


def drift_of(z: Tensor, share: float = HALF) -> Tensor:
    """A share of the slope (n) of the least-squares line through values (n T)."""
    seen = z.isfinite()
    count = seen.sum(1, keepdim=True).clamp(min=1)
    time = torch.arange(z.shape[1], dtype=z.dtype).expand_as(z)
    time = torch.where(seen, time - (time * seen).sum(1, keepdim=True) / count, 0.0)
    slope = (time * z.nan_to_num(0.0)).sum(1) / time.square().sum(1).clamp(min=1e-300)
    return share * slope


def standardised(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values in units of the model, and these units: location and spread (n)."""
    loc, spread = units(z)
    return (z - loc[:, None]) / spread[:, None], loc, spread


def own_season(y: Tensor, stated: int) -> Tensor:
    """The season (n) of each lane (n T), which is another than the stated one only where that one plainly fails."""
    lags = [stated, *near_to(stated)]
    rows = 3 * stated
    if y.shape[1] < rows + max(lags):
        return torch.full((len(y),), stated)
    recent = y[:, -rows:]
    change = [(recent - y[:, -rows - lag : y.shape[1] - lag]).abs().nanmean(1) for lag in lags]
    left = torch.stack(change, 1).nan_to_num(torch.inf)
    least = left.min(1)
    return torch.where(least.values < BETTER * left[:, 0], torch.tensor(lags)[least.indices], stated)


def _repeat(y: Tensor, lag: int) -> Tensor:
    """Correlation (n) of values and those a season before, both less the mean over the season around them."""
    if y.shape[1] <= 2 * lag:
        return y.new_zeros(len(y))
    z = y - centred(y, lag)
    before, after = z[:, :-lag], z[:, lag:]
    both = before.isfinite() & after.isfinite()
    before, after = (torch.where(both, part, 0.0) for part in (before, after))
    size = (before.square().sum(1) * after.square().sum(1)).sqrt()
    return (before * after).sum(1) / size.clamp(min=1e-300)


def centred(z: Tensor, length: int) -> Tensor:
    """Mean over the `length` rows around each row, missing ones left out; at the ends over those there are."""
    half = length // 2
    seen = torch.nn.functional.pad(z.isfinite().to(z.dtype), (half + 1, half))
    sums = torch.nn.functional.pad(z.nan_to_num(0.0), (half + 1, half)).cumsum(1)
    counts = seen.cumsum(1)
    width = 2 * half + 1
    mean: Tensor = (sums[:, width:] - sums[:, :-width]) / (counts[:, width:] - counts[:, :-width])
    return mean


def by_position(z: Tensor, at: Tensor, length: int, whole: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Mean by position in the season at every row (n T), or (whole) by position (n length), with counts and squares."""
    slot, seen = at % length, z.isfinite()
    value = z.nan_to_num(0.0)
    zero = z.new_zeros(len(z), length)
    count = zero.scatter_add(1, slot, seen.to(z.dtype))
    total = zero.scatter_add(1, slot, value)
    square = zero.scatter_add(1, slot, value.square())
    mean = total / count.clamp(min=1)
    return (mean if whole else mean.gather(1, slot)), count, square


def unprofiled(z: Tensor, at: Tensor, profile: Tensor) -> Tensor:
    """Values (n T) less the profile (n M) at their positions."""
    return z - profile.gather(1, at % profile.shape[1])


def aicc(loglik: Tensor, form: Form, count: Tensor) -> Tensor:
    """Information criterion (n) from the likelihood in units of the data: parameters and diffuse states both count."""
    started = sum(season.size for season in form.model.seasons if season.prior)
    k = form.model.parameters + form.model.rank + started + (form.model.trend == DRIFT)
    return -2 * loglik + 2 * k + 2 * k * (k + 1) / (count - k - 1).clamp(min=0.5)
