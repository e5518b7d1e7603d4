"""Lessons 13 to 15: split sums, tensor cores, the whole step."""

from collections import Counter
from functools import lru_cache

import numpy as np

from dcgan_cupy.config import Config
from dcgan_cupy.device import RecorderDevice
from dcgan_cupy.trainer import Trainer

from .. import watch
from ..marks import block, fenced, picture, table
from ..svg import Picture

F32, I32 = np.float32, np.int32
ORDERS = 200


@lru_cache(maxsize=None)
def _orders():
    """Sums of the same 4096 float32 numbers in 200 orders; and their exact sum."""
    rng = np.random.default_rng(13)
    values = rng.standard_normal(4096).astype(F32)
    sums = [np.add.accumulate(values[rng.permutation(4096)])[-1] for _ in range(ORDERS)]
    return [float(s) for s in sums], float(values.astype(np.float64).sum())


@picture("13-split-sums")
def orders() -> str:
    sums, exact = _orders()
    count = Counter(sums)
    p = Picture(250, "The same 4096 numbers added in 200 orders: how often each result came")
    low, high = min(sums), max(sums)
    p.text(8, 14, f"the same 4096 float32 numbers in {ORDERS} orders: {len(count)} results", size=11)
    tallest = max(count.values())
    for value, n in count.items():
        x = 16 + 368 * (value - low) / (high - low)
        p.line(x, 108, x, 108 - 80 * n / tallest, "la", 1.4)
    p.line(8, 108, 392, 108)
    x = 16 + 368 * (exact - low) / (high - low)
    p.line(x, 24, x, 112, "lr", 1, "3 2")
    p.text(16, 122, f"{low:.5f}", "m", size=9)
    p.text(384, 122, f"{high:.5f}", "m", "end", 9)
    p.text(x, 122, "exact", "m", "middle", 9)
    p.text(8, 150, "split over blocks, and added in a fixed order")
    for s in range(4):
        p.cell(8 + s * 70, 158, 64, 18, "b", f"block {s}", 9)
        p.arrow(40 + s * 70, 176, 40 + s * 70, 194, "lb")
        p.cell(8 + s * 70, 196, 64, 18, "a", f"parts[{s}]", 9)
    p.arrow(290, 205, 312, 205)
    p.cell(314, 196, 78, 18, "c", "dw += in order", 9)
    p.text(8, 232, "each block sums its own pixels, whenever it runs; one thread adds the parts in order", "m", size=9)
    return str(p)


@block("13-answer")
def order_answer() -> str:
    sums, exact = _orders()
    worst = max(abs(s - exact) for s in sums)
    step = float(np.spacing(F32(exact)))
    return (
        f"**{len(set(sums))}** different results in {ORDERS} orders. The exact sum is {exact:.6f}; the farthest"
        f" result is"
        f" {worst:.1e} off, {worst / step:.0f} of the steps that a float32 has there. Nobody's arithmetic is"
        f" wrong; each"
        " order rounds in other places."
    )


THIN = {"n": 16, "h": 32, "w": 32, "ic": 3, "oc": 64}


@block("13-blocks", slow=True)
def split_blocks() -> str:
    rows = []
    for rung in ("shared", "registers", "tiled"):
        reports = watch.own("conv2d_backward_weight", rung, **THIN)
        main = reports[0]
        sums = watch.total(reports)
        grid = " x ".join(str(v) for v in main.grid)
        rows.append([f"`{rung}`", grid, int(np.prod(main.grid)), len(reports), sums["sectors"]])
    head = ["`conv2d_backward_weight`, 3 to 64 channels, 32 x 32, 16 images", "grid", "blocks", "launches", "sectors"]
    return table(head, rows)


@block("13-workbench", slow=True)
def parts_output() -> str:
    reports = watch.own("conv2d_backward_weight", "tiled", **THIN)
    return fenced(watch.printed(reports[-1:]))


@lru_cache(maxsize=None)
def _fragment():
    rng = np.random.default_rng(14)
    a, b = rng.integers(-4, 5, (16, 8)).astype(F32), rng.integers(-4, 5, (8, 8)).astype(F32)
    outputs = [((16, 8), F32), ((16, 8), I32), ((8, 8), I32), ((16, 8), I32)]
    report, (_, _, d, la, lb, ld) = watch.lesson_kernel("fragment.cu", "mma", 1, 32, a, b, *outputs)
    assert (d == a @ b).all()
    return report, la, lb, ld


@picture("14-tensor-cores")
def fragments() -> str:
    _, la, lb, ld = _fragment()
    p = Picture(398, "Which lane of the warp holds which element of A, B and D for mma m16n8k8")
    lane, s = 13, 19

    def kind(lanes, base):
        return lambda r, c: "d" if lanes[r, c] == lane else base if lanes[r, c] // 4 % 2 else "g"

    p.text(8, 14, "A, 16 x 8")
    p.grid(8, 22, la.tolist(), s, kind(la, "a"), 8)
    p.text(220, 14, "B, 8 x 8")
    p.grid(220, 22, lb.tolist(), s, kind(lb, "b"), 8)
    p.text(220, 196, "D = A · B, 16 x 8 (upper half)")
    p.grid(220, 204, ld[:8].tolist(), s, kind(ld, "c"), 8)
    counts = [int((v == lane).sum()) for v in (la, lb, ld)]
    p.text(8, 376, f"each box: the lane that holds it. Violet: lane {lane}, with", size=10)
    p.text(8, 391, f"{counts[0]} of A, {counts[1]} of B, {counts[2]} of D", size=10)
    return str(p)


@block("14-answer")
def fragment_answer() -> str:
    _, la, lb, ld = _fragment()
    lane = int(la[3, 5])
    return (
        f"Row 3 is group 3; column 5 is 4 + 1, so t = 1 and the third of the lane's four numbers, `a[2]`. Lane"
        f" 4 * 3 + 1"
        f" = **{lane}**. Measured: the kernel wrote `lane_of_a[3, 5] = {lane}`. B[5, 3] is in lane {lb[5, 3]} as well,"
        f" and D[3, 5] in lane {ld[3, 5]}."
    )


@block("14-workbench")
def fragment_output() -> str:
    return fenced(watch.printed([_fragment()[0]]))


def _rounded(x, bits):
    """float32 with so many bits of mantissa, to nearest, ties to even."""
    drop = 23 - bits
    raw = x.view(np.uint32).astype(np.uint64)
    raw += (1 << (drop - 1)) - 1 + ((raw >> drop) & 1)
    return ((raw >> drop) << drop).astype(np.uint32).view(F32)


@block("14-precision")
def precision() -> str:
    rows = []
    rng = np.random.default_rng(140)
    for k in (128, 2048):
        a, b = rng.standard_normal((64, k)).astype(F32), rng.standard_normal((k, 64)).astype(F32)
        want = a.astype(np.float64) @ b.astype(np.float64)
        row = [f"{k}"]
        for bits in (23, 10, 7):
            ra, rb = (a, b) if bits == 23 else (_rounded(a, bits), _rounded(b, bits))
            got = np.zeros((64, 64), F32)
            for i in range(k):
                got += ra[:, i : i + 1] * rb[i : i + 1]
            row.append(f"{np.linalg.norm(got - want) / np.linalg.norm(want):.1e}")
        rows.append(row)
    return table(["terms of the sum", "float32", "TF32 inputs", "bf16 inputs"], rows)


class _Bytes:
    """Notes what lies in arrays at each launch."""

    def __init__(self, dev):
        self.dev, self.launches = dev, []

    def __call__(self, kernel, grid, block, arguments, run):
        self.launches.append((kernel.symbol, self.dev.bytes))
        run()


SEEDS = {"features_g": 64, "features_d": 64, "batch_size": 128, "image_size": 64}


@lru_cache(maxsize=None)
def _step():
    """(symbol, bytes) of each launch of the first step of the seeds' network, planned for a GPU; and of the second."""
    dev = RecorderDevice("gpu")
    trainer = Trainer(Config(steps=1, **SEEDS).resolved("gpu"), dev)
    real, steps = dev.empty((128, 64, 64, 3)), []
    other, before = dev.empty((128, 64, 64, 3)), dev.bytes
    for images in (real, other):
        noted = _Bytes(dev)
        with dev.watched(noted):
            trainer.step(images, read=False)
        steps.append(noted.launches)
    return steps, before


PARTS = ("D on real images", "D on fakes", "D's update", "G through D", "G's update")


def _parts(launches):
    """The launch at which each part of a step ends."""
    losses = [i for i, (symbol, _) in enumerate(launches) if symbol == "bce_with_logits"]
    adams = [i for i, (symbol, _) in enumerate(launches) if symbol == "adam_step"]
    return losses, adams


@picture("15-whole-step")
def memory() -> str:
    (first, second), before = _step()
    p = Picture(262, "Bytes in arrays over the launches of the first step, and of the second")
    n = len(first)
    top = max(b for _, b in first) / 2**20
    most = 200 * int(top // 200 + 1)
    p.text(36, 14, "MiB in arrays, launch by launch")
    across = [(str(v), v / n) for v in range(0, n, 25)]
    p.axes(36, 24, 354, 150, across, [(str(v), v / most) for v in range(0, most + 1, most // 4)])

    def at(i, b):
        return 36 + 354 * (i + 1) / n, 174 - 150 * b / 2**20 / most

    p.curve([at(i, b) for i, (_, b) in enumerate(first)], "la", 2)
    p.curve([at(i, b) for i, (_, b) in enumerate(second[:n])], "lc", 2)
    losses, adams = _parts(first)
    y = 190
    for i, name in [
        (losses[0], "loss: real"),
        (losses[1], "loss: fakes"),
        (adams[0], "D's Adam"),
        (losses[2], "loss: G"),
        (adams[1], "G's Adam"),
    ]:
        x = 36 + 354 * (i + 1) / n
        p.line(x, 24, x, 174, "lb" if "Adam" in name else "ld", 1, "3 2")
        y = 200 if y != 200 else 212
        p.text(min(x, 380), y, name, "m", "middle", 8)
    p.line(40, 234, 60, 234, "la", 2)
    p.text(64, 237, "the first step makes the arrays", size=9)
    p.line(220, 234, 240, 234, "lc", 2)
    p.text(244, 237, "the second makes none", size=9)
    p.text(
        36, 254, f"{n} launches; weights, moments and images before the first: {before / 2**20:.0f} MiB", "m", size=9
    )
    return str(p)


@block("15-answer")
def step_answer() -> str:
    (_, second), _ = _step()
    assert second[0][1] == second[-1][1]
    kinds = Counter(symbol for symbol, _ in second)
    most = ", ".join(f"`{name}` {n}" for name, n in kinds.most_common(5))
    return (
        f"**{len(second)}** launches of {len(kinds)} kernels. The most frequent: {most}. From the second step"
        f" on no array"
        f" is made: {second[0][1] / 2**20:.0f} MiB before the step and {second[-1][1] / 2**20:.0f} MiB after it."
    )


@block("15-workbench")
def step_table() -> str:
    (_, second), _ = _step()
    losses, adams = _parts(second)
    ends = [losses[0], losses[1], adams[0], losses[2], adams[1]]
    names = [
        "D forward on real images, their loss",
        "D backward, G forward, D forward on fakes, their loss",
        "D backward, D's update",
        "D forward on the same fakes, G's loss",
        "backward through D and G, G's update",
    ]
    rows, begun = [], -1
    for end, name in zip(ends, names):
        part = Counter(symbol for symbol, _ in second[begun + 1 : end + 1])
        convolutions = sum(n for symbol, n in part.items() if symbol.startswith("conv2d_"))
        norms = sum(n for symbol, n in part.items() if symbol.startswith("batchnorm"))
        rows.append([name, end - begun, convolutions, norms])
        begun = end
    assert begun == len(second) - 1
    return table(["part of the step", "launches", "`conv2d_*`", "`batchnorm_*`"], rows)
