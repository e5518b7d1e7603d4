"""16: batch norm's gradient."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import sectors


def reference(x, dy, mean, var, gamma, eps):
    rows, rstd = len(x), 1 / np.sqrt(var.astype(np.float64) + eps)
    xhat = (x - mean) * rstd
    dbeta, dgamma = dy.sum(axis=0), (dy * xhat).sum(axis=0)
    return {"dbeta": dbeta, "dgamma": dgamma, "dx": gamma * rstd * (dy - dbeta / rows - xhat * dgamma / rows)}


def cases(rng):
    def case(rows, C):
        x, dy = rng.normal(1, 2, (2, rows, C)).astype(np.float32)
        arguments = {
            "x": x,
            "dy": dy,
            "mean": x.mean(axis=0),
            "var": x.var(axis=0),
            "gamma": rng.uniform(1.5, 2, C).astype(np.float32),
            "dx": Out(x.shape),
            "dgamma": Out((C,)),
            "dbeta": Out((C,)),
            "rows": np.int32(rows),
            "C": np.int32(C),
            "eps": np.float32(1e-5),
        }
        return Case(arguments, -(-C // 32), 32, 2e-5)

    return [case(5, 2), case(37, 33), case(40, 64)]


def wrong_dx(gamma_too=True, by_mean=True, by_var=True, averages=True):
    def wrong(x, dy, mean, var, gamma, eps):
        right = reference(x, dy, mean, var, gamma, eps)
        rstd, rows = 1 / np.sqrt(var.astype(np.float64) + eps), len(x) if averages else 1
        inner = dy - by_mean * right["dbeta"] / rows - by_var * (x - mean) * rstd * right["dgamma"] / rows
        return {"dx": (gamma if gamma_too else 1) * rstd * inner}

    return wrong


def sums_without_rstd(x, dy, mean, var, gamma, eps):
    return {"dgamma": (dy * (x - mean)).sum(axis=0)}


EXERCISE = exercise(
    __file__,
    "batch norm's backward pass",
    "06-batchnorm",
    "batchnorm_backward",
    reference,
    cases,
    goals=(sectors(1.1),),
    mistakes=(
        Mistake("gamma is missing", wrong_dx(gamma_too=False)),
        Mistake("mean and var depend on x too: two terms are missing", wrong_dx(by_mean=False, by_var=False)),
        Mistake("the term of the mean, dbeta / rows, is missing", wrong_dx(by_mean=False)),
        Mistake("the term of the variance, xhat * dgamma / rows, is missing", wrong_dx(by_var=False)),
        Mistake("the sums are to be averages: divide by rows", wrong_dx(averages=False)),
        Mistake("dgamma is a sum of dy * xhat, and xhat = (x - mean) * rstd: its rstd is missing", sums_without_rstd),
    ),
    hints=(
        "dx of any row needs both sums over all rows. So a first loop adds, and a second one writes dx.",
        "xhat = (x[r * C + c] - m) * rstd is cheap: compute it in both loops.",
        "dx[r * C + c] = gamma[c] * rstd * (dy[r * C + c] - sum_dy / rows - xhat * (sum_dy_xhat / rows));",
    ),
)
