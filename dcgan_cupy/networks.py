"""The networks of the seeds and of PyTorch's example, for images of 12 to 512 pixels.

m * 2^k pixels, m from 3 to 7, take k stages of stride 2 and one of kernel m: 4, as in both originals, at powers of two.
"""

from typing import NamedTuple

from . import ops
from .errors import UserError
from .layers import (
    BatchNorm2d,
    BatchNorm2dOfWorkers,
    Conv2d,
    ConvTranspose2d,
    Labels,
    Layer,
    LeakyReLU,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    condition,
    fuse,
    initialise,
)
from .memory import Turns, share_gradients
from .sizes import Stages, need_size, stages

ALIGN = (
    16  # parameters start on multiples of this many floats in their flat buffer: 64 bytes, so wide loads stay aligned
)


def _check(where: str, image_size, channels_img: int, **sizes) -> Stages:
    """The stages that lead to this size.   Raises: UserError."""
    image_size = need_size(f"{where}: image_size", image_size)
    if channels_img not in (1, 3):
        raise UserError(f"{where}: channels_img: need 1 (grey) or 3 (colour), got {channels_img!r}")
    for name, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise UserError(f"{where}: {name}: need a whole number of at least 1, got {value!r}")
    found = stages(image_size)
    assert found is not None  # need_size has seen to it
    return found


def _numbers(where: str, name: str, value, array):
    """A NumPy array, or a PyTorch tensor, as an array of the device array's type.   Raises: UserError."""
    value = value.detach().cpu() if hasattr(value, "detach") else value
    value = value.float() if str(value.dtype) == "torch.bfloat16" else value  # NumPy has no such type
    value = value.numpy() if hasattr(value, "numpy") else value
    if not hasattr(value, "dtype") or value.dtype.kind not in "fiu":
        raise UserError(f"{where}: {name}: need real numbers, got {getattr(value, 'dtype', type(value).__name__)}")
    return value.astype(str(array.dtype))


class _Network(Sequential):
    """One Sequential under a name, its parameters and gradients in one flat buffer each.

    classes: of a conditional network, whose convolutions take so many channels more, the label's maps; 0: none.
    """

    def __init__(self, name: str, body: Sequential, random, bn_gain_mean: float, device, classes: int = 0):
        super().__init__(body, device=device)
        self.name, self.body = name, body
        self._flatten()
        fuse(self)
        self.labels = Labels(classes) if classes else None
        if self.labels:
            condition(self, self.labels)
        share_gradients(self, Turns(device))
        if random is not None:
            initialise(self, random, bn_gain_mean=bn_gain_mean)

    def given(self, labels) -> "_Network":
        """Itself, for images of these classes: int32 [N] on the device, for this thread's forwards up to the next call.

        None: for a network without classes.   Raises: UserError.
        """
        if self.labels is None and labels is not None:
            raise UserError(f"{type(self).__name__}.given: labels: need none for a network without classes, got some")
        if self.labels is not None:
            self.labels.values = labels
        return self

    def children(self):
        """The name that the seeds' class gives its Sequential."""
        return [(self.name, self.body)]

    def _flatten(self) -> None:
        """Moves every parameter into self.param and every gradient into self.grad; layers keep views."""
        places, total = [], 0
        for _, layer in self.walk():
            for name, array in layer.params.items():
                places.append((layer, name, total))
                total += ops.ceil_div(array.size, ALIGN) * ALIGN
        self.param, self.grad = self.device.zeros((total,)), self.device.zeros((total,))
        for layer, name, start in places:
            old = layer.params[name]
            for flat, views in ((self.param, layer.params), (self.grad, layer.grads)):
                views[name] = flat[start : start + old.size].reshape(old.shape)
            layer.params[name][...] = old

    def only_forward(self, like: "_Network") -> None:
        """Gives up its gradients, and shares the running statistics of another of its kind: it is never trained."""
        self.grad = None
        for (_, mine), (_, other) in zip(self.walk(), like.walk(), strict=True):
            mine.grads, mine.buffers = {}, other.buffers

    def zero_grads(self) -> None:
        """Sets all parameter gradients to 0, in one launch."""
        ops.fill(self.device, self.grad, 0.0)

    def state_dict(self, flat=None) -> dict:
        """Name -> NumPy array, names and layouts of the seeds' nn.Module: loads there with strict=True.

        flat: another buffer laid out as `param` (a moment of Adam, an average of weights), instead of the weights and
        buffers.
        """
        return {
            name: self.device.numpy(array).transpose(axes).copy() if axes else self._unwrapped(name, array)
            for name, array, axes in self._states(flat)
        }

    def shapes(self, flat=None) -> dict[str, tuple[str, tuple]]:
        """Name -> (dtype, shape) of what state_dict gives.   flat: as there."""
        return {
            name: (str(array.dtype), self._torch_shape(name, array, axes)) for name, array, axes in self._states(flat)
        }

    def load_state_dict(self, values: dict, flat=None) -> None:
        """Takes what state_dict gives, or a PyTorch state_dict (CPU tensors).   flat: as there.

        Raises: UserError naming what is missing, unknown, or of another shape; then nothing has been changed.
        """
        where = f"{type(self).__name__}.load_state_dict"
        want = {name: (array, axes) for name, array, axes in self._states(flat)}
        missing, unknown = [k for k in want if k not in values], [k for k in values if k not in want]
        if missing or unknown:
            raise UserError(
                f"{where}: need the names of this network, got "
                + " and ".join(
                    f"{len(names)} {what} (first: {names[0]})"
                    for names, what in ((missing, "missing"), (unknown, "unknown"))
                    if names
                )
            )
        for name, (array, axes) in want.items():
            shape = self._torch_shape(name, array, axes)
            got = getattr(values[name], "shape", None)
            if got is None or tuple(got) != shape:
                got = type(values[name]).__name__ if got is None else tuple(got)
                raise UserError(f"{where}: {name}: need shape {shape}, got {got}")
        ready = [(array, axes, _numbers(where, name, values[name], array)) for name, (array, axes) in want.items()]
        for array, axes, value in ready:  # nothing can fail from here on
            self.device.upload(array, value.transpose(2, 3, 1, 0).copy() if axes else value.reshape(array.shape))

    def _states(self, flat=None):
        """(name, array, axes) of all parameters and buffers; or of the parameters' places in another flat buffer."""
        states = [(f"{path}.{name}", *rest, layer) for path, layer in self.walk() for name, *rest in layer.state()]
        if flat is None:
            return [state[:3] for state in states]
        base, places = self.device.address(self.param), []
        for name, array, axes, layer in states:
            if name.rpartition(".")[2] in layer.params:
                start = (self.device.address(array) - base) // array.itemsize
                places.append((name, flat[start : start + array.size].reshape(array.shape), axes))
        return places

    @staticmethod
    def _torch_shape(name, array, axes):
        if axes:
            return tuple(array.shape[a] for a in axes)
        return () if name.endswith("num_batches_tracked") else tuple(array.shape)

    def _unwrapped(self, name, array):
        return self.device.numpy(array).reshape(self._torch_shape(name, array, None))


def _norm(channels: int, workers, made: dict) -> BatchNorm2d:
    """Of this batch, or of those of all workers."""
    return BatchNorm2dOfWorkers(channels, workers=workers, **made) if workers else BatchNorm2d(channels, **made)


class Family(NamedTuple):
    """In what the seeds' networks and PyTorch's example differ; the rest is one text."""

    name: str  # of the Sequential that holds all layers
    biased: bool  # the convolutions without a batch norm behind them have a bias
    grouped: bool  # a stage's layers lie in a Sequential of their own

    def stage(self, *layers: Layer) -> list[Layer]:
        """The layers of a stage as the body holds them."""
        return [Sequential(*layers, device=layers[0].device)] if self.grouped else list(layers)


class Discriminator(_Network):
    """Image -> probability that it is real, shape [N, 1, 1, 1].

    Shapes: x [N, height, width, channels_img] in [-1, 1].
    Arguments: image_size height and width, or both as "48x80" or (48, 80) (sizes.py); features_d channels after the
    first layer; random a Random that draws the weights (None leaves them as made); kernels the rung; bn_gain_mean the
    mean of the batch-norm gains (1, or 0 as in the second seed); classes of a conditional network, whose forward wants
    given(labels) first; workers (workers/base.py) whose batches batch norm sees as one.
    Source: Radford et al. 2015; the second seed's Discriminator.
    """

    family = Family("disc", biased=True, grouped=True)
    last_stride = 2

    def __init__(
        self,
        channels_img=3,
        features_d=64,
        image_size=64,
        *,
        device,
        kernels=None,
        random=None,
        bn_gain_mean=1.0,
        classes=0,
        workers=None,
    ):
        doublings, small = _check(type(self).__name__, image_size, channels_img, features_d=features_d)
        family, made = self.family, {"device": device, "kernels": kernels}
        stages = [
            Conv2d(channels_img + classes, features_d, 4, 2, 1, family.biased, **made),  # image_size / 2
            LeakyReLU(0.2, device=device),
        ]
        channels = features_d
        for _ in range(doublings - 1):
            stages += family.stage(
                Conv2d(channels + classes, 2 * channels, 4, 2, 1, False, **made),  # size / 2
                _norm(2 * channels, workers, made),
                LeakyReLU(0.2, device=device),
            )
            channels = 2 * channels
        stages.append(Conv2d(channels + classes, 1, small, self.last_stride, 0, family.biased, **made))  # m -> 1
        self.sigmoid = Sigmoid(device=device)
        stages.append(self.sigmoid)
        super().__init__(family.name, Sequential(*stages, device=device), random, bn_gain_mean, device, classes)
        self.logits = Sequential(*self.body.layers[:-1], device=device)
        """All layers but the Sigmoid: the trainer's loss works on logits, where no probability can round to 0 or 1."""


class Generator(_Network):
    """z -> image in [-1, 1].

    Shapes: z [N, 1, 1, z_dim]; result [N, height, width, channels_img].
    Arguments: features_g as in the seeds: at 64 pixels the first stage has 16 * features_g channels, each further one
    half. Others as in Discriminator.
    Source: Radford et al. 2015; the second seed's Generator.
    """

    family = Family("gen", biased=True, grouped=True)
    last_width = 2  # channels before the last layer, in features_g

    def __init__(
        self,
        z_dim=100,
        channels_img=3,
        features_g=64,
        image_size=64,
        *,
        device,
        kernels=None,
        random=None,
        bn_gain_mean=1.0,
        classes=0,
        workers=None,
    ):
        doublings, small = _check(type(self).__name__, image_size, channels_img, z_dim=z_dim, features_g=features_g)
        self.z_dim = z_dim
        family, made = self.family, {"device": device, "kernels": kernels}

        def stage(channels_in, channels_out, kernel, stride, padding):
            return family.stage(
                ConvTranspose2d(channels_in + classes, channels_out, kernel, stride, padding, bias=False, **made),
                _norm(channels_out, workers, made),
                ReLU(device=device),
            )

        channels = self.last_width * features_g << (doublings - 1)
        stages = stage(z_dim, channels, small, 1, 0)  # 1 -> m
        for _ in range(doublings - 1):
            stages += stage(channels, channels // 2, 4, 2, 1)  # size * 2
            channels //= 2
        stages += [
            ConvTranspose2d(channels + classes, channels_img, 4, 2, 1, bias=family.biased, **made),  # image_size
            Tanh(device=device),
        ]
        super().__init__(family.name, Sequential(*stages, device=device), random, bn_gain_mean, device, classes)


class ExampleDiscriminator(Discriminator):
    """PyTorch's examples/dcgan: no biases, one flat Sequential `main`, a last layer of stride 1.

    Shapes, arguments: as Discriminator's.
    Source: pytorch/examples, dcgan/main.py, at any of our sizes; there it is 64 px.
    """

    family = Family("main", biased=False, grouped=False)
    last_stride = 1


class ExampleGenerator(Generator):
    """PyTorch's examples/dcgan: no biases, one flat Sequential `main`.

    Shapes: as Generator's.
    Arguments: features_g as the example's ngf: channels before the last layer; at 64 pixels the first stage has
    8 * features_g, each further one half. Others as in Generator.
    Source: pytorch/examples, dcgan/main.py, at any of our sizes; there it is 64 px.
    """

    family = Family("main", biased=False, grouped=False)
    last_width = 1


CLASSES = {"seeds": (Generator, Discriminator), "example": (ExampleGenerator, ExampleDiscriminator)}
"""Setting `network` -> the classes of G and D."""


def generator(config, device, **options):
    """G as a Config describes it.   options: kernels, random, bn_gain_mean, workers."""
    make, options = CLASSES[config.network][0], {"classes": config.n_classes or 0, **options}
    return make(config.z_dim, config.channels, config.features_g, config.image_size, device=device, **options)


def discriminator(config, device, **options):
    """D as a Config describes it.   options: kernels, random, bn_gain_mean, workers."""
    make, options = CLASSES[config.network][1], {"classes": config.n_classes or 0, **options}
    return make(config.channels, config.features_d, config.image_size, device=device, **options)
