"""dynamax: lgssm_filter under jit and vmap, float64; it knows no missing values, so it gets zeros there. See speed_kalman."""

import json
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from dynamax.linear_gaussian_ssm import lgssm_filter
from dynamax.linear_gaussian_ssm.inference import make_lgssm_params

jax.config.update("jax_enable_x64", True)

case, file, rounds = sys.argv[1], np.load(sys.argv[2]), int(sys.argv[3])
y, variances, season = np.nan_to_num(file["y"])[..., None], file["variances"], int(file["season"])
if y.shape[1] > 50_000 and season:
    y = y[:, :20_000]
m = 2 + max(season - 1, 0)
F, H = np.zeros((m, m)), np.zeros((1, m))
F[:2, :2], H[0, 0] = [[1, 1], [0, 1]], 1
if season:
    F[2, 2:], H[0, 2] = -1, 1
    F[range(3, m), range(2, m - 1)] = 1
where = jnp.array([0, 1] + [2] * (season > 0))


def loglik(values, v):
    Q = jnp.zeros((m, m)).at[where, where].set(v[1:])
    return lgssm_filter(make_lgssm_params(jnp.zeros(m), 1e6 * jnp.eye(m), F, Q, H, v[:1, None]), values).marginal_loglik


y, variances = (y, variances) if case == "shared" else (y[:200], variances[:200])
work = jax.jit(jax.vmap(loglik, (0, None) if case == "shared" else (0, 0)))
at = variances[0] if case == "shared" else variances
work(y, at).block_until_ready()
spent = []
for _ in range(rounds):
    begin = time.process_time()
    work(y, at).block_until_ready()
    spent.append(time.process_time() - begin)
print(json.dumps({"cpu_s": min(spent), "updates": y.shape[0] * y.shape[1]}))
