"""Whatever order blocks, warps and lanes run in, kernels give the same bits: on the stand-in GPU, which chooses it."""

import numpy as np
import pytest
import stand_in
from helpers import assert_equal, normal
from trainer_cases import config, images

from dcgan_cupy import device as devices
from dcgan_cupy import ops
from dcgan_cupy.choices import RUNGS
from dcgan_cupy.trainer import Trainer

ORDERS = {"reversed": {"reversed": True}, "apart": {"apart": True}, "both": {"reversed": True, "apart": True}}


@pytest.fixture(params=[stand_in.NAME])
def dev(request):
    if missing := stand_in.why_not():
        pytest.skip(missing)
    return devices.get("gpu")


def in_every_order(work, orders=tuple(ORDERS)):
    """work() -> arrays by name, in the common order and in others. Raises: AssertionError where they differ."""
    want = work()
    assert all(np.isfinite(array).all() for array in want.values())
    for order in orders:
        with stand_in.installed(**ORDERS[order]):
            got = work()
        for name, array in want.items():
            assert_equal(got[name], array, f"{order}: {name}")


@pytest.mark.parametrize("rung", [rung for rung in RUNGS if rung not in ("best", "direct")])
def test_convolutions(dev, rng, rung):
    x, w, dy = normal(rng, (2, 6, 8, 5)), normal(rng, (4, 4, 5, 6)), normal(rng, (2, 3, 4, 6))

    def work():
        there = [dev.array(a) for a in (x, w, dy)]
        y, dx, dw = dev.empty(dy.shape), dev.empty(x.shape), dev.zeros(w.shape)
        rest = ((2, 2), (1, 1), rung)
        ops.conv2d_forward(dev, there[0], there[1], None, y, *rest)
        ops.conv2d_backward_input(dev, there[2], there[1], None, dx, *rest)
        ops.conv2d_backward_weight(dev, there[0], there[2], dw, *rest)
        return {"y": dev.numpy(y), "dx": dev.numpy(dx), "dw": dev.numpy(dw)}

    in_every_order(work)


def step_of_training(dev, rng):
    """Three steps, the last one a graph: losses, batch norms, Adam, random numbers."""
    cfg = config(features_g=4, features_d=4, batch_size=3)
    real = images(rng, cfg)

    def work():
        trainer = Trainer(cfg, dev)
        there = dev.array(real)
        losses = [trainer.step(there) for _ in range(3)]
        states = {"d": trainer.d.state_dict(), "g": trainer.g.state_dict()}
        return {"losses": np.array(losses)} | {f"{n} {k}": v for n, state in states.items() for k, v in state.items()}

    return work


@pytest.mark.any_size
def test_steps_of_training(dev, rng):
    in_every_order(step_of_training(dev, rng), ["reversed"])


@pytest.mark.long
@pytest.mark.any_size
def test_steps_of_training_lane_by_lane(dev, rng):
    """Each lane alone: half a minute."""
    in_every_order(step_of_training(dev, rng))
