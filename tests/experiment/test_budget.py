"""Windows of maintenance on a panel, the budget of a fleet, and the share of false alarms."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import forecast as fc
from forecast.detect.discovery import Discovery
from forecast.errors import InputError
from forecast.experiment.detection import MEMORY, calm_rows, follow, rate_of, ready
from forecast.experiment.detectors import build
from forecast.experiment.discoveries import nats_of
from forecast.experiment.maintained import windows_of
from forecast.models.kalman import Kalman
from forecast.series.clock import Clock
from forecast.series.panel import Panel, panel_of
from tests.experiment.line import forecast

START = pd.Timestamp("2026-01-01")
CALM, LENGTH = 400, 700


def panel(*series: Tensor) -> Panel:
    return panel_of({f"pump{i}": values for i, values in enumerate(series)}, Clock("time", START, "h"))


def noise(rows: int = LENGTH, seed: int = 0) -> Tensor:
    return torch.randn(rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def window(low: int, high: int, sensor: str = "pump0", **flags: bool) -> dict[str, Any]:
    """Rows low … high-1."""
    at = [f"{START + pd.Timedelta(hours=h):%Y-%m-%dT%H:%M}" for h in (low, high)]
    return {"sensor": sensor, "start": at[0], "end": at[1], **flags}


def scored(of: Panel, maintenance: list[dict[str, Any]]) -> Tensor:
    """Scores after the calm rows (S T)."""
    calm, windows = calm_rows(of, CALM), windows_of(of, maintenance)
    monitor = ready(Kalman(trend="none"), build("standard", 1e-3), of, calm, windows)
    return torch.cat([seen.verdict.score for _, seen in follow(monitor, of, calm, windows)])


def test_what_is_done_in_a_window_is_not_learned_before_or_after_calibration() -> None:
    values, other = noise(), noise(seed=1)
    wild = values.clone()
    wild[100:150] += 50
    wild[500:520] += 50
    spans = [window(100, 150), window(500, 520)]
    one, two = scored(panel(values, other), spans), scored(panel(wild, other), spans)
    kept = torch.ones(LENGTH - CALM, dtype=torch.bool)
    kept[100:120] = False
    assert torch.equal(one[:, kept], two[:, kept]) and bool((two[0, ~kept] >= 0.5).all())
    assert torch.equal(one[1], two[1]) and not torch.equal(one[0], scored(panel(values, other), [])[0])


def test_where_the_clock_stands_still_rows_leave_no_trace() -> None:
    values = noise()
    cut = torch.cat([values[:100], values[150:500], values[520:]])
    shifted = scored(panel(values), [window(100, 150, shift=True), window(500, 520, shift=True)])[0]
    calm = calm_rows(panel(cut), CALM - 50)
    monitor = ready(Kalman(trend="none"), build("standard", 1e-3), panel(cut), calm)
    plain = next(follow(monitor, panel(cut), calm))[1].verdict.score[0]
    assert torch.equal(torch.cat([shifted[:100], shifted[120:]]), plain)


def test_alarms_in_a_window_are_no_events_and_three_flags_are_apart() -> None:
    values = noise()
    values[550:560] += 30
    options: dict[str, Any] = {"model": "naive", "calm": CALM, "false_alarm_rate": 1e-4}
    told = window(540, 570, alert=True)
    scores, events = fc.detect(panel(values), maintenance=[window(540, 570, learn=True)], **options)
    inside = scores["ds"].between(START + pd.Timedelta(hours=550), START + pd.Timedelta(hours=559))
    assert scores.loc[inside, "alarm"].any() and scores.loc[inside, "muted"].all()
    assert not (
        pd.to_datetime(events["start"]).between(START + pd.Timedelta(hours=540), START + pd.Timedelta(hours=569))
    ).any()
    scores, events = fc.detect(panel(values), maintenance=[told], **options)
    assert not scores["muted"].any() and len(events) >= 1
    assert scores.loc[inside, "alarm"].all()  # nothing is learned: every row stands against what was before


def test_numbered_rows_have_no_windows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.time="):
        windows_of(panel_of([noise()]), [window(1, 2)])
    frame = pd.DataFrame({"time": pd.date_range(START, periods=LENGTH, freq="h"), "flow": noise().numpy()})
    frame.loc[600:604, "flow"] += 40
    frame.to_csv(tmp_path / "p.csv", index=False)
    (tmp_path / "w.csv").write_text("sensor,start,end,zone\n*,2026-01-26 00:00,2026-01-26 06:00,UTC\n")
    words = ["model=naive", "data.season=[]", "calm=400", f"out={tmp_path}", f"maintenance=[{tmp_path / 'w.csv'}]"]
    said = forecast("detect", f"data.path={tmp_path / 'p.csv'}", "false_alarm_rate=1e-6", *words)
    assert said.code == 0, said.out + said.err
    assert "In maintenance: 6 rows" in said.out


def test_a_fleet_shares_its_budget() -> None:
    three = panel(noise(), noise(seed=1), noise(seed=2))
    assert rate_of(three, None, None, 0.72) == pytest.approx(0.01)
    with pytest.raises(InputError, match="give one"):
        rate_of(three, 0.1, None, 0.1)
    with pytest.raises(InputError, match="false_alarms_per_fleet_day: the rows are numbered"):
        rate_of(panel_of([noise()]), None, None, 1.0)


def test_the_share_of_false_alarms_is_kept_over_all_series_of_different_lengths() -> None:
    series = [noise(LENGTH - 20 * i, seed=10 + i) for i in range(6)]
    for i in range(3):
        series[i][450 + 40 * i : 456 + 40 * i] += 12
    of = panel(*series)
    options: dict[str, Any] = {"model": Kalman(trend="none"), "detector": "threshold", "calm": CALM}
    plain, _ = fc.detect(of, false_alarm_rate=0.1 / 24, **options)
    scores, _ = fc.detect(of, false_discovery_rate=0.2, **options)
    assert np.allclose(plain["p_value"], scores["p_value"])
    discovery = Discovery(0.2, MEMORY)
    state = discovery.initial_state()
    for _, step in plain.groupby("ds", sort=True):
        nats = nats_of(torch.from_numpy(step["score"].to_numpy().copy()), 0.1 / 24)
        state, score = discovery.step(state, nats)
        assert np.allclose(scores.loc[step.index, "score"], score)
    ill = scores["value"] > 7
    assert scores.loc[ill, "alarm"].any()
    with pytest.raises(InputError, match="give one"):
        fc.detect(of, 0.1, false_discovery_rate=0.2)


def test_the_verb_takes_a_share_of_false_alarms_and_several_models(tmp_path: Path) -> None:
    frame = pd.DataFrame({"time": pd.date_range(START, periods=LENGTH, freq="h"), "flow": noise().numpy()})
    frame.loc[600:604, "flow"] += 60
    frame.to_csv(tmp_path / "p.csv", index=False)
    words = ["models=[naive,kalman]", "false_discovery_rate=0.2", "data.season=[]", "calm=400", f"out={tmp_path}"]
    said = forecast("detect", f"data.path={tmp_path / 'p.csv'}", *words)
    assert said.code == 3, said.out + said.err
    assert "at most 0.2 of all alarms" in said.out
    page = (tmp_path / "detect" / "latest" / "report.html").read_text()
    assert "naive + kalman" in page and "0.200 of all alarms at most to be false" in page
    events = pd.read_csv(tmp_path / "detect" / "latest" / "events.csv")
    assert pd.Timestamp(events.loc[0, "onset"]) == START + pd.Timedelta(hours=600)
