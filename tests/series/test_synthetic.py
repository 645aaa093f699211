"""The made plant: the shipped files are its output, its cycles and events are there, its labels are right."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from forecast.series.catalogue import load, packaged
from forecast.series.synthetic import DAY, EVENTS, cycles, intermittent, plant, walks, write_plant


def test_shipped_files_are_what_the_seed_makes(tmp_path: Path) -> None:
    write_plant(tmp_path)
    for name in ("plant.csv.gz", "plant_labels.csv"):
        made, shipped = (pd.read_csv(folder / name) for folder in (tmp_path, packaged()))
        pd.testing.assert_frame_equal(made, shipped, atol=0.011)
    (data,) = load("plant")
    panel, labels = plant()
    torch.testing.assert_close(data.panel.values, panel.values, equal_nan=True, atol=0.011, rtol=0)
    assert data.labels == labels and data.panel.channels == panel.channels and data.panel.seasons == (48, 336)


def test_daily_and_weekly_cycles_stand_out() -> None:
    """In the power of a line a day and a week lead the spectrum of the quiet weeks."""
    panel, _ = plant()
    power = panel.values[: 4 * 7 * DAY, panel.channels.index("a_power")].numpy()
    power = pd.Series(power).interpolate().to_numpy()
    spectrum = np.abs(np.fft.rfft(power - power.mean())) ** 2
    noise = np.median(spectrum)
    assert spectrum[28] > 1000 * noise and spectrum[4] > 100 * noise, "28 days, 4 weeks"


def test_events_lie_apart_and_behind_the_quiet_weeks() -> None:
    panel, labels = plant()
    assert len(labels) == len(EVENTS) == 14
    flags = labels.rows(panel)
    assert not flags[: 4 * 7 * DAY].any() and int(flags.sum()) == sum(event[3] for event in EVENTS)
    assert all(set(channels) <= set(panel.channels) and channels for channels in labels.channels)


def test_events_change_the_named_sensors_alone() -> None:
    """Beside the same plant without events only labelled cells differ."""
    import forecast.series.synthetic as synthetic

    panel, labels = plant()
    kept, synthetic._apply = synthetic._apply, lambda *_: None
    try:
        calm, _ = plant()
    finally:
        synthetic._apply = kept
    allowed = torch.zeros_like(panel.values, dtype=torch.bool)
    for label, _, low, high in labels.spans(panel):
        allowed[low:high, [panel.channels.index(name) for name in labels.channels[label]]] = True
    noisy = [i for i, kind in enumerate(labels.kind) if kind == "noise"]
    first_noise = min(low for label, _, low, _ in labels.spans(panel) if label in noisy)
    same = torch.isclose(panel.values, calm.values) | panel.values.isnan() | calm.values.isnan()
    assert (same | allowed)[:first_noise].all(), "up to the first event that draws numbers of its own"
    assert not same[allowed][: int(allowed[:first_noise].sum())].all()


def test_seeds_differ_and_repeat() -> None:
    assert torch.equal(plant(3)[0].values.nan_to_num(), plant(3)[0].values.nan_to_num())
    assert not torch.equal(plant(3)[0].values.nan_to_num(), plant(4)[0].values.nan_to_num())


def test_small_panels() -> None:
    waves = cycles(2, 480, (24, 120), noise=0.0)
    assert waves.seasons == (24, 120) and torch.allclose(waves.series(0)[120:], waves.series(0)[:-120])
    steps = walks((300, 20), channels=2)
    assert steps.lengths.tolist() == [300, 20] and abs(float(steps.series(0).diff(dim=0).std()) - 1) < 0.1
    demand = intermittent(1, 4000, share=0.2, mean=4.0).values
    assert abs(float((demand > 0).double().mean()) - 0.2) < 0.03 and abs(float(demand[demand > 0].mean()) - 4) < 0.2
