"""The measurement measures what it says: every reading is scored and durable, and all delays are counted."""

from pathlib import Path

import numpy as np
import pytest

from forecast.watch import measure
from forecast.watch.store import Reader
from tests.watch.outcome import of


@pytest.mark.parametrize("subject", ["moving", "kalman 2"])
def test_every_reading_is_scored_and_durable(tmp_path: Path, subject: str) -> None:
    made = measure.prepare(tmp_path, subject, 40, 6)
    found = measure.rate(tmp_path, subject, 40, 6)
    assert min(found.values()) > 0
    outcome = of(tmp_path)
    assert (outcome.rows, outcome.doubled, outcome.counts["scored"]) == (240, 0, 240)
    reader = Reader(tmp_path / "state" / "state.db")
    assert len({len(record) for _, _, record in reader.sensors()}) == 1
    assert len(reader.sensors()[0][2]) + len(reader.fixed().get(0, b"")) == made["state_bytes_per_sensor"]
    reader.close()


def test_a_sensor_that_took_the_state_of_another_is_calm(tmp_path: Path) -> None:
    measure.prepare(tmp_path, "kalman 2", 40, 30)
    measure.rate(tmp_path, "kalman 2", 40, 30)
    assert of(tmp_path).counts["alarms"] <= 12  # of 1200, under a rate of 1e-5 estimated from 300 rows


def test_every_delay_is_counted_once(tmp_path: Path) -> None:
    measure.prepare(tmp_path, "moving", 20, 10)
    text = (tmp_path / measure.ROWS).read_bytes()
    paced = measure.Paced(text, 1000.0)
    watch = measure.loop(tmp_path, "moving", paced)
    watch.run()
    delays = np.concatenate(paced.delays)
    assert len(delays) == 200 == watch.counts["scored"]
    assert delays.min() >= 0
