"""VUS-PR: the volume under the precision-recall surface over widths of tolerance around the labelled spans.

For a width ℓ the label fades out around each span as  √(1 - d/ℓ)  for d < ℓ/2 rows, and with the extended label l
    recall = min(Σ l·alarm / ((Σ label + Σ l)/2), 1) · (share of the extended spans with an alarm),   precision = Σ l·alarm / Σ alarm
at 250 thresholds; the volume is the mean area over ℓ = 0 … width.
Source: Paparrizos et al. (2022), PVLDB 15(11), with the conventions of its authors' code (TheDatumOrg/TSB-AD, basic_metrics.py):
the fade begins at the row after the last of a span with the value 1 there.
"""

import numpy as np

from forecast.metrics.detection import Flags, Scores, spans

THRESHOLDS = 250


def vus_pr(score: Scores, label: Flags, width: int = 100) -> float:
    """The mean area over the widths 0 … `width`; NaN without labelled rows."""
    if not label.any():
        return float("nan")
    score = np.where(np.isnan(score), -np.inf, score)
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    threshold = ordered[np.linspace(0, len(score) - 1, THRESHOLDS).astype(int)]
    alarms = np.searchsorted(-ordered, -threshold, side="right")
    areas = [_area(score, order, threshold, alarms, label, extended(label, w)) for w in range(width + 1)]
    return float(np.mean(areas))


def extended(label: Flags, width: int) -> Scores:
    """The label (T) as numbers of 0 to 1, fading out on both sides of every span."""
    made = label.astype(np.float64)
    for start, end in spans(label):
        last = end - 1
        after = np.arange(last, min(last + width // 2, len(label)))
        before = np.arange(max(start - width // 2, 0), start)
        if width:
            made[after] += np.sqrt(1 - (after - last) / width)
            made[before] += np.sqrt(1 - (start - before) / width)
    clipped: Scores = np.minimum(made, 1.0)
    return clipped


def _area(
    score: Scores,
    order: np.ndarray,
    threshold: Scores,
    alarms: np.ndarray,
    label: Flags,
    soft: Scores,
) -> float:
    hit = soft[order].cumsum()[alarms - 1]
    peaks = np.sort([score[low:high].max() for low, high in spans(soft > 0)])
    touched = 1 - np.searchsorted(peaks, threshold, side="left") / len(peaks)
    recall = np.minimum(hit / ((label.sum() + soft.sum()) / 2), 1) * touched
    return float((np.diff(recall, prepend=0.0) * hit / alarms).sum())
