"""statsforecast: one automatic model, one series after the other. Called with a model, a file of series, a file to write.

The file holds values end to end, `first` (S+1), season and horizon; written are median, low and high (S H) of 90 and 95 %
intervals. What the compiled code costs to load or compile is spent on the first series before the clock is started.
"""

import json
import sys
import time
from itertools import pairwise

import numpy as np
import statsforecast.models as models

word, file, out = sys.argv[1], np.load(sys.argv[2]), sys.argv[3]
first, season, horizon = file["first"], int(file["season"]), int(file["horizon"])
series = [file["values"][start:stop].astype(np.float64) for start, stop in pairwise(first)]


def forecast(y: np.ndarray) -> list[np.ndarray] | None:
    try:
        made = getattr(models, word)(season_length=season).forecast(y=y, h=horizon, level=[90, 95])
        return [made[name] for name in ("mean", "lo-90", "hi-90", "lo-95", "hi-95")]
    except Exception as error:  # a peer's own failure is counted, not ours to handle
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return None


forecast(series[0])
begin, made, failed = time.process_time(), np.full((len(series), 5, horizon), np.nan), 0
for s, y in enumerate(series):
    found = forecast(y)
    failed += found is None
    if found is not None:
        made[s] = found
np.save(out, made)
print(json.dumps({"cpu_s": time.process_time() - begin, "failed": failed}))
