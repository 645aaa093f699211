"""What a watch has led to: scores, states, counts and alerts, to be compared byte by byte."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from forecast.watch import history
from forecast.watch.store import Reader


class Outcome(NamedTuple):
    """Digests of what must not depend on kills, and the plain counts."""

    scores: str
    rows: int
    doubled: int
    states: str
    alerts: bytes
    file: bytes
    counts: dict[str, int]


def of(folder: Path) -> Outcome:
    """The outcome in a folder."""
    reader = Reader(folder / "state" / "state.db")
    scores = history.together([history.read(block) for block in reader.blocks()])
    keys = np.stack([scores.who.astype(np.int64), scores.time])
    states = hashlib.sha256(b"".join(record for *_, record in reader.sensors()))
    found = Outcome(
        scores=hashlib.sha256(b"".join(np.ascontiguousarray(column).tobytes() for column in scores)).hexdigest(),
        rows=len(scores.who),
        doubled=len(scores.who) - len(np.unique(keys, axis=1).T),
        states=states.hexdigest(),
        alerts=b"\n".join(body for _, body in reader.alerts()),
        file=(folder / "alerts.jsonl").read_bytes() if (folder / "alerts.jsonl").exists() else b"",
        counts=json.loads(reader.fact("watch") or b"{}")["counts"],
    )
    reader.close()
    return found
