"""What detectors of values leave to the standard one: data that is in trouble, apart from the budget."""

import torch
from torch import Tensor

from forecast.detect.evidence import Verdict
from forecast.kernels import watch


def overruled(score: Tensor, kind: Tensor, guarded: Verdict) -> tuple[Tensor, Tensor]:
    """Scores and kinds (B T) where a frozen, silent or out-of-range sensor has the last word."""
    trouble = guarded.alarm & (guarded.kind >= watch.FROZEN)
    return torch.where(trouble, torch.maximum(score, guarded.score), score), torch.where(trouble, guarded.kind, kind)
