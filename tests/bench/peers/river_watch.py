"""river: a scorer a sensor over a long CSV, score then learn, scores written to a file; nothing is durable. See speed_watch."""

import csv
import json
import sys
import time
from typing import Any

from river import anomaly, compose, preprocessing

case, file, sensors = sys.argv[1], sys.argv[2], int(sys.argv[3])
if case not in ("gaussian", "half_space_trees"):
    sys.exit(f"no case {case}")


def scorer() -> Any:
    if case == "gaussian":
        return anomaly.GaussianScorer(grace_period=20)
    return compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(n_trees=10, height=8, window_size=250))


def both(machine: Any, value: float) -> float:
    if case == "gaussian":
        score = machine.score_one(None, value)
        machine.learn_one(None, value)
    else:
        score = machine.score_one({"value": value})
        machine.learn_one({"value": value})
    return float(score)


def memory_mb() -> float:
    with open("/proc/self/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


with open(file, newline="", encoding="utf-8") as rows:
    machines: dict[str, Any] = {}
    for row in csv.DictReader(rows):
        if len(machines) == sensors:
            break
        if row["sensor"] not in machines:
            machines[row["sensor"]] = scorer()
wall, cpu, readings = time.perf_counter(), time.process_time(), 0
with open(file, newline="", encoding="utf-8") as rows, open(f"{file}.scores", "w", encoding="utf-8") as out:
    for row in csv.DictReader(rows):
        name = row["sensor"]
        if name not in machines:
            continue
        out.write(f"{row['time']},{name},{row['value']},{both(machines[name], float(row['value'])):.6f}\n")
        readings += 1
spent = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
print(json.dumps({"readings": readings, "peak_memory_mb": memory_mb(), **spent}))
