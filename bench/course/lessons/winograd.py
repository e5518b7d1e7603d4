"""Lesson 12: Winograd's transforms."""

import numpy as np

from .. import watch
from ..marks import block, fenced, picture, table
from ..svg import Picture

BACK = np.array([[1, 1, 0], [0, 1, -1]])
TAPS = np.array([[1, 0], [1, 1], [0, 1]])
INPUT = np.array([[1, -1, 0], [0, 1, 0], [0, 1, -1]])


@picture("12-winograd")
def transforms() -> str:
    rng = np.random.default_rng(12)
    d, g = rng.integers(-3, 6, (3, 3)), rng.integers(-3, 4, (2, 2))
    v, u = INPUT @ d @ INPUT.T, TAPS @ g @ TAPS.T
    m = v * u
    y = BACK @ m @ BACK.T
    direct = np.array([[(d[r : r + 2, c : c + 2] * g).sum() for c in range(2)] for r in range(2)])
    assert (y == direct).all()
    p = Picture(268, "Winograd's F(2 x 2, 2 x 2) in whole numbers: nine products for four outputs")
    s = 26
    p.text(8, 14, "d: 3 x 3 inputs")
    p.grid(8, 22, d.tolist(), s, "a", 10)
    p.arrow(92, 60, 132, 60)
    p.text(112, 52, "± rows,", "m", "middle", 8)
    p.text(112, 74, "± columns", "m", "middle", 8)
    p.text(138, 14, "v")
    p.grid(138, 22, v.tolist(), s, "a", 10)
    p.text(8, 126, "g: 2 x 2 taps")
    p.grid(8, 134, g.tolist(), s, "b", 10)
    p.arrow(66, 160, 132, 160)
    p.text(98, 152, "+ rows,", "m", "middle", 8)
    p.text(98, 174, "+ columns", "m", "middle", 8)
    p.text(138, 126, "u")
    p.grid(138, 134, u.tolist(), s, "b", 10)
    p.text(226, 112, "v · u, element", size=10)
    p.text(226, 125, "by element:", size=10)
    p.text(226, 138, "9 products", size=10)
    p.text(300, 52, "m")
    p.grid(300, 60, m.tolist(), s + 4, "d", 10)
    p.arrow(345, 154, 345, 184)
    p.text(352, 172, "±", "m", size=9)
    p.text(300, 182, "y")
    p.grid(316, 190, y.tolist(), s + 4, "c", 10)
    terms = " + ".join(f"({a})({b})" for a, b in zip(d[:2, :2].ravel(), g.ravel()))
    p.text(8, 240, f"directly: y[0, 0] = {terms} = {direct[0, 0]}", size=9)
    p.text(8, 254, "four such sums: 16 products", "m", size=9)
    return str(p)


def _flops(direction, rung, **shape):
    reports = watch.own(f"conv2d_{direction}", rung, **shape)
    return watch.total(reports)


SHAPE = {"n": 4, "h": 16, "w": 16, "ic": 64, "oc": 128}


@block("12-table", slow=True)
def table_of_flops() -> str:
    rows = []
    for direction in ("forward", "backward_input", "backward_weight"):
        a, b = (_flops(direction, rung, **SHAPE) for rung in ("tiled", "winograd"))
        rows.append([f"`{direction}`", a["flops"], b["flops"], f"{a['flops'] / b['flops']:.2f}"])
    return table(["64 to 128 channels, 16 x 16, four images", "tiled, FLOP", "winograd, FLOP", "times fewer"], rows)


@block("12-answer", slow=True)
def answer() -> str:
    a, b = (_flops("forward", rung, **SHAPE)["flops"] for rung in ("tiled", "winograd"))
    return (
        f"16 taps for each of 2 x 2 outputs are 64 products; four phases of 9 are 36: 64 / 36 = 1.78. Measured, all"
        f" additions of the transforms counted: {a / 1e6:.1f} MFLOP and {b / 1e6:.1f} MFLOP, **{a / b:.2f}**"
        f" times fewer."
    )


@block("12-workbench", slow=True)
def output() -> str:
    return fenced(
        watch.printed(watch.own("conv2d_forward", "winograd", **SHAPE), r"acc\[i\]\[j\] \+=|d\[\w\]\[|m\[\w\]\[")
    )
