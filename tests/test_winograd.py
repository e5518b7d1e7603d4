"""The Winograd rung against the textbook's:

`==` on integers over drawn shapes in every direction, float64 on random numbers, choice.
"""

import secrets

import numpy as np
import pytest
from helpers import assert_equal
from ops_cases import EVERY_TILE
from test_tiled import against_float64, run

from dcgan_cupy.ops import rungs

SHAPES, BATCHES = 208, 8
STRIDE, PADDING = (2, 2), (1, 1)

# The seeds' heavy layers (features 16), as convolutions: n, h, w, ic, oc.
SEED_LAYERS = [(3, 32, 32, 16, 32), (3, 16, 16, 32, 64), (2, 8, 8, 64, 128), (2, 16, 16, 64, 128), (1, 8, 8, 128, 256)]


def shape_of(n, h, w, ic, oc):
    return {"n": n, "h": h, "w": w, "ic": ic, "oc": oc, "kh": 4, "kw": 4, "stride": STRIDE, "padding": PADDING}


def drawn(rng):
    """Even and odd sizes down to 2 pixels (1 has no output), channels that no tile divides and some that vectors do."""
    channels = (1, 3, 8, 16, 31, 48, 64, 65, 100, 130)
    while True:
        n, h, w = int(rng.integers(1, 9)), int(rng.integers(2, 41)), int(rng.integers(2, 41))
        ic, oc = (int(rng.choice(channels)) if rng.random() < 0.7 else int(rng.integers(1, 131)) for _ in range(2))
        if n * h * w * ic * oc * 4 <= 1.5e7:
            return shape_of(n, h, w, ic, oc)


def compare(device, seed, shape, known):
    for name, got, want in zip(
        ("y", "dx", "dx with bias", "dw"),
        run(device, np.random.default_rng(seed), shape, "winograd", known),
        run(device, np.random.default_rng(seed), shape, "textbook"),
        strict=True,
    ):
        assert_equal(got, want, f"{name} of {shape}, seed {seed}")


@EVERY_TILE
@pytest.mark.parametrize("batch", [0, 1, *(pytest.param(b, marks=pytest.mark.large) for b in range(2, BATCHES))])
def test_winograd_equals_textbook_on_drawn_shapes(device, batch):
    """Coefficients 0, 1 and -1: integers stay exact, so one wrong sign or tile shows. Two seeds are fresh."""
    seeds = [1000 * batch + i for i in range(SHAPES // BATCHES - 2)] + [secrets.randbits(32) for _ in range(2)]
    for seed in seeds:
        compare(device, seed, drawn(np.random.default_rng(seed)), known=False)


@EVERY_TILE
@pytest.mark.parametrize("layer", [*SEED_LAYERS, (9, 2, 2, 5, 7), (2, 3, 2, 16, 16), (1, 5, 9, 48, 20)], ids=str)
def test_winograd_with_known_sizes_equals_textbook(device, layer):
    compare(device, 7, shape_of(*layer), known=True)


@EVERY_TILE
@pytest.mark.parametrize("layer", SEED_LAYERS[:3], ids=str)
def test_winograd_of_random_numbers(device, rng, layer):
    """Differences of inputs and sums of taps cost one bit or two: 2e-6 holds with room."""
    against_float64(device, rng, shape_of(*layer), "winograd", 2e-6)


@EVERY_TILE
@pytest.mark.parametrize(
    "kernel, stride, padding", [(3, (2, 2), (1, 1)), (4, (1, 1), (1, 1)), (4, (2, 2), (0, 0)), (4, (2, 1), (1, 1))]
)
def test_other_convolutions_run_tiled(device, kernel, stride, padding):
    """Where the identity does not hold, `winograd` and `best` give what `tiled` gives, to the bit."""
    shape = {**shape_of(2, 9, 8, 16, 16), "kh": kernel, "kw": kernel, "stride": stride, "padding": padding}
    want = run(device, np.random.default_rng(1), shape, "tiled")
    for rung in ("winograd", "best"):
        for got, expected in zip(run(device, np.random.default_rng(1), shape, rung), want, strict=True):
            assert_equal(got, expected, rung)


def test_best_takes_what_the_table_names(device, monkeypatch):
    """`best` runs the rung that rungs.best names for the layer's channels."""
    asked = []
    monkeypatch.setattr(rungs, "best", lambda kind, ic, oc: asked.append((kind, ic, oc)) or "winograd")
    shape = shape_of(1, 4, 4, 16, 24)
    got, want = (run(device, np.random.default_rng(1), shape, rung) for rung in ("best", "winograd"))
    assert asked == [(device.kind, 16, 24)] * 4
    for a, b in zip(got, want, strict=True):
        assert a.tobytes() == b.tobytes()
