"""The kind of change behind an event, from the scores that a store keeps alone, is that which all rows show."""

import numpy as np
import pytest

from forecast.detect.detector import Detector
from forecast.detect.events import events
from forecast.detect.evidence import KINDS, Verdict
from forecast.detect.monitor import Monitor
from forecast.detect.standard import Standard
from forecast.models.kalman import Kalman
from forecast.types import Past
from forecast.watch.cause import cause
from forecast.watch.history import Scores
from tests.detect.test_change import FAULTS, faulty

STEP, CALM, AT, SENSORS = 60_000_000, 1500, 150, 20


@pytest.mark.parametrize("fault", FAULTS[1::2])
def test_faults_are_called_by_their_names_from_stored_scores(fault: str) -> None:
    values = faulty(fault, SENSORS, 3, CALM, AT)
    detector: Detector = Standard(rate=1e-3)
    seen = Monitor.ready(Kalman(trend="none"), detector, Past.of(values[:, :CALM])).follow(Past.of(values[:, CALM:]))
    rows = values.shape[1] - CALM
    time, none = np.arange(rows) * STEP, np.zeros(rows)
    named, late = 0, []
    for b in range(SENSORS):
        told = [one for one in events(Verdict(*(leaf[b] for leaf in seen.verdict)), 5) if one.end >= AT - 1]
        value, expected, surprise = (
            leaf[b, :, 0].numpy() for leaf in (seen.evidence.row.values, seen.evidence.expected, seen.evidence.surprise)
        )
        verdict = seen.verdict.score[b].numpy(), surprise, seen.verdict.kind[b].numpy()
        kept = Scores(none.astype(int), time, value, expected, none, none, *verdict)
        kind, onset = cause(kept, told[0].start * STEP, told[0].end * STEP, told[0].kind)
        named += kind == fault
        late.append(onset // STEP - AT)
    assert named >= 17, named
    assert abs(float(np.median(late))) <= 1


def test_kinds_that_no_innovation_shows_and_scores_of_another_time_stay() -> None:
    none = np.zeros(50)
    kept = Scores(none.astype(int), np.arange(50) * STEP, *[none] * 6, none.astype(int))
    assert cause(kept, 20 * STEP, 22 * STEP, KINDS[7]) == (KINDS[7], 20 * STEP)
    assert cause(kept, 20 * STEP, 22 * STEP, "silent") == ("silent", 20 * STEP)
    assert cause(kept, 90 * STEP, 92 * STEP, "spike") == ("spike", 90 * STEP)
