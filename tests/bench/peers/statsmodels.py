"""statsmodels: UnobservedComponents, one series after the other, the model built beforehand. See speed_kalman."""

import json
import sys
import time

import numpy as np
from statsmodels.tsa.statespace.structural import UnobservedComponents

case, file, rounds = sys.argv[1], np.load(sys.argv[2]), int(sys.argv[3])
y, variances, season = file["y"], file["variances"], int(file["season"]) or None
few = 4 if y.shape[1] < 50_000 else 1
models = [UnobservedComponents(row, "lltrend", seasonal=season, use_exact_diffuse=True) for row in y[:few]]
if case == "fit":
    begin, loglik = time.process_time(), []
    for model in models:
        model.ssm.loglikelihood_burn = 0
        loglik.append(float(model.fit(disp=False, maxiter=200).llf))
    print(json.dumps({"cpu_s": time.process_time() - begin, "fits": len(models), "loglik": loglik}))
    sys.exit()
spent = []
for _ in range(rounds + 1):
    begin = time.process_time()
    for model, variance in zip(models, variances, strict=False):
        model.loglike(variance)
    spent.append(time.process_time() - begin)
print(json.dumps({"cpu_s": min(spent), "updates": len(models) * y.shape[1]}))
