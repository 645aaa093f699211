"""What detectors of values leave to the standard one: data that is in trouble, apart from the budget."""

import torch
from torch import Tensor

from forecast.detect.evidence import QUALITY, Verdict

TROUBLE = torch.tensor(QUALITY)


def verdict(score: Tensor, kind: Tensor, blame: Tensor, guarded: Verdict) -> Verdict:
    """Scores and kinds (B T), blame (B T C), where a frozen, silent or out-of-range sensor has the last word; learning as guarded."""
    trouble = guarded.alarm & torch.isin(guarded.kind, TROUBLE)
    score = torch.where(trouble, torch.maximum(score, guarded.score), score)
    kind = torch.where(trouble, guarded.kind, kind)
    return Verdict(score, score >= 0.5, blame, kind, guarded.learn, guarded.widen)
