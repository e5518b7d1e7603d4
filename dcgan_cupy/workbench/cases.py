"""What the workbench runs: every operation of ops.py over sizes that stress its edges. One entry an operation.

A case calls the operation as a layer would, on arrays of the watching device; which kernels that launches is the
operation's own affair. So a new rung, or a new kernel behind an old operation, is watched without a word here; a new
operation needs its entry.
"""

import inspect as signatures
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from .. import ops
from ..choices import RUNGS, STEPS
from ..errors import UserError
from . import conv_cases as conv
from . import label_cases as labels
from . import worker_cases as workers
from .conv_cases import CONVOLUTIONS, LAYER, QUICK_CONVOLUTIONS
from .drawn import F32, channel, normal


@dataclass(frozen=True)
class Case:
    """run(dev, rng, **shape) calls the operation. default: the shape without --shape; edges: those of the sweep."""

    name: str
    run: Callable
    default: dict
    edges: list = field(default_factory=list)
    rungs: tuple[str, ...] = ()  # where there are some, run also takes one, and known

    @property
    def usual_rung(self) -> str:
        return "tiled" if "tiled" in self.rungs else "textbook"

    @property
    def by_tiles(self) -> bool:
        """Whether a device's tiles change its kernels."""
        return any(rung not in PLAIN for rung in self.rungs) or self.name.startswith(
            ("batchnorm_batch", "batchnorm_activation")
        )


def _integers(n, default=65_500):
    """Sizes around the block's."""
    return {"default": {"n": default}, "edges": [{"n": v} for v in n]}


def _now(operation):
    return getattr(ops, operation.__name__)  # at the time of the call: its values may be compared meanwhile


def _forward(operation, *scalars):
    return lambda dev, rng, n: _now(operation)(dev, normal(dev, rng, n), dev.empty((n,)), *scalars)


def _backward(operation, *scalars):
    return lambda dev, rng, n: _now(operation)(dev, normal(dev, rng, n), normal(dev, rng, n), dev.empty((n,)), *scalars)


def _statistics(dev, rng, rung, known, rows, c):
    one = [dev.empty((c,)), dev.empty((c,)), normal(dev, rng, c), normal(dev, rng, c)]
    ops.batchnorm_statistics(dev, normal(dev, rng, rows, c), *one, dev.array(np.zeros(1, np.int64)), 0.1, rung)


def _backward_sums(dev, rng, rung, known, rows, c):
    x, dy, sums = normal(dev, rng, rows, c), normal(dev, rng, rows, c), (dev.empty((c,)), dev.empty((c,)))
    ops.batchnorm_backward_sums(dev, x, dy, *channel(dev, rng, c, 2), *sums, 1e-5, rung)


def _fused_statistics(dev, rng, c):
    return dev.array(np.abs(rng.standard_normal((5, c))).astype(F32) + 0.5)


def _fused_backward(dev, rng, rows, c, training=1, gradients=1, input_gradient=1):
    x, dy = normal(dev, rng, rows, c), normal(dev, rng, rows, c)
    gamma, beta = channel(dev, rng, c, 2) if gradients else (None, None)
    dx, statistics = dev.empty((rows, c)) if input_gradient else None, _fused_statistics(dev, rng, c)
    pull = dev.empty((2, c))
    ops.batchnorm_activation_backward(dev, x, dy, statistics, pull, gamma, beta, dx, 0.2, bool(training))


def _images(dev, rng, n, h, w, c, picked=1):
    images = dev.array(rng.integers(0, 255, (n + 3, h, w, c)).astype(np.uint8))
    index = dev.array(rng.integers(0, n + 2, n).astype(np.int32)) if picked else None
    flip = dev.array(rng.integers(0, 2, n).astype(np.uint8)) if picked else None
    ops.images_to_float(dev, images, dev.empty((n, h, w, c)), index, flip)


_SMALL = {"n": 3, "h": 5, "w": 7, "c": 3}


def _loss(operation):
    def run(dev, rng, n):
        prob = dev.array(rng.uniform(0.01, 0.99, n).astype(F32))
        target = dev.array(rng.integers(0, 2, n).astype(F32))
        _now(operation)(dev, prob, target, dev.empty((n,)), dev.empty((2,)))

    return run


def _adam_advance(dev):
    factors = dev.empty((2,))
    ops.adam_advance(dev, dev.array(np.array([3, 2e-4])), factors, 0.5, 0.999)
    return factors


def _adam(dev, rng, n):
    factors = _adam_advance(dev)
    ops.adam_step(dev, *(normal(dev, rng, n) for _ in range(3)), channel(dev, rng, n, 1)[0], factors, 0.5, 0.999, 1e-8)


def _random(operation, *range, dtype=F32):
    state = np.array([1, 2, 3], np.uint64)
    return lambda dev, rng, n: _now(operation)(dev, dev.array(state), dev.empty((n,), dtype), *range)


def _philox(dev, rng, n):
    def words(k):
        return dev.array(rng.integers(0, 2**32, (n, k), dtype=np.uint32))

    ops.philox_words(dev, words(4), words(2), dev.empty((n, 4), np.uint32))


SUMS = ("textbook", "shared", "registers")  # the rungs of sums by channel
PLAIN = ("textbook", "direct", *STEPS)  # rungs whose tiles no device chooses
ROWS = [
    {"rows": 2, "c": 1},
    {"rows": 37, "c": 3},
    {"rows": 300, "c": 130},
    {"rows": 65, "c": 64},
    {"rows": 1030, "c": 33},
]
SIZES = _integers([1, 31, 255, 257, 1000])

CASES = {
    case.name: case
    for case in [
        Case("fill", lambda dev, rng, n: ops.fill(dev, dev.empty((n,)), 1.0), **SIZES),
        Case("add", lambda dev, rng, n: ops.add(dev, normal(dev, rng, n), normal(dev, rng, n)), **SIZES),
        Case("relu_forward", _forward(ops.relu_forward), **SIZES),
        Case("relu_backward", _backward(ops.relu_backward), **SIZES),
        Case("leaky_relu_forward", _forward(ops.leaky_relu_forward, 0.2), **SIZES),
        Case("leaky_relu_backward", _backward(ops.leaky_relu_backward, 0.2), **SIZES),
        Case("tanh_forward", _forward(ops.tanh_forward), **SIZES),
        Case("tanh_backward", _backward(ops.tanh_backward), **SIZES),
        Case("sigmoid_forward", _forward(ops.sigmoid_forward), **SIZES),
        Case("sigmoid_backward", _backward(ops.sigmoid_backward), **SIZES),
        Case(
            "images_to_float",
            _images,
            {"n": 16, "h": 32, "w": 32, "c": 3},
            [_SMALL, {"n": 1, "h": 1, "w": 1, "c": 1, "picked": 0}, {"n": 5, "h": 8, "w": 9, "c": 4}],
        ),
        Case(
            "images_to_uint8",
            lambda dev, rng, n: ops.images_to_uint8(dev, normal(dev, rng, n), dev.empty((n,), np.uint8)),
            **SIZES,
        ),
        Case("conv2d_forward", conv.forward, LAYER, CONVOLUTIONS, rungs=RUNGS),
        Case("conv2d_backward_input", conv.backward_input, LAYER, CONVOLUTIONS, rungs=RUNGS),
        Case("conv2d_backward_weight", conv.backward_weight, LAYER, CONVOLUTIONS, rungs=RUNGS),
        Case(
            "conv2d_backward_bias",
            lambda dev, rng, rung, known, rows, c: ops.conv2d_backward_bias(
                dev, normal(dev, rng, rows, c), normal(dev, rng, c), rung
            ),
            {"rows": 2048, "c": 128},
            ROWS,
            rungs=RUNGS,
        ),
        Case(
            "zero_insert",
            conv.zero_insert,
            {"n": 8, "h": 8, "w": 8, "c": 128, "kernel": 4, "stride": 2, "padding": 1},
            [
                {"n": 2, "h": 3, "w": 5, "c": 7, "kernel": 4, "stride": 2, "padding": 1},
                {"n": 1, "h": 1, "w": 1, "c": 1, "kernel": 1, "stride": 3, "padding": 0},
            ],
        ),
        Case(
            "flip_kernel",
            lambda dev, rng, kh, kw, ic, oc: ops.flip_kernel(
                dev, normal(dev, rng, kh, kw, ic, oc), dev.empty((kh, kw, oc, ic))
            ),
            {"kh": 4, "kw": 4, "ic": 64, "oc": 128},
            [{"kh": 3, "kw": 2, "ic": 5, "oc": 7}, {"kh": 1, "kw": 1, "ic": 1, "oc": 1}],
        ),
        Case("batchnorm_statistics", _statistics, {"rows": 2048, "c": 128}, ROWS, rungs=SUMS),
        Case(
            "batchnorm_forward",
            lambda dev, rng, rows, c: ops.batchnorm_forward(
                dev, normal(dev, rng, rows, c), *channel(dev, rng, c, 4), dev.empty((rows, c)), 1e-5
            ),
            {"rows": 2048, "c": 128},
            ROWS,
        ),
        Case("batchnorm_backward_sums", _backward_sums, {"rows": 2048, "c": 128}, ROWS, rungs=SUMS),
        Case(
            "batchnorm_backward_input",
            lambda dev, rng, rows, c: ops.batchnorm_backward_input(
                dev,
                normal(dev, rng, rows, c),
                normal(dev, rng, rows, c),
                *channel(dev, rng, c, 5),
                dev.empty((rows, c)),
                1e-5,
            ),
            {"rows": 2048, "c": 128},
            ROWS,
        ),
        Case(
            "batchnorm_batch",
            lambda dev, rng, rows, c: ops.batchnorm_batch(
                dev,
                normal(dev, rng, rows, c),
                *channel(dev, rng, c, 2),
                dev.empty((5, c)),
                *channel(dev, rng, c, 2),
                dev.array(np.zeros(1, np.int64)),
                0.1,
                1e-5,
            ),
            {"rows": 2048, "c": 128},
            ROWS,
        ),
        Case(
            "batchnorm_running_statistics",
            lambda dev, rng, c: ops.batchnorm_running_statistics(
                dev, *channel(dev, rng, c, 4), dev.empty((5, c)), 1e-5
            ),
            {"c": 128},
            [{"c": 1}, {"c": 257}],
        ),
        Case(
            "batchnorm_activation_forward",
            lambda dev, rng, rows, c: ops.batchnorm_activation_forward(
                dev, normal(dev, rng, rows, c), _fused_statistics(dev, rng, c), dev.empty((rows, c)), 0.2
            ),
            {"rows": 2048, "c": 128},
            ROWS,
        ),
        Case(
            "batchnorm_activation_backward",
            _fused_backward,
            {"rows": 2048, "c": 128},
            [*ROWS, {"rows": 37, "c": 6, "training": 0, "gradients": 0}, {"rows": 37, "c": 6, "input_gradient": 0}],
        ),
        Case("bce", _loss(ops.bce), **_integers([1, 100, 257, 1000], 1024)),
        Case("bce_with_logits", _loss(ops.bce_with_logits), **_integers([1, 100, 257, 1000], 1024)),
        Case("adam_step", _adam, **SIZES),
        Case("adam_advance", lambda dev, rng: _adam_advance(dev), {}, [{}]),
        Case(
            "average_step",
            lambda dev, rng, n: ops.average_step(dev, *(normal(dev, rng, n) for _ in range(2)), 0.001),
            **SIZES,
        ),
        Case("concat_label_forward", labels.concat, labels.JOINED, labels.JOINED_EDGES),
        Case("concat_label_backward", labels.concat_backward, labels.JOINED, labels.JOINED_EDGES),
        Case("concat_label_add", labels.concat_add, labels.JOINED, labels.JOINED_EDGES),
        Case("batchnorm_batch_of_workers", workers.batch, {"rows": 2048, "c": 128, "workers": 2}, workers.ROWS),
        Case(
            "batchnorm_activation_backward_of_workers",
            workers.backward,
            {"rows": 2048, "c": 128, "workers": 2},
            [*workers.ROWS, {"rows": 37, "c": 6, "workers": 2, "input_gradient": 0}],
        ),
        Case("sum_workers", workers.total, {"n": 65_500, "workers": 2}, workers.SLICES),
        Case("label_maps_forward", labels.maps(True), labels.MAPS, labels.MAPS_EDGES),
        Case("label_maps_backward", labels.maps(False), labels.MAPS, labels.MAPS_EDGES),
        Case("random_integers", _random(ops.random_integers, 10, dtype=np.int32), **SIZES),
        Case("random_uniform", _random(ops.random_uniform, 0.0, 1.0), **SIZES),
        Case("random_normal", _random(ops.random_normal, 0.0, 1.0), **SIZES),
        Case(
            "random_advance",
            lambda dev, rng: ops.random_advance(dev, dev.array(np.array([1, 2, 3], np.uint64)), 5),
            {},
            [{}],
        ),
        Case("philox_words", _philox, {"n": 4096}, [{"n": 1}, {"n": 257}]),
    ]
}


def run_case(dev, case: Case, shape: dict, rung: str = "", known: bool = False, seed: int = 1) -> list:
    """Runs a case; its launches' reports.   rung: "" for the usual one.

    Raises: UserError if the operation refuses the shape, or a size of it is missing.
    """
    keys, before = {**case.default, **shape}, len(dev.reports)
    choice = {"rung": rung or case.usual_rung, "known": known} if case.rungs else {}
    try:
        case.run(dev, np.random.default_rng(seed), **choice, **keys)
    except TypeError as error:
        taken = set(case.default) | {
            p for p in signatures.signature(case.run).parameters if p not in ("dev", "rng", "rung", "known", "shape")
        }
        if set(keys) <= taken:
            raise
        raise UserError(
            f"inspect: --shape: need {', '.join(sorted(taken)) or 'nothing'} for {case.name}, got"
            f" {', '.join(set(keys) - taken)}"
        ) from error
    finally:
        dev.free()
    return dev.reports[before:]


def sweep(dev, quick: bool = False, names: Iterable[str] = CASES) -> Iterator[tuple[str, dict, list]]:
    """(operation, shape and rung, reports) for each case of these names, rung and edge.

    quick: a reduced set that still reaches every kernel; with the CPU's tiles, only what they change.
    """
    tiles_only = quick and dev.tiles == "cpu"
    for case in (CASES[name] for name in names):
        if tiles_only and not case.by_tiles:
            continue
        edges = case.edges if not quick else QUICK_CONVOLUTIONS if case.edges is CONVOLUTIONS else case.edges[-2:]
        for number, shape in enumerate(edges):
            for rung in [r for r in case.rungs if not (tiles_only and r in PLAIN)] if case.rungs else ("",):
                for known in (False, True) if rung and rung not in PLAIN and (not quick or number == 1) else (False,):
                    try:
                        reports = run_case(dev, case, shape, rung, known)
                    except UserError as error:
                        if not case.rungs or rung in PLAIN or ": compile:" in str(error):
                            raise
                        continue  # a rung may refuse a shape, the definition may not
                    yield case.name, {**shape, **({"rung": rung, "known": known} if rung else {})}, reports
                    dev.reports.clear()
