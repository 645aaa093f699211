"""Scores of peers: worked by hand, and the same as those of our own metrics."""

import math
from pathlib import Path

import pytest
import torch

from forecast.distribution import Gaussian
from forecast.experiment.benchmark import peers
from forecast.metrics import METRICS
from forecast.metrics.outcome import Outcome
from forecast.metrics.pooling import pooled, stack
from forecast.series.panel import panel_of


def test_scores_are_those_of_our_metrics() -> None:
    """A normal forecast, once by its bounds and once as a distribution."""
    generator = torch.Generator().manual_seed(0)
    mean, actual = (10 + torch.randn(7, 6, dtype=torch.float64, generator=generator) for _ in range(2))
    forecast = Gaussian(mean[..., None], torch.full((7, 6, 1), 0.8, dtype=torch.float64))
    bounds = [*forecast.interval(0.9), *forecast.interval(0.95)]
    scale = torch.rand(7, dtype=torch.float64, generator=generator) + 0.5
    made = torch.stack([mean, *[bound[..., 0] for bound in bounds]], 1)
    found = peers.scores(made, actual, scale)
    outcome = Outcome(forecast, actual[..., None], scale[:, None], scale[:, None] ** 2)
    for word in ("mase", "smape", "smape_points", "coverage", "msis"):
        ours = pooled(METRICS[word], stack([METRICS[word].tally(outcome)]))
        assert found[word] == pytest.approx(ours, rel=1e-9), word
    thirds = [found[f"coverage_{k}"] for k in (1, 2, 3)]
    assert sum(thirds) / 3 == pytest.approx(found["coverage"])


def test_a_series_without_changes_has_no_scaled_error() -> None:
    made = torch.ones(2, 5, 3, dtype=torch.float64)
    found = peers.scores(made, made[:, 0] + 1, torch.tensor([0.0, 2.0], dtype=torch.float64))
    assert found["mase"] == 0.5 and math.isfinite(found["msis"])


def test_absent_peers_are_a_named_skip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "none")
    panel = panel_of({"a": torch.arange(20, dtype=torch.float64)[:, None]})
    with caplog.at_level("INFO", logger="forecast"):
        found = peers.figures("AutoETS", panel, torch.tensor([16]).numpy(), 4, tmp_path)
    assert found is None and "AutoETS skipped" in caplog.text
