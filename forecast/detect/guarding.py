"""What detectors of values leave to the standard one: data that is in trouble, apart from the budget."""

import torch
from torch import Tensor

from forecast.detect.evidence import QUALITY, Verdict

TROUBLE = torch.tensor(QUALITY)


def overruled(score: Tensor, kind: Tensor, guarded: Verdict) -> tuple[Tensor, Tensor]:
    """Scores and kinds (B T) where a frozen, silent or out-of-range sensor has the last word."""
    trouble = guarded.alarm & torch.isin(guarded.kind, TROUBLE)
    return torch.where(trouble, torch.maximum(score, guarded.score), score), torch.where(trouble, guarded.kind, kind)
