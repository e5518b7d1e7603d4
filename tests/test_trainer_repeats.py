"""Steps repeat bit for bit, allocate nothing, and change their own network only."""

import numpy as np
import torch
from helpers import assert_close, assert_equal
from trainer_cases import (
    Judge,
    config,
    images,
    latents,
    nchw,
    one_thread,  # noqa: F401
)

from dcgan_cupy.feed import Batches
from dcgan_cupy.trainer import Trainer


def bits(trainer: Trainer) -> dict:
    """Everything that training changes, as NumPy arrays."""
    arrays = {}
    for name, net, adam in (("d", trainer.d, trainer.adam_d), ("g", trainer.g, trainer.adam_g)):
        arrays.update({f"{name}.{key}": a for key, a in net.state_dict().items()})
        arrays.update(
            {
                f"{name} {key}": trainer.device.numpy(a)
                for key, a in (("m", adam.m), ("v", adam.v), ("state", adam.state))
            }
        )
    return arrays | {"random": trainer.device.numpy(trainer.random_z.state)}


def assert_same_bits(one: Trainer, other: Trainer) -> None:
    a, b = bits(one), bits(other)
    assert a.keys() == b.keys()
    for name in a:
        assert_equal(a[name], b[name], name)


def test_same_seed_same_bits(device, rng):
    cfg = config(seed=3)
    reals = [device.array(images(rng, cfg)) for _ in range(5)]
    one, same = Trainer(cfg, device), Trainer(cfg, device)
    other = Trainer(config(seed=4), device)
    assert_same_bits(one, same)
    assert not np.array_equal(one.d.state_dict()["disc.0.weight"], other.d.state_dict()["disc.0.weight"])
    steps, again, different = ([trainer.step(real) for real in reals] for trainer in (one, same, other))
    assert steps == again and np.isfinite(steps).all()
    assert all(a != b for a, b in zip(steps, different))
    assert_same_bits(one, same)


def test_step_without_reading(device, rng):
    cfg = config()
    real = device.array(images(rng, cfg))
    read, unread = Trainer(cfg, device), Trainer(cfg, device)
    for _ in range(2):
        step = read.step(real)
        assert unread.step(real, read=False) is None
    assert unread.read() == step
    assert_same_bits(read, unread)


def test_steps_allocate_nothing(device, rng):
    """Steps 3 to 12 make no array on the device, batches and a sample now and then included."""
    cfg = config()
    batches = Batches(device, rng.integers(0, 256, (11, 16, 16, 3), dtype=np.uint8), cfg.batch_size, 0, flip=True)
    trainer = Trainer(cfg, device)
    z = trainer.fixed_z(9)
    for step in range(1, 13):
        if step == 3:
            before = device.allocations
        trainer.step(batches.next())
        if step in (2, 5, 8):
            trainer.sample(z)
    assert batches.epoch == 6 and device.allocations == before


def test_each_half_of_a_step_changes_its_own_network(device, rng):
    """D's update comes with G's weights as they were; G's leaves D's weights and gradients as they are."""
    cfg = config()
    trainer = Trainer(cfg, device)
    numpy, seen = device.numpy, {}

    def watched(adam, name):
        update = adam.step

        def step():
            seen[name, "before"] = [numpy(a) for a in (trainer.d.param, trainer.d.grad, trainer.g.param)]
            update()
            seen[name, "after"] = [numpy(a) for a in (trainer.d.param, trainer.d.grad, trainer.g.param)]

        adam.step = step

    watched(trainer.adam_d, "D")
    watched(trainer.adam_g, "G")
    for count in (1, 2):
        start = [numpy(a) for a in (trainer.d.param, trainer.g.param)]
        trainer.step(device.array(images(rng, cfg)))
        (d0, grad0, g0), (d1, grad1, g1), (d2, grad2, g2), (d3, grad3, g3) = seen.values()
        assert_equal(d0, start[0], "D before its update")
        assert_equal(g0, start[1], "G before D's update")
        for a, b, what in (
            (grad0, grad1, "D's gradients over D's update"),
            (g0, g1, "G over D's update"),
            (g1, g2, "G until its update"),
            (d1, d2, "D until G's update"),
            (grad1, grad2, "D's gradients until G's update"),
            (d2, d3, "D over G's update"),
            (grad2, grad3, "D's gradients over G's update"),
        ):
            assert_equal(a, b, what)
        assert np.any(d0 != d1) and np.any(g2 != g3) and np.any(grad1)
        assert_equal(numpy(trainer.d.param), d3, "D at the end")
        assert_equal(numpy(trainer.g.param), g3, "G at the end")
        batches = {
            int(a) for net in (trainer.d, trainer.g) for name, a in net.state_dict().items() if name.endswith("tracked")
        }
        assert batches == {count, 3 * count}  # batch norm saw one batch in G and three in D
        seen.clear()


def test_sample_depends_on_its_own_z_alone(device, rng):
    cfg = config()
    trainer = Trainer(cfg, device)
    for _ in range(3):
        trainer.step(device.array(images(rng, cfg)))
    z = rng.uniform(-1, 1, (6, 1, 1, cfg.z_dim)).astype(np.float32)
    among = device.numpy(trainer.sample(device.array(z)))
    assert among.shape == (6, 16, 16, 3) and np.abs(among).max() <= 1 and among.std() > 0
    others = z.copy()
    others[1:] = 9 * z[1:] + 5
    assert_equal(device.numpy(trainer.sample(device.array(others)))[0], among[0], "other neighbours")
    alone = device.numpy(trainer.sample(device.array(z[:1])))
    assert_close(alone[0], among[0], 1e-5, "alone")  # another batch size may sum in another order
    other = device.numpy(trainer.sample(device.array(z[1:2])))
    assert np.abs(other[0] - among[0]).max() > 1e-3


def test_sample_uses_running_statistics(device, rng):
    """G(z) in PyTorch's evaluation mode, after statistics have moved."""
    cfg = config()
    trainer = Trainer(cfg, device)
    for _ in range(3):
        trainer.step(device.array(images(rng, cfg)))
    z, judge = latents(rng, cfg), Judge(trainer)
    got = device.numpy(trainer.sample(device.array(z)))
    with torch.no_grad():
        want = judge.g.eval()(nchw(z)).numpy().transpose(0, 2, 3, 1)
    assert_close(got, want, 1e-5, "evaluation mode")  # float32 against float64


def test_sample_leaves_training_alone(device, rng):
    cfg = config()
    reals = [device.array(images(rng, cfg)) for _ in range(5)]
    plain, sampled = Trainer(cfg, device), Trainer(cfg, device)
    z = sampled.fixed_z(3)
    for i, real in enumerate(reals):
        if i in (0, 3):
            before = bits(sampled)
            sampled.sample(z)
            sampled.sample(sampled.fixed_z(cfg.batch_size))
            after = bits(sampled)
            assert all(np.array_equal(before[name], after[name]) for name in before)
        assert plain.step(real) == sampled.step(real)
    assert_same_bits(plain, sampled)


def test_fixed_z_is_the_same_each_time(device, rng):
    cfg = config()
    trainer = Trainer(cfg, device)
    first = device.numpy(trainer.fixed_z(7))
    trainer.step(device.array(images(rng, cfg)))
    assert_equal(device.numpy(trainer.fixed_z(7)), first, "after a step")
    assert_equal(device.numpy(Trainer(cfg, device).fixed_z(7)), first, "another trainer")
    assert first.shape == (7, 1, 1, cfg.z_dim) and len(np.unique(first)) == first.size and np.abs(first).max() <= 1
    assert not np.isin(device.numpy(trainer.z), first).any()  # not what training draws
    assert np.any(device.numpy(Trainer(config(seed=1), device).fixed_z(7)) != first)
