"""The replication of Chinchilla in scipy: a grid of starts, then resamples of the rows from the optimum, with exact
gradients. Prints the objective and the seconds for 4,000 resamples, of which it times two hundred.
Usage: chinchilla.py FILE.csv"""

import csv
import sys
import time

import numpy as np
from scipy.optimize import minimize

RESAMPLES, TIMED, DELTA = 4000, 200, 1e-3


def objective(theta, ln_n, ln_d, ln_y):
    a, b, e, alpha, beta = theta
    terms = np.stack([a - alpha * ln_n, b - beta * ln_d, np.full_like(ln_n, e)])
    top = terms.max(axis=0)
    shares = np.exp(terms - top)
    total = shares.sum(axis=0)
    shares /= total
    r = top + np.log(total) - ln_y
    loss = np.where(np.abs(r) <= DELTA, 0.5 * r * r, DELTA * (np.abs(r) - 0.5 * DELTA)).sum()
    slope = np.clip(r, -DELTA, DELTA) * shares
    gradient = [slope[0].sum(), slope[1].sum(), slope[2].sum(), -(slope[0] * ln_n).sum(), -(slope[1] * ln_d).sum()]
    return loss, np.array(gradient)


def fit(start, rows):
    # Scaled, since the objective is so small that the default tolerance would stop at the start.
    scaled = lambda theta: tuple(1e3 * part for part in objective(theta, *rows))
    return minimize(scaled, start, jac=True, method="BFGS", options={"maxiter": 2000, "gtol": 1e-7})


rows = [row for row in csv.DictReader(open(sys.argv[1]))]
rows = sorted(rows, key=lambda row: -float(row["loss"]))[5:]
data = [np.log([float(row[name]) for row in rows]) for name in ("params", "examples", "loss")]
started = time.perf_counter()
starts = [(a, b, e, alpha, beta) for a in (0, 10, 20) for b in (0, 10, 20) for e in (0, 1)
          for alpha in (0.2, 0.6, 1.0) for beta in (0.2, 0.6, 1.0)]
best = min((fit(start, data) for start in starts), key=lambda result: result.fun)
searched = time.perf_counter() - started
rng = np.random.default_rng(0)
started = time.perf_counter()
for _ in range(TIMED):
    drawn = rng.integers(len(rows), size=len(rows))
    fit(best.x, [column[drawn] for column in data])
resampled = (time.perf_counter() - started) * RESAMPLES / TIMED
print(best.fun / 1e3, searched + resampled)
