"""Several workers train as one does on the whole batch."""

import numpy as np
import pytest
from helpers import assert_close, assert_equal, integers, normal
from trainer_cases import Judge, config, images, latents, trainer_gradients
from worker_cases import apart, drawn_images, statistics, together, training, weights

from dcgan_cupy import ops
from dcgan_cupy.device import CpuDevice
from dcgan_cupy.errors import UserError
from dcgan_cupy.feed import Batches
from dcgan_cupy.random import Random
from dcgan_cupy.reference import batchnorm_backward_train, batchnorm_forward_train
from dcgan_cupy.trainer import Trainer
from dcgan_cupy.workers import Workers

pytestmark = pytest.mark.any_size
SIZES = (2, 3, 4)
SMALL = {"batch_size": 12, "features_g": 4, "features_d": 4}


@pytest.fixture(scope="module")
def cpu():
    """For more than one step: the second is captured, and workers in threads meet nowhere in a GPU's graph."""
    return CpuDevice()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", SIZES)
def test_a_step_is_that_of_one_worker_on_the_whole_batch(device, size, seed):
    cfg = config(**SMALL, seed=seed)
    _, one = training(device, cfg, drawn_images(cfg), 2)(Workers())
    state = one.state()
    want, one = training(device, cfg, drawn_images(cfg), 1, state)(Workers())
    found = together(size, training(device, cfg, drawn_images(cfg), 1, state))
    first = found[0][1].state()
    for got, trainer in found:
        assert_close(np.array(got), np.array(want), 1e-6, "losses")
        for mine, whole in ((trainer.d, one.d), (trainer.g, one.g)):
            assert_close(device.numpy(mine.grad), device.numpy(whole.grad), 1e-5, "gradients")
            assert_close(statistics(mine), statistics(whole), 1e-5, "statistics")
        for name, values in trainer.state().items():
            assert_equal(values, first[name], f"{name}: the same bits on each worker")


@pytest.mark.parametrize("size", SIZES)
def test_twenty_steps_part_no_further_than_two_rungs_of_one_worker(cpu, size):
    cfg = config(**SMALL)
    drawn = drawn_images(cfg)
    told, one = training(cpu, cfg, drawn, 20)(Workers())
    rungs = [training(cpu, config(**SMALL, kernels=rung), drawn, 20)(Workers()) for rung in ("textbook", "winograd")]
    most = max(apart(weights(trainer), weights(one)) for _, trainer in rungs)
    found = together(size, training(cpu, cfg, drawn, 20))
    again = together(size, training(cpu, cfg, drawn, 20))
    assert 0 < apart(weights(found[0][1]), weights(one)) <= 1.5 * most
    assert np.abs(np.array(found[0][0]) - np.array(told)).max() < 1e-6
    assert found[0][0] == again[0][0], "the same bits in every run"
    assert_equal(weights(found[0][1]), weights(again[0][1]), "the same bits in every run")


@pytest.mark.parametrize(
    "settings", [{"loss": "minimax"}, {"kernels": "textbook"}, {"ema": 0.9}, {"network": "example"}], ids=str
)
def test_other_settings(cpu, settings):
    cfg = config(**SMALL, **settings)
    want, one = training(cpu, cfg, drawn_images(cfg), 3)(Workers())
    got, two = together(2, training(cpu, cfg, drawn_images(cfg), 3))[1]
    assert_close(np.array(got), np.array(want), 1e-6, "losses")
    assert_close(weights(two), weights(one), 1e-5, "weights")


def test_a_step_equals_pytorchs_on_the_whole_batch(device, rng):
    cfg = config(batch_size=6)
    real, z = images(rng, cfg), latents(rng, cfg)
    judge = Judge(Trainer(cfg, device))
    want = None

    def work(workers):
        trainer = Trainer(cfg, device, workers)
        part = slice(3 * workers.rank, 3 * workers.rank + 3)
        return trainer.step(device.array(real[part]), device.array(z[part])), trainer

    judge.trainer.step(device.array(real), device.array(z))  # the judge asks it on which side of 0 a number is
    want = judge.step(real, z)
    for got, trainer in together(2, work):
        assert_close(np.array(got), np.array(want), 1e-5, "losses")
        for net, theirs in ((trainer.d, judge.grads_d), (trainer.g, judge.grads_g)):
            mine = trainer_gradients(net)
            assert_close(*(np.concatenate([g[n].ravel() for n in sorted(theirs)]) for g in (mine, theirs)), 1e-5)


def test_without_sync_bn_each_takes_its_own_statistics(device):
    """The mean of the gradients that two runs of one worker have on the halves: both judged by PyTorch elsewhere."""
    cfg = config(**SMALL, lr=1e-30, no_sync_bn=True)
    drawn = drawn_images(cfg)
    found = together(2, training(device, cfg, drawn, 1))
    order = Batches(device, drawn, 12, cfg.seed)
    whole, z = device.numpy(order.next()).copy(), device.empty((12, 1, 1, cfg.z_dim))
    z = device.numpy(found[0][1].draw_z(z, Random(device, cfg.seed, 2)))
    halves = []
    for part in (slice(0, 6), slice(6, 12)):
        alone = Trainer(config(**{**SMALL, "batch_size": 6}, lr=1e-30), device)
        alone.step(device.array(whole[part]), device.array(z[part]))
        halves.append(alone)
    for rank, (_, trainer) in enumerate(found):
        for which in ("d", "g"):
            mean = sum(device.numpy(getattr(half, which).grad).astype(np.float64) for half in halves) / 2
            assert_close(device.numpy(getattr(trainer, which).grad), mean, 1e-5, "gradients")
            assert_close(statistics(getattr(trainer, which)), statistics(getattr(halves[rank], which)), 1e-6)


@pytest.mark.parametrize("size, shape", [(2, (3, 5)), (3, (7, 1)), (4, (1, 100)), (4, (2, 2))])
def test_parts_of_a_draw_are_the_whole_ones_numbers(device, size, shape):
    for draw, dtype in (("uniform", "float32"), ("normal", "float32"), ("integers", "int32")):
        numbers = (9,) if draw == "integers" else ()
        whole, parts = Random(device, 5, 2), [Random(device, 5, 2, (number, size)) for number in range(size)]
        for _ in range(2):
            want = device.numpy(getattr(whole, draw)(device.empty((size * shape[0], *shape[1:]), dtype), *numbers))
            got = [device.numpy(getattr(part, draw)(device.empty(shape, dtype), *numbers)) for part in parts]
            assert_equal(np.concatenate(got), want, draw)


@pytest.mark.parametrize("resident", [True, False])
def test_shares_of_a_batch_are_the_whole_ones_images(device, resident):
    cfg = config(batch_size=12, flip=True)
    drawn = drawn_images(cfg, count=50)
    labels = np.arange(50, dtype=np.int32)
    feeds = [
        Batches(device, drawn, 12, 7, True, resident, labels, worker)
        for worker in [(0, 1), *((number, 3) for number in range(3))]
    ]
    for _ in range(9):  # over two epochs' ends
        whole, *parts = (device.numpy(feed.next()) for feed in feeds)
        assert_equal(np.concatenate(parts), whole)
        whole, *parts = (device.numpy(feed.labels) for feed in feeds)
        assert_equal(np.concatenate(parts), whole)
    for feed in feeds:
        feed.close()


@pytest.mark.parametrize("n", [1, 15, 16, 17, 100, 1000])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_sums_and_what_they_send(device, rng, size, n):
    values = integers(rng, (size, n))

    def work(workers):
        flat = device.array(values[workers.rank])
        workers.add_up(device, flat)
        return device.numpy(flat), getattr(workers, "bytes_sent", 0)

    found = together(size, work)
    for got, _ in found:
        assert_equal(got, values.sum(0))
    padded = ops.ceil_div(n, 16 * size) * 16 * size
    assert sum(sent for _, sent in found) <= 2 * (size - 1) * 4 * padded


def test_statistics_far_from_0(device, rng):
    """Of a mean of 1,000 deviations, over three workers' rows; and what they take off the gradient."""
    rows, c, size = 10, 5, 3
    x = (normal(rng, (size * rows, c)) * 0.1 + 100).astype(np.float32)
    dy, gamma, beta = normal(rng, x.shape), normal(rng, (c,)), normal(rng, (c,))
    want, mean, var, *running = batchnorm_forward_train(x, gamma, beta, np.zeros(c), np.zeros(c), momentum=1.0)
    wanted = batchnorm_backward_train(dy, x, gamma, mean, var)

    def work(workers):
        part = slice(workers.rank * rows, (workers.rank + 1) * rows)
        told, statistics = device.empty((size, 2, c), "float64"), device.empty((5, c))
        running = device.zeros((c,)), device.zeros((c,)), device.zeros((1,), "int64")
        given = [device.array(a) for a in (x[part], gamma, beta)]
        exchange = (told, workers.rank, lambda all: workers.gather(device, all))
        ops.batchnorm_batch_of_workers(device, *given, statistics, *running, 1.0, 1e-5, *exchange)
        y, dx, pull = device.empty((rows, c)), device.empty((rows, c)), device.empty((2, c))
        ops.batchnorm_activation_forward(device, given[0], statistics, y, 1.0)
        grads = device.zeros((c,)), device.zeros((c,))
        ops.batchnorm_activation_backward_of_workers(
            device, given[0], device.array(dy[part]), statistics, pull, *grads, dx, 1.0, *exchange
        )
        return [device.numpy(a) for a in (y, dx, *grads, *running)]

    found = list(zip(*together(size, work)))
    assert_close(np.concatenate(found[0]), want, 1e-4, "y")
    for got, one, name in zip(
        (np.concatenate(found[1]), sum(found[2]), sum(found[3])), wanted, ("dx", "dgamma", "dbeta")
    ):
        assert_close(got, one, 1e-4, name)
    assert_close(found[4][0], running[0], 1e-7, "running mean")
    assert_close(found[5][0], running[1], 1e-6, "running variance")
    assert found[6][0] == 1


@pytest.mark.parametrize(
    "batch, size, told", [(10, 3, r"a multiple of the 3 workers, got 10 \(.*: 9, say\)"), (3, 3, "2 images a worker")]
)
def test_a_batch_that_cannot_be_shared_is_refused(batch, size, told):
    with pytest.raises(UserError, match=told):
        Workers(0, size).share("train", batch)
