"""13: binary cross-entropy from logits."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise


def reference(logits, target):
    x = logits.astype(np.float64)
    return {
        "loss": np.maximum(x, 0) - x * target + np.log1p(np.exp(-np.abs(x))),
        "dx": np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))) - target,
    }


def cases(rng):
    def case(logits, target, about=""):
        logits, n = np.asarray(logits, np.float32), len(logits)
        target = np.resize(np.asarray(target, np.float32), n)
        arguments = {"logits": logits, "target": target, "loss": Out((n,)), "dx": Out((n,)), "n": np.int32(n)}
        return Case(arguments, -(-n // 64), 64, 1e-5, about=about)

    return [
        case([0.5], [1]),
        case(rng.normal(0, 2, 37), [0, 1]),
        case(rng.normal(0, 2, 9), [0.9, 0.1], "soft targets, 0.9 and 0.1"),
        case([-1000, 1000, -200, 200, -90, 90, -30, 30, 0], [0, 1, 1, 0], "logits up to 1000"),
        case(rng.uniform(-20, -16, 70), [0], "logits near -18 and targets 0, so losses near 1e-8"),
    ]


def literally(logits, target):
    with np.errstate(all="ignore"):
        p = 1 / (1 + np.exp(-logits))
        return {"loss": -(target * np.log(p) + (1 - target) * np.log(1 - p))}


def exponent_may_grow(logits, target):
    with np.errstate(all="ignore"):
        return {"loss": np.log(1 + np.exp(logits)) - logits * target}


def lost_in_the_sum(logits, target):
    return {"loss": np.maximum(logits, 0) - logits * target + np.log(1 + np.exp(-np.abs(logits)))}


def by_p(logits, target):
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return {"dx": (p - target) / (p * (1 - p))}


EXERCISE = exercise(
    __file__,
    "a loss that survives large logits",
    "05-losses",
    "bce_with_logits",
    reference,
    cases,
    mistakes=(
        Mistake("1 + e rounds a small e away before the logarithm sees it: log1pf(e)", lost_in_the_sum),
        Mistake("that is the loss by way of p, which is 0 or 1 in float32 for a large logit", literally),
        Mistake("exp(x) overflows above 88: take max(x, 0) out of the logarithm first", exponent_may_grow),
        Mistake("this is the gradient by p; the gradient by the logit is simpler", by_p),
    ),
    hints=(
        "-log(p) = log(1 + exp(-x)) and -log(1 - p) = x + log(1 + exp(-x)). So what is the loss without p?",
        "It is (1 - t) x + log(1 + exp(-x)); the identity with z = -x makes it max(x, 0) - x t + log(1 + e).",
        "With e = exp(-|x|), p is 1 / (1 + e) for x >= 0, and e / (1 + e) for the others.",
    ),
)
