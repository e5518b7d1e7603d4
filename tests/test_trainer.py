"""The trainer's step against the same game in PyTorch, float64; what a step may touch; what repeats bit for bit; batches."""

import numpy as np
import pytest
import torch
from helpers import assert_close, assert_equal
from torch import nn

from bench.peer import Discriminator, Generator
from dcgan_cupy.config import Config
from dcgan_cupy.errors import UserError
from dcgan_cupy.feed import Batches
from dcgan_cupy.layers import LeakyReLU, ReLU
from dcgan_cupy.random import Random
from dcgan_cupy.trainer import STREAMS, Trainer


def config(**settings) -> Config:
    """A small run: 16 px, unless told otherwise. One number of features in most tests: each further one has kernels to compile."""
    return Config(**{"image_size": 16, "features_g": 8, "features_d": 8, "batch_size": 4, **settings})


def images(rng, cfg: Config) -> np.ndarray:
    """A batch of float32 images in [-1, 1], [n, h, w, c]."""
    return rng.uniform(-1, 1, (cfg.batch_size, cfg.image_size, cfg.image_size, cfg.channels)).astype(np.float32)


def latents(rng, cfg: Config) -> np.ndarray:
    """Latent vectors from [-1, 1], [n, 1, 1, z_dim]."""
    return rng.uniform(-1, 1, (cfg.batch_size, 1, 1, cfg.z_dim)).astype(np.float32)


@pytest.fixture(autouse=True)
def one_thread():
    """PyTorch's threads and ours, each waiting for the other's cores, take longer than one of each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def nchw(x: np.ndarray) -> torch.Tensor:
    """[n, h, w, c] -> [n, c, h, w], float64."""
    return torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float64))


class Judge:
    """The same game in PyTorch, from the trainer's present weights, in float64."""

    def __init__(self, trainer: Trainer):
        cfg = trainer.config
        self.trainer, self.minimax = trainer, cfg.loss == "minimax"
        self.d = Discriminator(cfg.channels, cfg.features_d, cfg.image_size).double()
        self.g = Generator(cfg.z_dim, cfg.channels, cfg.features_g, cfg.image_size).double()
        for ours, theirs in ((trainer.d, self.d), (trainer.g, self.g)):
            theirs.load_state_dict({name: torch.from_numpy(a) for name, a in ours.state_dict().items()}, strict=True)
        self.sides = [*follow(trainer.d, self.d), *follow(trainer.g, self.g)]
        adam = {"lr": cfg.lr, "betas": (cfg.beta1, cfg.beta2)}
        self.adam_d, self.adam_g = (torch.optim.Adam(net.parameters(), **adam) for net in (self.d, self.g))

    def step(self, real, z) -> tuple:
        """The five numbers of trainer.Step, after the trainer's own step."""
        bce, real = nn.BCELoss(), nchw(real)
        one, zero = (torch.full((len(real), 1, 1, 1), value, dtype=torch.float64) for value in (1.0, 0.0))
        self.adam_d.zero_grad()
        fake = self.g(nchw(z))
        d_real, d_fake = self.d(real), self.d(fake.detach())
        loss_d = bce(d_real, one) + bce(d_fake, zero)
        loss_d.backward()
        self.grads_d = gradients(self.d)
        settle(self.d, self.trainer.d)
        self.adam_d.step()

        self.adam_g.zero_grad()
        d_fake_after = self.d(fake)
        loss_g = -bce(d_fake_after, zero) if self.minimax else bce(d_fake_after, one)
        loss_g.backward()
        self.grads_g = gradients(self.g)
        settle(self.g, self.trainer.g)
        self.adam_g.step()
        assert not any(side.ours for side in self.sides)
        return tuple(value.mean().item() for value in (loss_d, loss_g, d_real, d_fake, d_fake_after))


NEAR = 1e-4
"""Below this share of the root mean square (of a channel, of a gradient) a number is rounding: float32 leaves errors of up to 4e-5."""


class Side(nn.Module):
    """y = x where x > 0, else slope * x; where x is but rounding, the trainer decides which."""

    def __init__(self, slope: float):
        super().__init__()
        self.slope, self.ours, self.near, self.all = slope, [], 0, 0

    def forward(self, x):
        rms = x.detach().square().mean((0, 2, 3), keepdim=True).sqrt()
        near = x.detach().abs() <= NEAR * rms
        self.near, self.all = self.near + int(near.sum()), self.all + x.numel()
        return torch.where(torch.where(near, self.ours.pop(0), x > 0), x, self.slope * x)


def follow(ours, theirs: nn.Module) -> list[Side]:
    """A Side in place of each rectifier of the judge, told of every sign of the trainer's."""
    layers = {path: layer for path, layer in ours.walk() if isinstance(layer, ReLU | LeakyReLU)}
    sides = []
    for path, module in list(theirs.named_modules()):
        if isinstance(module, nn.ReLU | nn.LeakyReLU):
            side, layer = Side(getattr(module, "negative_slope", 0.0)), layers.pop(path)
            parent, _, name = path.rpartition(".")
            setattr(theirs.get_submodule(parent), name, side)
            layer.forward = told(layer, side)
            sides.append(side)
    assert not layers
    return sides


def settle(theirs: nn.Module, ours) -> None:
    """The trainer's gradient in place of the judge's own where both are but rounding."""
    mine = trainer_gradients(ours)
    for name, p in theirs.named_parameters():
        limit, other = NEAR * p.grad.square().mean().sqrt(), torch.from_numpy(mine[name]).double()
        p.grad = torch.where((p.grad.abs() <= limit) & (other.abs() <= limit), other, p.grad)


def told(layer, side: Side):
    forward = layer.forward

    def watched(x, training=True):
        y = forward(x, training)
        side.ours.append(torch.from_numpy(layer.device.numpy(y).transpose(0, 3, 1, 2) > 0))
        return y

    return watched


def gradients(module: nn.Module) -> dict:
    return {name: p.grad.numpy().copy() for name, p in module.named_parameters()}


def play(device, cfg: Config, steps: int, seed: int) -> None:
    """One game in both: each step's numbers, then weights and running statistics. Raises: AssertionError."""
    rng = np.random.default_rng(seed)
    trainer = Trainer(cfg, device)
    judge = Judge(trainer)
    start = {name: net.state_dict() for name, net in (("D", trainer.d), ("G", trainer.g))}
    for step in range(steps):
        real, z = images(rng, cfg), latents(rng, cfg)
        got = trainer.step(device.array(real), device.array(z))
        want = judge.step(real, z)
        for name, a, b in zip(got._fields, got, want):
            assert_close([a], [b], 1e-5, f"step {step}: {name}")
        if step == 0:
            compare_gradients(trainer.d, judge.grads_d)
            compare_gradients(trainer.g, judge.grads_g)
    for who, net, theirs in (("D", trainer.d, judge.d), ("G", trainer.g, judge.g)):
        compare(who, net.state_dict(), {name: a.numpy() for name, a in theirs.state_dict().items()}, start[who])
    undecided = sum(side.near for side in judge.sides) / sum(side.all for side in judge.sides)
    assert undecided < 5e-4, f"{undecided} of the activations are near 0"


def trainer_gradients(net) -> dict:
    return {
        f"{path}.{name}": net.device.numpy(grad).transpose((3, 2, 0, 1) if grad.ndim == 4 else (0,))
        for path, layer in net.walk()
        for name, grad in layer.grads.items()
    }


def compare_gradients(net, want: dict) -> None:
    got = trainer_gradients(net)
    assert got.keys() == want.keys()
    assert_close(flat(got), flat(want), 1e-5, "all gradients")  # float32 leaves 1e-6


def compare(who: str, got: dict, want: dict, start: dict) -> None:
    """All weights as one vector, all statistics as another: within 1e-5, and within 1e-4 of how far they went. Then each tensor."""
    counts = [name for name in want if name.endswith("num_batches_tracked")]
    buffers = [name for name in want if "running" in name]
    weights = [name for name in want if name not in counts and name not in buffers]
    assert got.keys() == want.keys() and len(counts) == len(buffers) / 2 > 0
    assert_equal([got[name] for name in counts], [want[name] for name in counts], f"{who}: num_batches_tracked")
    for names, what in ((weights, "weights"), (buffers, "running statistics")):
        assert_close(flat(got, names), flat(want, names), 1e-5, f"{who}: all {what}")
        moved = flat(want, names) - flat(start, names)
        assert_close(flat(got, names) - flat(start, names), moved, 1e-4, f"{who}: how far all {what} went")
    for name in weights + buffers:
        assert_close(got[name], want[name], 1e-4, f"{who}: {name}")  # a bias is but a few of Adam's steps: 1e-5 seen


def flat(arrays: dict, names=None) -> np.ndarray:
    return np.concatenate([np.asarray(arrays[name], np.float64).ravel() for name in names or sorted(arrays)])


@pytest.mark.parametrize(
    "seed, settings",
    [
        (0, {}),
        (1, {}),
        (2, {"batch_size": 16}),
        (3, {"loss": "minimax"}),
        (4, {"bn_gain": 0.0}),
        (5, {"loss": "minimax", "bn_gain": 0.0}),
    ],
    ids=str,
)
def test_twenty_steps_equal_pytorch(device, seed, settings):
    """The seeds' network, 64 pixels, 8 features, default rates: losses and weights within 1e-5, what they moved within 1e-4.

    Not so without an agreement on what float32 cannot decide. A rectifier has no derivative at 0, and of a million inputs a step
    some lie so near to it that rounding puts them on the other side: each changes gradients by a good part of a per cent. Adam's
    first steps are as long for a gradient of 1e-9 as for any. Two right games then part for good: each on its own, float32 PyTorch
    and float64 PyTorch were further than 1e-4 apart after 20 steps in 15 of 20 draws with batch 4 (the trainer: 16 of 20), and
    in 8 of 8 with batch 32 (the trainer: 8 of 8).
    So the judge takes the trainer's side where its own number is less than NEAR of the rms, one in 12,000 (Side, settle), and
    its own everywhere else. Then 0 of 60 draws failed, with at most 8e-7 in a loss and 2e-7 in the weights; none is left out.
    """
    play(device, config(**{"image_size": 64, "seed": seed, **settings}), 20, seed)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"channels": 1, "features_g": 5, "features_d": 3, "batch_size": 7, "z_dim": 1},
        {"lr": 1e-3, "beta1": 0.9, "beta2": 0.99, "loss": "minimax"},
        {"beta1": 0.0, "beta2": 0.0, "batch_size": 2},
        {"image_size": 128, "features_g": 1, "features_d": 1, "lr": 1e-3},
    ],
    ids=str,
)
def test_step_equals_pytorch_whatever_the_settings(device, settings):
    """Odd sizes, other rates."""
    for seed in range(2):
        play(device, config(**settings, seed=seed), 10, seed)


def stale_forward(trainer, monkeypatch):
    """G learns from the opinion of D as it was before its update."""
    forward, update, calls = trainer.d.logits.forward, trainer.adam_d.step, []

    def stale(x, training=True):
        y = forward(x, training)
        calls.append(x)
        if len(calls) % 3 == 0:
            update()
        return y

    monkeypatch.setattr(trainer.d.logits, "forward", stale)
    monkeypatch.setattr(trainer.adam_d, "step", lambda: None)


def scaled_gradient(trainer, monkeypatch):
    """One layer's weight gradient is a thousandth too large."""
    backward, layer = trainer.d.logits.backward, trainer.d.logits.layers[0]

    def wrong(dy, param_grads=True, input_grad=True):
        dx = backward(dy, param_grads, input_grad)
        if param_grads:
            layer.grads["weight"] *= np.float32(1.001)
        return dx

    monkeypatch.setattr(trainer.d.logits, "backward", wrong)


def running_statistics_in_g(trainer, monkeypatch):
    """G trains in evaluation mode."""
    forward = trainer.g.forward
    monkeypatch.setattr(trainer.g, "forward", lambda x, training=True: forward(x, False))


def kept_gradients(trainer, monkeypatch):
    """D's gradients add up from step to step."""
    monkeypatch.setattr(trainer.d, "zero_grads", lambda: None)


def wrong_beta2(trainer, monkeypatch):
    """Adam's beta2 is a hundredth too small."""
    monkeypatch.setattr(trainer.adam_d, "beta2", 0.99 * 0.999)


def wrong_eps(trainer, monkeypatch):
    """Adam's eps is 1e-6 instead of 1e-8."""
    monkeypatch.setattr(trainer.adam_g, "eps", 1e-6)


@pytest.mark.parametrize(
    "fault", [stale_forward, scaled_gradient, running_statistics_in_g, kept_gradients, wrong_beta2, wrong_eps]
)
def test_the_judge_sees(device, monkeypatch, fault):
    """A small fault in the trainer fails the comparison above."""
    made = Trainer.__init__

    def faulty(self, *arguments):
        made(self, *arguments)
        fault(self, monkeypatch)

    monkeypatch.setattr(Trainer, "__init__", faulty)
    with pytest.raises(AssertionError, match="relative error"):
        play(device, config(), 20, 0)


def test_step_draws_its_own_z(device, rng):
    """Without z a step draws it from the prior, from the seed's stream for z, anew each time."""
    for prior, variance in (("uniform", 1 / 3), ("normal", 1.0)):
        cfg = config(z=prior, batch_size=16, seed=5)
        real = device.array(images(rng, cfg))
        alone, given = Trainer(cfg, device), Trainer(cfg, device)
        stream, drawn = Random(device, 5, STREAMS["z"]), []
        for _ in range(3):
            z = device.empty((16, 1, 1, 100))
            _ = stream.uniform(z, -1.0, 1.0) if prior == "uniform" else stream.normal(z)
            assert alone.step(real) == given.step(real, z)
            drawn.append(device.numpy(z))
        for one, other in ((alone.d, given.d), (alone.g, given.g)):
            assert_equal(device.numpy(one.param), device.numpy(other.param), prior)
        drawn = np.array(drawn)
        assert len(np.unique(drawn)) > 0.99 * drawn.size
        assert (
            abs(drawn.mean()) < 0.06 and abs(drawn.var() / variance - 1) < 0.1
        )  # 4800 numbers: some 4 standard errors
        assert prior == "normal" or np.abs(drawn).max() <= 1


# What repeats


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


# Samples


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


# Batches


def marked(count: int, size: int = 4) -> np.ndarray:
    """Images that can be told apart: i in every pixel of image i, but for its left half, which is one more."""
    made = np.empty((count, size, size, 3), np.uint8)
    made[:] = 2 * np.arange(count)[:, None, None, None]
    made[:, :, : size // 2] += 1
    return made


def epoch_of(batches: Batches) -> tuple[list[int], list[bool]]:
    """The numbers of an epoch's images, in order, and which were mirrored; every pixel is checked."""
    numbers, mirrored = [], []
    source, epoch = marked(batches.count), batches.epoch
    for _ in range(batches.per_epoch):
        assert batches.epoch == epoch
        batch = batches.device.numpy(batches.next())
        assert batch.dtype == np.float32 and batch.shape == (batches.batch_size, *source.shape[1:])
        for image in batch:
            value = int(np.rint((image[0, 0, 0] + 1) * 127.5))
            number, flipped = value // 2, value % 2 == 0
            want = source[number, :, ::-1] if flipped else source[number]
            assert np.abs(image - (want / 127.5 - 1.0)).max() < 1e-6  # a few roundings of numbers up to 1 in float32
            numbers.append(number)
            mirrored.append(flipped)
    assert batches.epoch == epoch + 1
    return numbers, mirrored


def test_batches_every_image_once_an_epoch_in_a_new_order(device):
    batches = Batches(device, marked(12), 4, seed=1)
    assert batches.per_epoch == 3
    orders = [epoch_of(batches)[0] for _ in range(4)]
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert len({tuple(order) for order in [*orders, range(12)]}) == 5


def test_batches_leave_out_a_partial_batch_but_not_always_the_same_images(device):
    batches = Batches(device, marked(11), 4, seed=1)
    orders = [epoch_of(batches)[0] for _ in range(20)]
    assert all(len(order) == len(set(order)) == 8 for order in orders)
    assert set().union(*orders) == set(range(11))
    assert len({frozenset(order) for order in orders}) > 10


def test_batches_same_seed_same_order(device):
    for flip in (False, True):
        one, same, other = (Batches(device, marked(40), 10, seed, flip) for seed in (7, 7, 8))
        epochs = [[epoch_of(batches) for _ in range(3)] for batches in (one, same, other)]
        assert epochs[0] == epochs[1]
        assert all(a[0] != b[0] for a, b in zip(epochs[0], epochs[2]))


def test_batches_flip_mirrors_some(device):
    assert not any(epoch_of(Batches(device, marked(100), 10, seed=0))[1])
    batches = Batches(device, marked(100), 10, seed=0, flip=True)
    for numbers, mirrored in (epoch_of(batches) for _ in range(3)):
        assert (
            sorted(numbers) == list(range(100)) and 25 <= sum(mirrored) <= 75
        )  # 50 plus or minus 5 standard deviations
        assert len({tuple(mirrored[i : i + 10]) for i in range(0, 100, 10)}) == 10  # drawn for each batch
    first, second = (dict(zip(*epoch_of(batches))) for _ in range(2))
    assert 25 <= sum(first[number] != second[number] for number in first) <= 75  # not the same images each time


def test_batches_reuse_one_buffer(device):
    batches = Batches(device, marked(6), 2, seed=0, flip=True)
    before = device.allocations
    assert all(batches.next() is batches.batch for _ in range(7))
    assert device.allocations == before


def test_batches_grey_and_mapped(device, tmp_path):
    """One channel; images in a file that is mapped, as the cache gives them."""
    np.save(tmp_path / "images.npy", marked(4)[..., :1])
    batches = Batches(device, np.load(tmp_path / "images.npy", mmap_mode="r"), 4, seed=0)
    batch = np.rint((device.numpy(batches.next()) + 1) * 127.5)
    assert_equal(np.sort(batch[:, 0, 0, 0]), np.array([1, 3, 5, 7]), "grey")


def test_batches_larger_than_the_dataset(device):
    with pytest.raises(UserError, match=r"^train: --batch-size: need at most the number of images, 5, got 6$"):
        Batches(device, marked(5), 6, seed=0)
    assert sorted(epoch_of(Batches(device, marked(5), 5, seed=0))[0]) == list(range(5))
