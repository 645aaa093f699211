"""A share of false alarms over all sensors of a watch: the same bytes in any pieces, and few alarms where nothing is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from forecast.detect.discovery import Discovery
from forecast.detect.standard import Standard
from forecast.models.kalman import Kalman
from forecast.watch import desk, history
from forecast.watch.arrival import Rows
from forecast.watch.build import build
from forecast.watch.discovered import Discovered
from forecast.watch.live import Live
from forecast.watch.loop import Loop, Options
from forecast.watch.parse import Parser
from forecast.watch.scorer import Scored, missing
from forecast.watch.sinks.jsonl import Jsonl
from forecast.watch.store import Reader, Store
from forecast.watch.teller import Telling
from forecast.watch.warmup import Plan
from tests.watch import outcome

RATE = 1e-3


def watched(folder: Path, lines: list[str], cuts: list[int], block: int, lateness: float) -> outcome.Outcome:
    """What comes of a file that is read as it grew, with a process of its own for each piece."""
    folder.mkdir()
    for cut in [*cuts, len(lines)]:
        (folder / "p.csv").write_text("time,sensor,value\n" + "".join(lines[:cut]))
        source = build("source", {"name": "file", "path": str(folder / "p.csv"), "follow": False, "block": block})
        scorer = Live(
            "kalman", lambda seasons: Kalman(trend="none"), lambda step: Standard(rate=RATE), Plan(100, season=1)
        )
        telling, sinks = Telling(per_row=RATE, share=0.2, memory=2000.0), [Jsonl(folder / "alerts.jsonl")]
        own = Options(seconds=0.05, readings=700, lateness=lateness)
        Loop(source, Parser(), scorer, Store(folder / "state"), sinks, own, telling).run()
    return outcome.of(folder)


def lines() -> list[str]:
    random, made = np.random.default_rng(4), []
    for t in range(400):
        for s in range(8):
            value = random.normal() + (14.0 if s < 3 and 250 <= t < 256 else 0.0)
            made.append(f"{1_700_000_000 + 60 * t},s{s},{value:.4f}\n")
    return made


@pytest.mark.parametrize(
    ("lateness", "cuts"), [(0.0, [901, 2011, 2043]), (150.0, [])]
)  # at its end a file lets go of what waits
def test_pieces_and_restarts_change_no_byte(tmp_path: Path, lateness: float, cuts: list[int]) -> None:
    rows = lines()
    whole = watched(tmp_path / "whole", rows, [], 1 << 20, lateness)
    assert watched(tmp_path / "parts", rows, cuts, 3000, lateness) == whole
    reader = Reader(tmp_path / "whole" / "state" / "state.db")
    scores = history.together([history.read(block) for block in reader.blocks()])
    reader.close()
    alarms = scores.score >= 0.5
    ill = (scores.who < 3) & (scores.value > 8)
    later = (scores.who < 3) & (
        scores.time >= 1_000_000 * (1_700_000_000 + 60 * 250)
    )  # the way back is a shift as well
    assert alarms[ill].mean() > 0.4 and alarms[ill][:3].all() and (alarms & ~later).sum() <= 0.3 * alarms.sum()
    assert "at most 0.2 of all alarms asked for" in desk.show(desk.stores(tmp_path / "whole" / "state"), tmp_path)


def test_scores_are_those_of_the_procedure_in_the_order_of_the_stream() -> None:
    random = np.random.default_rng(0)
    count = 300
    rows = Rows(random.integers(0, 5, count), np.arange(count), random.normal(size=count), random.permutation(count))
    nats = random.exponential(size=count) * 3
    scored = missing(count)._replace(score=nats / (nats - np.log(RATE)), surprise=nats)
    scored.surprise[7] = np.nan
    told = random.random(count) < 0.9
    kinds = ("", "spike", "frozen")
    scored.kind[20:30], scored.alarm[20:30] = 2, True
    made = Discovered(Discovery(0.2, 100.0), RATE, kinds).apply(rows, scored, told)
    tested = np.isfinite(scored.surprise) & told & ~((scored.kind == 2) & scored.alarm)
    discovery = Discovery(0.2, 100.0)
    state = discovery.initial_state()
    for i in np.argsort(rows.order):
        if tested[i]:
            state, one = discovery.step(state, torch.tensor([nats[i]], dtype=torch.float64))
            assert made.score[i] == pytest.approx(float(one), rel=1e-9)
            assert made.alarm[i] == (made.score[i] >= 0.5)
        else:
            assert made.score[i] == scored.score[i] and made.alarm[i] == scored.alarm[i]
    halves = Discovered(Discovery(0.2, 100.0), RATE, kinds)
    first = rows.order < 140
    parts = []
    for piece in (first, ~first):
        some = Scored(*(column[piece] for column in scored))
        parts.append(halves.apply(rows.take(piece), some, told[piece]).score)
        halves.recall(json.loads(json.dumps(halves.plain())))
    assert np.array_equal(np.concatenate(parts), np.concatenate([made.score[first], made.score[~first]]))
