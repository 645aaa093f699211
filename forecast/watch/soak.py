"""A watch that runs for long: does memory grow, do file descriptors, while sensors fall silent and come back?

Every minute a tenth of the sensors falls silent and the tenth before it comes back. Resident memory and open descriptors are looked at
every few seconds. Of what was seen after the first third (warm-up) are told
    slope of memory      Theil-Sen: the median of the slopes between all pairs of looks; one of least squares beside it
    growth of memory     median of its last tenth less that of its first
    descriptors          the least and the most
A lasting leak is seen by all three; a page more that comes once moves the growth, and the slope only if half of all pairs see it.
Source: Sen (1968), Journal of the American Statistical Association 63(324).
"""

import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from forecast.watch.readings import Chunk
from forecast.watch.sources.source import Source

TENTHS = 10
MINUTE = 60.0
LOOK = 2.0  # seconds


class Churning(Source):
    """Readings of sensors that come and go, at a pace, for so many seconds; calm ones, each sensor's once a minute of its own time."""

    name = "churning"

    def __init__(self, names: list[str], start: int, level: np.ndarray, pace: float, seconds: float) -> None:
        self._names, self._level, self._pace, self._seconds = names, level, pace, seconds
        self._random = np.random.default_rng(2)
        self._begin, self._time, self._rows, self._round = time.monotonic(), start, 0, 0

    def open(self, position: Any) -> list[str]:
        self._begin = time.monotonic()
        return []

    def poll(self, seconds: float) -> Chunk | None:
        """The next round of all sensors that are not silent, when it is due."""
        until = time.monotonic() + seconds
        while time.monotonic() < self._begin + self._rows / self._pace:
            if time.monotonic() >= until:
                return None
            time.sleep(0.01)
        spent = time.monotonic() - self._begin
        silent = int(spent / MINUTE * TENTHS / 10) % TENTHS
        on = np.flatnonzero(np.arange(len(self._names)) % TENTHS != silent)
        values = self._level[on] + self._random.normal(0, 0.5, len(on))
        first, self._time = self._time, self._time + 60
        text = "".join(f"{first},{self._names[i]},{v:.4f}\n" for i, v in zip(on.tolist(), values.tolist(), strict=True))
        head = "time,sensor,value\n" if self._rows == 0 else ""
        self._rows += len(on)
        return Chunk((head + text).encode(), self._rows, ended=spent >= self._seconds)


class Looks(threading.Thread):
    """Memory and descriptors of this process, looked at until it is stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True, name="soak")
        self.seen: list[tuple[float, float, int]] = []  # seconds, MB, descriptors
        self._ending = threading.Event()
        self._begin = time.monotonic()

    def run(self) -> None:
        while not self._ending.wait(LOOK):
            memory, files = look()
            self.seen.append((time.monotonic() - self._begin, memory, files))

    def stop(self) -> dict[str, float]:
        """What was seen after the first third."""
        self._ending.set()
        self.join()
        seen = np.array(self.seen)
        late = seen[seen[:, 0] >= seen[-1, 0] / 3]
        hours, memory, tenth = late[:, 0] / 3600, late[:, 1], max(len(late) // 10, 1)
        known = len(late) > 2
        return {
            "minutes": float(seen[-1, 0] / 60),
            "memory_mb": float(np.median(memory)),
            "memory_slope_mb_per_h": theil_sen(hours, memory) if known else float("nan"),
            "memory_least_squares_mb_per_h": float(np.polyfit(hours, memory, 1)[0]) if known else float("nan"),
            "memory_growth_mb": float(np.median(memory[-tenth:]) - np.median(memory[:tenth])),
            "descriptors_least": float(late[:, 2].min()),
            "descriptors_most": float(late[:, 2].max()),
        }


def theil_sen(x: np.ndarray, y: np.ndarray) -> float:
    """Median of the slopes between all pairs of points; x rises."""
    i, j = np.triu_indices(len(x), 1)
    return float(np.median((y[j] - y[i]) / (x[j] - x[i])))


def look() -> tuple[float, int]:
    """Resident memory of this process in MB and its open descriptors; of Linux."""
    status = Path("/proc/self/status").read_text().splitlines()
    memory = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return memory / 1024, len(os.listdir("/proc/self/fd"))
