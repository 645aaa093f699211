"""The references of the layer benchmark compute what they stand for, and a cell says what it measured."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from forecast.experiment.benchmark import speed_layers
from forecast.layers.s4d import S4D


def test_the_full_kernel_is_s4d() -> None:
    """With the parameters of our layer and its direct path at 0 the reference answers the same."""
    torch.manual_seed(0)
    ours, full = S4D(4, state=8), speed_layers.FullKernel(4, 8)
    with torch.no_grad():
        ours.direct.zero_()
        full.log_step.copy_(ours.log_step)
        full.log_decay.copy_(ours.log_decay.mT)
        full.frequency.copy_(ours.frequency.mT)
        full.readout.copy_(ours.readout.permute(2, 1, 0))
        u, ones = torch.randn(2, 50, 4), torch.ones(2, 50)
        y, _ = ours(u, ours.initial_state(2), ones, ones.bool())
        assert float((y - full(u)).abs().max()) <= 1e-4 * float(y.abs().max())


@pytest.mark.parametrize("name", speed_layers.REFERENCES)
def test_references_are_causal(name: str) -> None:
    torch.manual_seed(0)
    _, whole = speed_layers.layer_of(name, 32)
    u = torch.randn(1, 20, 32)
    later = u.clone()
    later[:, 12:] += 1
    with torch.no_grad():
        a, b = whole(u), whole(later)
    assert float((a - b)[:, :12].abs().max()) <= 1e-5
    assert float((a - b)[:, 12:].abs().max()) > 1e-3


def test_a_run_writes_table_and_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_layers, "OURS", ("s4d",))
    monkeypatch.setattr(speed_layers, "REFERENCES", ())
    monkeypatch.setattr(speed_layers, "ROWS", 64)
    table = speed_layers.run(tmp_path, width=8, lengths=(32, 64))
    assert list(table["length"]) == [32, 64] and list(table["batch"]) == [2, 1]
    assert (table["forward_ns"] > 0).all() and (table["both_ns"] > table["forward_ns"]).all()
    assert len(pd.read_csv(tmp_path / "layers.csv")) == 2
    assert (tmp_path / "layers.png").read_bytes()[:4] == b"\x89PNG"
