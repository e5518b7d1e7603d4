"""Several workers train as one does on the whole batch."""

import numpy as np
import pytest
from helpers import assert_close, assert_equal
from trainer_cases import config
from worker_cases import drawn_images, together, training

from dcgan_cupy.workers import Workers

pytestmark = pytest.mark.any_size
SIZES = (2, 3, 4)


def flat(state):
    return np.concatenate([np.asarray(state[name], np.float64).ravel() for name in sorted(state)])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", SIZES)
def test_a_step_of_several_workers_is_that_of_one_on_the_whole_batch(device, size, seed):
    cfg = config(batch_size=12, image_size=16, features_g=4, features_d=4, seed=seed)
    images = drawn_images(cfg)
    _, one = training(device, cfg, images, 2)(Workers())
    state = one.state()
    want, one = training(device, cfg, images, 1, state)(Workers())
    found = together(size, training(device, cfg, images, 1, state))
    for got, trainer in found:
        assert_close(np.array(got), np.array(want), 1e-6, "losses")
        for which in ("d", "g"):
            mine, whole = getattr(trainer, which), getattr(one, which)
            assert_close(device.numpy(mine.grad), device.numpy(whole.grad), 1e-5, f"gradients of {which}")
            statistics = {k: v for k, v in mine.state_dict().items() if "running" in k}
            assert_close(flat(statistics), flat({k: whole.state_dict()[k] for k in statistics}), 1e-5, "statistics")
        state = trainer.state()
        first = found[0][1].state()
        for name, values in state.items():
            assert_equal(values, first[name], f"{name}: the same bits on each worker")
