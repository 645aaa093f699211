"""Figures of models relative to one another, from columns that are pooled already.

    OWA = ½ (sMAPE / sMAPE of Naive2 + MASE / MASE of Naive2)                       (M4)
    skill = 1 - value / value of the reference
    geometric skill = 1 - geometric mean over tasks of the clipped ratio to the reference      (fev-bench)

Shapes: losses (M N): models × tasks (data sets, series or blocks). Lower is better everywhere.
Sources: Makridakis, Spiliotis & Assimakopoulos (2020), Int. J. Forecast. 36(1); Shchur et al. (2025), fev-bench.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


def owa(smape: Mapping[str, float], mase: Mapping[str, float], reference: str = "naive2") -> dict[str, float]:
    """Overall weighted average of every model; 1 for the reference."""
    return {model: (smape[model] / smape[reference] + mase[model] / mase[reference]) / 2 for model in smape}


def skill(values: Mapping[str, float], reference: str) -> dict[str, float]:
    """Share of the reference's error that a model saves."""
    return {model: 1 - value / values[reference] for model, value in values.items()}


def geometric_skill(losses: Tensor, reference: int, clip: tuple[float, float] = (0.01, 100.0)) -> Tensor:
    """Skill (M) over tasks of different sizes; tasks that some model lacks count for none."""
    tasks = losses[:, losses.isfinite().all(0)]
    return 1 - (tasks / tasks[reference]).clamp(*clip).log().mean(1).exp()


def ranks(losses: Tensor) -> Tensor:
    """Rank of every model in every task (M N), 1 for the smallest loss, ties share a mean; NaN in unshared tasks."""
    from scipy import stats

    ranked = torch.from_numpy(stats.rankdata(losses.numpy(), axis=0))
    return torch.where(losses.isfinite().all(0), ranked, torch.nan)


def win_rate(losses: Tensor) -> Tensor:
    """(M M): share of the shared tasks in which the row's model has a smaller loss than the column's; a tie is half."""
    tasks = losses[:, losses.isfinite().all(0)]
    wins = (tasks[:, None] < tasks[None]).double() + 0.5 * (tasks[:, None] == tasks[None]).double()
    return wins.mean(2)
