"""simdkalman: one set of parameters for all series. See speed_kalman."""

import json
import sys
import time

import numpy as np
import simdkalman

case, file, rounds = sys.argv[1], np.load(sys.argv[2]), int(sys.argv[3])
y, variance, season = file["y"], file["variances"][0], int(file["season"])
if y.shape[1] > 50_000:
    y = y[:, :5_000]
m = 2 + max(season - 1, 0)
F, H, Q = np.zeros((m, m)), np.zeros((1, m)), np.zeros((m, m))
F[:2, :2], H[0, 0] = [[1, 1], [0, 1]], 1
Q[0, 0], Q[1, 1] = variance[1:3]
if season:
    F[2, 2:], H[0, 2], Q[2, 2] = -1, 1, variance[3]
    F[range(3, m), range(2, m - 1)] = 1
filters = simdkalman.KalmanFilter(F, Q, H, variance[:1, None])
spent = []
for _ in range(rounds):
    begin = time.process_time()
    filters.compute(
        y, 0, initial_value=np.zeros(m), initial_covariance=1e6 * np.eye(m), smoothed=False, log_likelihood=True
    )
    spent.append(time.process_time() - begin)
print(json.dumps({"cpu_s": min(spent), "updates": y.shape[0] * y.shape[1]}))
