"""Lessons 4 to 6: reductions, losses, batch norm."""

from functools import lru_cache

import numpy as np

from dcgan_cupy import ops
from dcgan_cupy.device import CpuDevice

from .. import watch
from ..marks import block, fenced, picture, table
from ..svg import Picture

F32 = np.float32
LEVEL = "        __syncthreads();                                     // this level is done before the next reads it\n"


@lru_cache(maxsize=None)
def _cpu() -> CpuDevice:
    return CpuDevice(threads=1)


@picture("04-tree")
def tree() -> str:
    values = np.random.default_rng(4).integers(1, 10, 8)
    p = Picture(288, "Eight numbers added as a tree in three levels")
    size, left, y = 34, 64, 24
    part, half = values.copy(), 4
    p.text(8, y + 14, "part[ ]", "m")
    for t, v in enumerate(part):
        p.text(left + t * 40 + size / 2, 14, f"thread {t}", "m", "middle", 8)
        p.cell(left + t * 40, y, size, 22, "a", v, 11)
    while half:
        below = y + 72
        p.line(8, y + 36, 392, y + 36, "lr", 0.8, "4 3")
        p.text(8, y + 50, f"half = {half}", "m", size=10)
        for t in range(half):
            x = left + t * 40 + size / 2
            p.arrow(x, y + 22, x, below - 1, "la")
            p.arrow(left + (t + half) * 40 + size / 2, y + 22, x + 3, below - 1, "lb")
            part[t] += part[t + half]
        y = below
        for t in range(8):
            p.cell(left + t * 40, y, size, 22, "c" if t < half else "g", part[t], 11, "" if t < half else "m")
        half //= 2
    assert part[0] == values.sum()
    p.text(8, 281, "red: a barrier. Green: what this level has added. The sum ends in part[0]", "m", size=9)
    return str(p)


def _bce(edit=None):
    return watch.own("bce_with_logits", edit=edit, n=1024)[0]


@block("04-workbench")
def race() -> str:
    report = _bce(watch.without((LEVEL, "")))
    return fenced("$ sum_over_block without the barrier behind each level\n" + watch.found(report, 1))


@block("04-answer")
def barriers() -> str:
    report = _bce()
    calls = 2  # the loss and the mean probability
    lines = {line: n for (file, line), n in report.barriers.items() if file.endswith("reduce.cuh")}
    each = sum(lines.values()) // calls
    return (
        "One so that nobody still reads an earlier sum, one when all values are written, and one behind each of"
        f" log2(256) = 8 levels: **{each}**. Measured on `bce_with_logits`, which adds two sums: {sum(lines.values())}"
        f" barriers in its one block, {each} a sum. The busiest thread makes 8 additions, where one thread alone would"
        " make 255."
    )


@block("04-rungs")
def statistics_rungs() -> str:
    rows = []
    names = {"textbook": "one thread a channel", "shared": "a tree", "registers": "shuffles"}
    for rung, idea in names.items():
        (report,) = watch.own("batchnorm_statistics", rung, rows=2048, c=64)
        sums = watch.total([report])
        threads = report.grid[0] * report.block[0] * report.block[1]
        rows.append(
            [
                f"`--rung {rung}`: {idea}",
                threads,
                sums["requests"],
                sums["sectors"],
                sums["shared_requests"],
                sums["bank_conflicts"],
                sum(report.barriers.values()) // report.grid[0],
            ]
        )
    return table(
        [
            "`batchnorm_statistics`",
            "threads",
            "requests",
            "sectors",
            "shared requests",
            "conflicts",
            "barriers a block",
        ],
        rows,
    )


X = tuple(float(v) for v in np.linspace(-40, 120, 161))


@lru_cache(maxsize=None)
def _losses(x: float):
    """Target 0. (loss, gradient of x) by way of the probability, and from the logit at once."""
    dev = _cpu()
    logit, target = dev.array(np.array([x], F32)), dev.array(np.zeros(1, F32))
    p, dp, dx, both, result = (dev.empty((n,)) for n in (1, 1, 1, 1, 2))
    ops.sigmoid_forward(dev, logit, p)
    ops.bce(dev, p, target, dp, result)
    by_way = float(dev.numpy(result)[0])
    ops.sigmoid_backward(dev, p, dp, dx)
    ops.bce_with_logits(dev, logit, target, both, result)
    return by_way, float(dev.numpy(dx)[0]), float(dev.numpy(result)[0]), float(dev.numpy(both)[0])


@picture("05-losses")
def losses() -> str:
    p = Picture(268, "The loss of a logit x with target 0, and its gradient, in two forms")
    rows = [_losses(x) for x in X]
    ticks = [(str(v), (v + 40) / 160) for v in (-40, 0, 40, 80, 120)]
    p.text(40, 14, "loss: -log(1 - sigmoid(x)), target 0")
    p.axes(40, 22, 350, 96, ticks, [(str(v), v / 120) for v in (0, 40, 80, 120)])
    p.text(40, 154, "its gradient")
    p.axes(40, 162, 350, 70, ticks, [(str(v), v / 1.2) for v in (0, 1)])
    for which, kind in ((2, "lc"), (0, "lb")):
        p.curve([(40 + 350 * (x + 40) / 160, 118 - 96 * r[which] / 120) for x, r in zip(X, rows)], kind, 2)
        p.curve([(40 + 350 * (x + 40) / 160, 232 - 70 * r[which + 1] / 1.2) for x, r in zip(X, rows)], kind, 2)
    p.line(44, 258, 64, 258, "lb", 2)
    p.text(68, 261, "through the probability (bce)", size=9)
    p.line(224, 258, 244, 258, "lc", 2)
    p.text(248, 261, "from x at once (bce_with_logits)", size=9)
    return str(p)


@block("05-table")
def loss_table() -> str:
    rows = []
    for x in (-5.0, 0.0, 5.0, 16.0, 17.0, 20.0, 90.0):
        a, da, b, db = _losses(x)
        rows.append([f"{x:g}", f"{a:.4g}", f"{da:.4g}", f"{b:.4g}", f"{db:.4g}"])
    return table(["x", "`bce`: loss", "gradient of x", "`bce_with_logits`: loss", "gradient of x"], rows)


@block("05-answer")
def loss_answer() -> str:
    by_way, gradient, right, right_gradient = _losses(20.0)
    p = float(1 / (1 + np.exp(F32(-20.0))))
    assert F32(p) == 1
    return (
        f"exp(-20) is 2e-9, and the next float32 above 1 is 1.2e-7 away: 1 + exp(-20) is rounded to 1, so sigmoid(20)"
        f" is exactly 1, 1 - p is 0 and its logarithm minus infinity, which `bce` holds at -100. Measured: loss"
        f" **{by_way:g}**, gradient **{gradient:g}**; from the logit at once {right:.4g} and {right_gradient:.4g}. The"
        " network is as wrong as it can be, and is told that nothing need change."
    )


@block("05-workbench")
def loss_output() -> str:
    return fenced(watch.printed([_bce()], r"expf|log1pf|gradient\[i\]"))


ROWS = 8


@lru_cache(maxsize=None)
def _column():
    """A channel of 8 values: x, dy, the two shares that are subtracted, dx (all by the kernels)."""
    dev, rng = _cpu(), np.random.default_rng(6)
    x, dy = (rng.standard_normal((ROWS, 1)).astype(F32) for _ in range(2))
    dy = (F32(0.7) * dy + F32(0.8) * x + F32(0.6)).astype(F32)
    mean, var, run_mean, run_var = (dev.zeros((1,)) for _ in range(4))
    count, gamma = dev.array(np.zeros(1, np.int64)), dev.array(np.ones(1, F32))
    ops.batchnorm_statistics(dev, dev.array(x), mean, var, run_mean, run_var, count, 0.1, "textbook")
    s0, s1, dx = dev.empty((1,)), dev.empty((1,)), dev.empty((ROWS, 1))
    ops.batchnorm_backward_sums(dev, dev.array(x), dev.array(dy), mean, var, s0, s1, 1e-5, "textbook")
    ops.batchnorm_backward_input(dev, dev.array(x), dev.array(dy), mean, var, gamma, s0, s1, dx, 1e-5)
    m, v, a, b = (float(dev.numpy(k)[0]) for k in (mean, var, s0, s1))
    xhat = (x[:, 0] - m) / np.sqrt(v + 1e-5)
    return xhat, dy[:, 0], a / ROWS, xhat * b / ROWS, dev.numpy(dx)[:, 0], np.sqrt(v + 1e-5)


@picture("06-batchnorm")
def batchnorm() -> str:
    _, dy, through_mean, through_var, dx, std = _column()
    p = Picture(272, "The gradient of eight values of a channel, and the three ways it takes")
    bars = [
        ("dy", dy, "a"),
        ("- mean of dy", np.full(ROWS, -through_mean), "b"),
        ("- xhat · mean of dy · xhat", -through_var, "d"),
        ("= dx · std / gamma", dx * std, "c"),
    ]
    top = max(float(np.abs(v).max()) for _, v, _ in bars)
    for row, (name, values, kind) in enumerate(bars):
        middle = 34 + row * 66
        p.text(4, middle - 4, name, size=9.5)
        p.line(140, middle, 392, middle, "l", 0.6)
        for i, v in enumerate(values):
            h = 29 * abs(float(v)) / top
            p.rect(144 + i * 31, middle - h if v > 0 else middle, 24, max(h, 0.5), kind, 0.7)
        p.text(4, middle + 10, f"sum {0.0 + round(float(np.sum(values)), 2):.2f}", "m", size=9)
    p.text(268, 268, "eight rows of one channel", "m", "middle", 9)
    return str(p)


@block("06-answer")
def batchnorm_answer() -> str:
    xhat, dy, _, _, dx, _ = _column()
    return (
        f"**0**, and also **0** when each is multiplied by its xhat first. Measured on the picture's eight values:"
        f" |sum of dx| is {_magnitude(dx.sum())}, |sum of dx · xhat| is {_magnitude((dx * xhat).sum())}, while"
        f" the sum of"
        f" dy is {dy.sum():.2f}; what is left is rounding and the share of eps. Adding one number to a whole"
        f" channel, or doubling it, changes no output of a"
        " batch norm; so the gradient has no share in either direction."
    )


def _magnitude(v) -> str:
    """How small: the last digits of what rounding leaves are a machine's own."""
    return "less than 0.0001" if abs(float(v)) < 1e-4 else f"{abs(float(v)):.4f}"


@block("06-variance")
def variance() -> str:
    rows, dev = [], _cpu()
    unit = np.random.default_rng(16).standard_normal((4096, 1))
    for mean in (0, 100, 1000, 10000):
        x = (unit + mean).astype(F32)
        true = x.astype(np.float64).var()
        short = np.add.accumulate(x[:, 0] ** 2)[-1] / F32(4096) - (np.add.accumulate(x[:, 0])[-1] / F32(4096)) ** 2
        m, v, a, b = (dev.zeros((1,)) for _ in range(4))
        ops.batchnorm_statistics(dev, dev.array(x), m, v, a, b, dev.array(np.zeros(1, np.int64)), 0.1, "textbook")
        rows.append([mean, f"{true:.4f}", f"{float(short):.4g}", f"{float(dev.numpy(v)[0]):.4f}"])
    return table(["mean of x", "variance in float64", "sum of squares, float32", "`batchnorm_statistics`"], rows)


@block("06-workbench")
def batchnorm_output() -> str:
    reports = watch.own("batchnorm_backward_input", rows=256, c=64)
    return fenced(watch.printed(reports, r"rstd|centred"))
