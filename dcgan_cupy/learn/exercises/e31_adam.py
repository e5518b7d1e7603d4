"""31: Adam's update."""

import numpy as np

from ..exercise import Case, Mistake, Updated, exercise
from ..goals import requests, sectors


def reference(p, g, m, v, factors, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    return {"m": m, "v": v, "p": p - factors[0] * m / (np.sqrt(v) * factors[1] + eps)}


def cases(rng):
    def case(n, t):
        p, g, m = rng.normal(0, 1, (3, n)).astype(np.float32)
        v = rng.uniform(0, 1, n).astype(np.float32)
        if t == 1:
            m, v = 0 * m, 0 * v
        factors = np.array([0.25 / (1 - 0.5**t), 1 / np.sqrt(1 - 0.99**t)], np.float32)
        arguments = {"p": Updated(p), "g": g, "m": Updated(m), "v": Updated(v), "factors": factors}
        scalars = {"beta1": 0.5, "beta2": 0.99, "eps": 0.01}
        arguments |= {name: np.float32(value) for name, value in scalars.items()} | {"n": np.int32(n)}
        return Case(arguments, -(-n // 64), 64, 1e-5, about=f"step {t}")

    return [case(5, 1), case(100, 3), case(640, 4)]


def nothing_yet(p, m, v):
    return {"p": p, "m": m, "v": v}


def old_averages(p, g, m, v, factors, eps):
    return {"p": p - factors[0] * m / (np.sqrt(v) * factors[1] + eps)}


def eps_inside(p, g, m, v, factors, beta1, beta2, eps):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return {"p": p - factors[0] * m / np.sqrt(v * factors[1] ** 2 + eps)}


def no_correction(p, g, m, v, factors, beta1, beta2, eps):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    return {"p": p - factors[0] * m / (np.sqrt(v) + eps)}


def not_squared(g, v, beta2):
    return {"v": beta2 * v + (1 - beta2) * g}


def uphill(p, g, m, v, factors, beta1, beta2, eps):
    return {"p": 2 * p - reference(p, g, m, v, factors, beta1, beta2, eps)["p"]}


EXERCISE = exercise(
    __file__,
    "a step of Adam",
    "15-whole-step",
    "adam_step",
    reference,
    cases,
    goals=(requests(9 * 20), sectors(1.1)),
    mistakes=(
        Mistake("nothing is changed yet", nothing_yet),
        Mistake("the step is taken with the old m and v, not with the new ones", old_averages),
        Mistake("eps is added to the root, not under it", eps_inside),
        Mistake("factors[1] is missing: sqrt(v) is still too small in the first steps", no_correction),
        Mistake("v is the average of the gradient's square", not_squared),
        Mistake("the step goes uphill: it is taken away from p", uphill),
    ),
    hints=(
        "Three averages and roots, all of this thread's own element: no thread needs another's.",
        "Compute m_new and v_new in registers, store them, and use them, not m[i] and v[i], in the step of p.",
        "p[i] -= factors[0] * m_new / (sqrtf(v_new) * factors[1] + eps);",
    ),
)
