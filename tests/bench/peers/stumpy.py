"""stumpy: the matrix profile of one series after the other. Called with a file of series and a file to write.

The file holds values end to end, `first` (S+1) and the length of a pattern of each (S); written is, for every row, the distance of the
pattern that begins there to its nearest like anywhere in the series, NaN in the last rows.
"""

import json
import sys
import time
from itertools import pairwise

import numpy as np
import stumpy

file, out = np.load(sys.argv[1]), sys.argv[2]
values, first, sizes = file["values"].astype(np.float64), file["first"], file["sizes"]
stumpy.stump(values[:200], 20)  # compiled before the clock is started
begin, made = time.process_time(), np.full(len(values), np.nan)
for (start, stop), size in zip(pairwise(first), sizes, strict=True):
    found = stumpy.stump(values[start:stop], int(size))[:, 0].astype(np.float64)
    made[start : start + len(found)] = found
np.save(out, made)
print(json.dumps({"cpu_s": time.process_time() - begin}))
