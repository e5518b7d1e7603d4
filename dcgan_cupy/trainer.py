"""The adversarial step, gradients written out by hand. No array library here: kernels do the work."""

import threading
from typing import NamedTuple

from . import losses, ops
from .config import Config
from .device import Graph
from .errors import UserError
from .memory import Turns, share_gradients
from .networks import discriminator, generator
from .optim import Adam, Average
from .random import Random
from .workers import Workers

STREAMS = {"discriminator": 0, "generator": 1, "z": 2, "fixed_z": 3, "labels": 2**32}
"""Who draws from which random stream: each has its own, so that one more draw here changes nothing there."""


class Step(NamedTuple):
    """What one step tells.

    D(x), D(G(z)): mean probabilities that D gives to real images, and to fakes before and after its update.
    """

    loss_d: float  # -log D(x) - log(1 - D(G(z))), batch mean
    loss_g: float  # -log D(G(z)), or log(1 - D(G(z))) for minimax
    d_real: float  # D(x)
    d_fake: float  # D(G(z)), before D's update
    d_fake_after: float  # D(G(z)), after it


class Trainer:
    """Both networks, both optimisers, and one step of their game.

    config: a resolved Config (config.py).   device: from device.get.   workers: those of the run (workers/), each with
    its share of the batch, its part of z and all weights; gradients, statistics and losses are the whole batch's.
    Source: Radford et al. 2015, section 4; Goodfellow et al. 2014, algorithm 1 with one D step for each G step.
    """

    def __init__(self, config: Config, device, workers: Workers | None = None):
        self.config, self.device, self.workers = config, device, workers or Workers()
        shared = {"device": device, "kernels": config.kernels, "bn_gain_mean": config.bn_gain}
        if self.workers.size > 1 and not config.no_sync_bn:
            shared["workers"] = self.workers
        self.d = discriminator(config, random=self._random("discriminator"), **shared)
        self.g = generator(config, random=self._random("generator"), **shared)
        self.gradients = Turns(device)
        share_gradients(self.g, self.gradients)
        share_gradients(self.d, self.gradients, first=True)  # its dx goes into G at once; another overwrites it
        rates = {"beta1": config.beta1, "beta2": config.beta2, "device": device}
        rates["steps"] = (config.steps or 1) if config.lr_decay else None
        self.adam_d = Adam(self.d.param, self.d.grad, lr=config.lr_d or config.lr, **rates)
        self.adam_g = Adam(self.g.param, self.g.grad, lr=config.lr_g or config.lr, **rates)
        self.g_ema = self.average = None  # G with averaged weights, and what keeps them
        if config.ema is not None:
            self.g_ema = generator(config, **shared)
            self.g_ema.only_forward(like=self.g)
            self.average = Average(self.g_ema.param, self.g.param, config.ema, device=device)

        n = self.workers.share("train", config.batch_size or 1)
        self.z = device.empty((n, 1, 1, config.z_dim))
        self.random_z = self._random("z", part=True)
        self.labels = device.empty((n,), "int32") if config.n_classes else None  # of the fakes: any class as likely
        self.random_labels = self._random("labels", part=True) if config.n_classes else None
        self.real, self.fake = device.empty((n, 1, 1, 1)), device.empty((n, 1, 1, 1))  # the labels 1 and 0
        ops.fill(device, self.real, 1.0)
        ops.fill(device, self.fake, 0.0)
        self.gradient = device.empty((n, 1, 1, 1))
        self.told = device.zeros((self.workers.size, 3, 2))  # of each worker: its results
        self.results = self.told[self.workers.rank]  # loss and mean probability of: D on real, D on fake, G
        self._given = None, None  # the last step's images and labels
        self._graph: Graph | None = None  # the launches of a step on them
        self._stepped_by: threading.Thread | None = None  # the last step's thread
        self._turn = threading.Lock()  # one step at a time

    def _random(self, stream: str, part: bool = False) -> Random:
        mine = (self.workers.rank, self.workers.size) if part else (0, 1)
        return Random(self.device, self.config.seed, STREAMS[stream], mine)

    def draw_z(self, z, random: Random):
        """Fills z from the prior: uniform in [-1, 1] (the paper's), or normal."""
        return random.uniform(z, -1.0, 1.0) if self.config.prior == "uniform" else random.normal(z)

    def step(self, real, z=None, read: bool = True, labels=None, fake_labels=None) -> Step | None:
        """One update of D, then one of G. Threads that call it at once step one after the other.

        real: [batch_size, height, width, channels] in [-1, 1].   z: [batch_size, 1, 1, z_dim], drawn where
        None.
        labels: the classes of the real images, int32 [batch_size], of a conditional run.   fake_labels: those of the
        fakes, drawn where None. With several workers each gives its own share of the batch.
        read: wait for the result and return it; otherwise return None at once (a GPU goes on working).

        The first step on an array, or of a thread, runs launch by launch; from the second on all launches are replayed
        at once, with no Python between them. So give the same array each time, with new images in it.
        """
        with self._turn:
            thread = threading.current_thread()
            drawn = z is None and fake_labels is None
            same = real is self._given[0] and labels is self._given[1]
            if not drawn or not same or thread is not self._stepped_by:
                self._launch_step(real, z, labels, fake_labels)
                self._given, self._graph = (real, labels) if drawn else (None, None), None
                self._stepped_by = thread
            else:
                if self._graph is None:
                    self._graph = self.device.capture(lambda: self._launch_step(real, None, labels, None))
                self._graph.launch()
            return self.read() if read else None

    def _launch_step(self, real, z, labels=None, fake_labels=None) -> None:
        d, g = self.d, self.g
        self.gradients.rewind()
        if z is None:
            z = self.draw_z(self.z, self.random_z)
        if fake_labels is None and self.random_labels is not None:
            fake_labels = self.random_labels.integers(self.labels, self.config.n_classes or 1)

        # 1. D learns: real images are 1, generated ones 0. Both gradients add up, then one update.
        d.zero_grads()
        self._loss(d.given(labels).logits.forward(real), self.real, self.results[0])
        d.logits.backward(self.gradient, input_grad=False)
        fake = g.given(fake_labels).forward(z)
        self._loss(d.given(fake_labels).logits.forward(fake), self.fake, self.results[1])
        d.logits.backward(self.gradient, input_grad=False)
        self.workers.add_up(self.device, d.grad)  # with other workers' gradients, where there are some
        self.adam_d.step()

        # 2. G learns from D's opinion of the same fakes, asked again: D has changed.
        g.zero_grads()
        logits = d.logits.forward(fake)
        if self.config.loss == "minimax":
            self._loss(logits, self.fake, self.results[2], scale=-1.0)  # descend log(1 - D(G(z)))
        else:
            self._loss(logits, self.real, self.results[2])  # ascend log D(G(z))
        dfake = d.logits.backward(self.gradient, param_grads=False)  # through D: nothing uses its weight gradients now
        g.backward(dfake, input_grad=False)
        self.workers.add_up(self.device, g.grad)
        self.adam_g.step()
        if self.average is not None:
            self.average.step()
        self.workers.gather(self.device, self.told)

    def _loss(self, logits, target, result, scale: float = 1.0) -> None:
        scale /= self.workers.size  # the sum of all workers' gradients is that of the whole batch's mean
        losses.bce_with_logits(logits, target, device=self.device, scale=scale, gradient=self.gradient, result=result)

    def read(self) -> Step:
        """The results of the last step."""
        told = self.device.numpy(self.told).tolist()
        (real, d_real), (fake, d_fake), (loss_g, d_fake_after) = (
            (sum(loss), sum(probability) / len(told)) for loss, probability in (zip(*which) for which in zip(*told))
        )
        return Step(real + fake, loss_g, d_real, d_fake, d_fake_after)

    def state(self) -> dict:
        """Name -> NumPy array:

        All that the next step depends on, but for the images' order, which the step's number gives.
        """
        arrays = {f"random.{name}": self.device.numpy(random.state) for name, random in self._streams()}
        for name, network, adam in self._parts():
            arrays |= {f"{name}.{key}": values for key, values in network.state_dict().items()}
            for moment, flat in (("m", adam.m), ("v", adam.v)):
                arrays |= {f"{name}.adam.{moment}.{key}": values for key, values in network.state_dict(flat).items()}
            arrays[f"{name}.adam.state"] = self.device.numpy(adam.state)
        if self.average is not None:
            averages = self.g.state_dict(self.average.average)
            arrays |= {f"generator_ema.{key}": values for key, values in averages.items()}
        return arrays

    def shapes(self) -> dict[str, tuple[str, tuple]]:
        """Name -> (dtype, shape) of what state() gives."""
        small = {f"random.{name}": random.state for name, random in self._streams()}
        small |= {f"{name}.adam.state": adam.state for name, _, adam in self._parts()}
        shapes = {name: (str(array.dtype), tuple(array.shape)) for name, array in small.items()}
        flats = [(f"{n}.{p}", net, flat) for n, net, a in self._parts()
                 for p, flat in (("", None), ("adam.m.", a.m), ("adam.v.", a.v))]  # fmt: skip
        if self.average is not None:
            flats.append(("generator_ema.", self.g, self.average.average))
        for prefix, network, flat in flats:
            shapes |= {prefix + key: value for key, value in network.shapes(flat).items()}
        return shapes

    def load_state(self, arrays: dict) -> None:
        """Takes what state() gives: names, shapes and types must be those."""
        for name, random in self._streams():
            self.device.upload(random.state, arrays[f"random.{name}"])
        for name, network, adam in self._parts():
            for prefix, flat in ((f"{name}.", None), (f"{name}.adam.m.", adam.m), (f"{name}.adam.v.", adam.v)):
                network.load_state_dict({key: arrays[prefix + key] for key in network.state_dict(flat)}, flat)
            self.device.upload(adam.state, arrays[f"{name}.adam.state"])
        if self.average is not None:
            flat = self.average.average
            self.g.load_state_dict({key: arrays[f"generator_ema.{key}"] for key in self.g.state_dict(flat)}, flat)

    def begin_with(self, networks: dict) -> None:
        """Weights from elsewhere instead of drawn ones.   networks: "generator", "discriminator" -> a state_dict."""
        for name, network, _ in self._parts():
            if name in networks:
                network.load_state_dict(networks[name])
        if self.average is not None:
            self.average.restart()

    def weights(self) -> dict:
        """Name -> state_dict: generator, discriminator, and with --ema generator_ema (G's running statistics in it)."""
        found = {name: network.state_dict() for name, network, _ in self._parts()}
        if self.g_ema is not None:
            found["generator_ema"] = self.g_ema.state_dict()
        return found

    def _streams(self):
        labels = [("labels", self.random_labels)] if self.random_labels else []
        return [("z", self.random_z), *labels]

    def _parts(self):
        return ("generator", self.g, self.adam_g), ("discriminator", self.d, self.adam_d)

    def sample(self, z, averaged: bool = False, labels=None):
        """G(z) in evaluation mode, float in [-1, 1], [N, height, width, channels]: no image depends on the others.

        averaged: with the averaged weights, of a run with --ema.   labels: int32 [N], of a conditional run.
        """
        g = self.g_ema if averaged else self.g
        if g is None:
            raise UserError("Trainer.sample: averaged: need a run with an average (ema), got one without")
        return g.given(labels).forward(z, training=False)

    def fixed_z(self, count: int):
        """The same latent vectors each time it is asked: to see one picture change as training goes on."""
        return self.draw_z(self.device.empty((count, 1, 1, self.config.z_dim)), self._random("fixed_z"))
