"""Layers: forward, backward written out by hand, parameters and their gradients. No array library here: kernels do the work.

The contract: y = forward(x), then dx = backward(dy), once. Parameter gradients add up until zero_grads(); activation
gradients are set. Outputs lie in buffers that a layer makes at the first call of a shape and uses again at the next: copy
what must outlive the next forward or backward of the same layer.
"""

from itertools import pairwise

from . import ops
from .errors import UserError
from .random import Random

KEPT_SHAPES = 4      # buffers of this many shapes are kept for each purpose, so that a sample between steps costs no allocation

DEFAULT_RUNG = {"cpu": "best", "gpu": "best"}
"""The rung of the convolutions where `kernels` is not given."""


class Layer:
    """What every layer has: params, grads and buffers by name, forward and backward."""

    def __init__(self, device):
        self.device = device
        self.params, self.grads, self.buffers = {}, {}, {}
        self._saved = None
        self._made = {}
        self.shares_gradient = self.overwrites_dy = False     # share_gradients

    def forward(self, x, training: bool = True):
        """y of x. training=False uses running statistics and changes nothing that lasts."""
        raise NotImplementedError

    def backward(self, dy, param_grads: bool = True, input_grad: bool = True):
        """dx of dy, for the last forward, once. Adds to grads where param_grads; returns None where not input_grad."""
        raise NotImplementedError

    def children(self):
        """(name, layer) of the layers inside."""
        return ()

    def walk(self, prefix: str = ""):
        """(dotted name, layer) of this layer and all inside it, in order."""
        yield prefix, self
        for name, child in self.children():
            yield from child.walk(f"{prefix}.{name}" if prefix else name)

    def zero_grads(self) -> None:
        """Sets all parameter gradients to 0."""
        for _, layer in self.walk():
            for grad in layer.grads.values():
                ops.fill(self.device, grad, 0.0)

    def state(self):
        """(name, array, axes) of all that a checkpoint holds; `axes` permutes to PyTorch's layout (None: none needed)."""
        return [(name, a, None) for name, a in (*self.params.items(), *self.buffers.items())]

    def _buffer(self, name: str, shape: tuple, dtype: str = "float32"):
        """An array of this layer for one purpose; the same one each time the shape comes again."""
        made = self._made.setdefault(name, {})
        if (shape, dtype) not in made:
            if len(made) == KEPT_SHAPES:
                del made[next(iter(made))]
            made[shape, dtype] = self.device.empty(shape, dtype)
        return made[shape, dtype]

    def _gradient(self, shape: tuple):
        """Where dx goes: an array of the layer's own, or as share_gradients has it."""
        return self.device.gradient(shape) if self.shares_gradient else self._buffer("dx", shape)

    def _add_param(self, name: str, shape: tuple) -> None:
        self.params[name] = self.device.empty(shape)
        self.grads[name] = self.device.zeros(shape)

    def _take_saved(self):
        saved, self._saved = self._saved, None
        if saved is None:
            raise RuntimeError(f"{type(self).__name__}.backward: need one forward before each backward, got none")
        return saved


def _sizes(where: str, **values) -> None:
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{where}: {name}: need a whole number of at least 1, got {value!r}")


def _image(where: str, x, channels: int) -> None:
    if len(x.shape) != 4 or x.shape[3] != channels or 0 in x.shape:
        raise UserError(f"{where}: x: need [n, h, w, {channels}] without an empty axis, got {tuple(x.shape)}")


class _Convolution(Layer):
    """What both convolutions share: sizes, weights, the layout of a checkpoint."""

    def __init__(self, in_channels, out_channels, kernel_size, stride, padding, bias, device, kernels, groups, dilation):
        super().__init__(device)
        where = type(self).__name__
        _sizes(where, in_channels=in_channels, out_channels=out_channels)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = ops.pair(where, "kernel_size", kernel_size, 1)
        self.stride = ops.pair(where, "stride", stride, 1)
        self.padding = ops.pair(where, "padding", padding, 0)
        for name, value in (("groups", groups), ("dilation", dilation)):
            if value not in (1, (1, 1)):
                raise UserError(f"{where}: {name}: need 1 (no kernel here does more), got {value!r}")
        self.rung, self.activation = kernels or DEFAULT_RUNG[device.kind], "v"     # the activation behind it, set by fuse
        ops.check_rung(where, self.rung)

    def _add_weights(self, shape: tuple, bias: bool) -> None:
        self._add_param("weight", shape)
        if bias:
            self._add_param("bias", (self.out_channels,))
        initialise(self, Random(self.device))

    def state(self):
        """Weights in PyTorch's layout: [kh, kw, i, o] to [o, i, kh, kw]."""
        return [(name, a, (3, 2, 0, 1) if name == "weight" else None) for name, a in self.params.items()]


class Conv2d(_Convolution):
    """y[n,oh,ow,oc] = bias[oc] + sum over kh, kw, ic of x[n, oh*s-p+kh, ow*s-p+kw, ic] * weight[kh,kw,ic,oc].

    Shapes: x [N, H, W, in_channels], y [N, OH, OW, out_channels], OH = (H + 2p - k) // s + 1; weight [kh, kw, ic, oc].
    Arguments: kernel_size, stride, padding an int or an (h, w) pair; kernels the rung (default: DEFAULT_RUNG).
    Saves: x.   Raises: UserError for impossible sizes, groups or dilation other than 1, an unknown rung.
    Source: Radford et al. 2015, section 3: strided convolutions instead of pooling.
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True, *, device, kernels=None,
                 groups=1, dilation=1):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias, device, kernels, groups, dilation)
        self._add_weights((*self.kernel_size, in_channels, out_channels), bias)

    def forward(self, x, training=True):
        """[N, H, W, in_channels] -> [N, OH, OW, out_channels]"""
        _image("Conv2d.forward", x, self.in_channels)
        size = (ops.conv2d_output_size("Conv2d.forward", *v) for v in zip(x.shape[1:3], self.kernel_size, self.stride, self.padding))
        y = self._buffer("y", (x.shape[0], *size, self.out_channels))
        bias = self.params.get("bias")
        ops.conv2d_forward(self.device, x, self.params["weight"], bias, y, self.stride, self.padding, self.rung, True,
                           self.activation)
        self._saved = x
        return y

    def backward(self, dy, param_grads=True, input_grad=True):
        """[N, OH, OW, out_channels] -> [N, H, W, in_channels]"""
        x = self._take_saved()
        if param_grads:
            ops.conv2d_backward_weight(self.device, x, dy, self.grads["weight"], self.stride, self.padding, self.rung, known=True)
            if "bias" in self.grads:
                ops.conv2d_backward_bias(self.device, dy, self.grads["bias"], self.rung)
        if not input_grad:
            return None
        dx = self._gradient(x.shape)
        ops.conv2d_backward_input(self.device, dy, self.params["weight"], None, dx, self.stride, self.padding, self.rung, known=True)
        return dx


class ConvTranspose2d(_Convolution):
    """The transposed convolution: each input value, times the kernel, added onto the outputs it reaches.

    Shapes: x [N, H, W, in_channels], y [N, OH, OW, out_channels], OH = s*(H-1) + k - 2p + output_padding;
    weight [kh, kw, out_channels, in_channels]: a convolution's weight that would lead from y to x.
    The rung `textbook` inserts zeros, pads and convolves (four steps); the others use that it is conv2d's backward_input.
    Saves: x.   Raises: UserError for impossible sizes, output_padding not below stride, an unknown rung.
    Source: Radford et al. 2015, section 3: fractionally-strided convolutions; Dumoulin & Visin 2016, chapter 4.
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, bias=True, *, device,
                 kernels=None, groups=1, dilation=1):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias, device, kernels, groups, dilation)
        self.output_padding = ops.pair("ConvTranspose2d", "output_padding", output_padding, 0)
        if any(o >= s for o, s in zip(self.output_padding, self.stride)):
            raise UserError(f"ConvTranspose2d: output_padding: need less than stride {self.stride}, got {self.output_padding}")
        self._add_weights((*self.kernel_size, out_channels, in_channels), bias)

    def forward(self, x, training=True):
        """[N, H, W, in_channels] -> [N, OH, OW, out_channels]"""
        where = "ConvTranspose2d.forward"
        _image(where, x, self.in_channels)
        size = (ops.conv_transpose2d_output_size(where, *v)
                for v in zip(x.shape[1:3], self.kernel_size, self.stride, self.padding, self.output_padding))
        y = self._buffer("y", (x.shape[0], *size, self.out_channels))
        if self.rung == "textbook":
            self._four_steps(x, y)
        else:
            bias = self.params.get("bias")
            ops.conv2d_backward_input(self.device, x, self.params["weight"], bias, y, self.stride, self.padding, self.rung, True,
                                      self.activation)
        self._saved = x
        return y

    def _four_steps(self, x, y) -> None:
        """z and p', zeros inserted, padded, then an ordinary convolution with stride 1 (the seeds' section 2.2)."""
        size = (ops.zero_insert_size(*v) for v in zip(x.shape[1:3], self.kernel_size, self.stride, self.padding, self.output_padding))
        z = self._buffer("z", (x.shape[0], *size, self.in_channels))
        flipped = self._buffer("flipped", (*self.kernel_size, self.in_channels, self.out_channels))
        ops.zero_insert(self.device, x, z, self.kernel_size, self.stride, self.padding)
        ops.flip_kernel(self.device, self.params["weight"], flipped)
        ops.conv2d_forward(self.device, z, flipped, self.params.get("bias"), y, (1, 1), (0, 0), self.rung, known=True)

    def backward(self, dy, param_grads=True, input_grad=True):
        """[N, OH, OW, out_channels] -> [N, H, W, in_channels]: what runs here are a convolution's forward and weight gradient."""
        x = self._take_saved()
        if param_grads:
            ops.conv2d_backward_weight(self.device, dy, x, self.grads["weight"], self.stride, self.padding, self.rung, known=True)
            if "bias" in self.grads:
                ops.conv2d_backward_bias(self.device, dy, self.grads["bias"], self.rung)
        if not input_grad:
            return None
        dx = self._gradient(x.shape)
        ops.conv2d_forward(self.device, dy, self.params["weight"], None, dx, self.stride, self.padding, self.rung, known=True)
        return dx


class BatchNorm2d(Layer):
    """y = weight * (x - mean) / sqrt(var + eps) + bias, by channel; mean and var of the batch, or running ones in evaluation.

    Shapes: x, y [..., num_features].   Saves: x and the statistics used.
    With the rung `tiled` it can take over the ReLU or LeakyReLU behind it (`slope`, set by fuse): y is then that layer's.
    Raises: UserError for sizes below 1, eps <= 0, momentum outside [0, 1], a training batch of one value a channel.
    Source: Ioffe & Szegedy 2015; PyTorch's conventions (running variance unbiased, momentum the weight of the new value).
    """

    def __init__(self, num_features, eps=1e-5, momentum=0.1, *, device, kernels=None):
        super().__init__(device)
        _sizes("BatchNorm2d", num_features=num_features)
        if not eps > 0:
            raise UserError(f"BatchNorm2d: eps: need more than 0, got {eps!r}")
        if not 0 <= momentum <= 1:
            raise UserError(f"BatchNorm2d: momentum: need 0 to 1, got {momentum!r}")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.rung, self.slope = kernels or DEFAULT_RUNG[device.kind], 1.0
        ops.check_rung("BatchNorm2d", self.rung)
        self._add_param("weight", (num_features,))
        self._add_param("bias", (num_features,))
        self.buffers = {"running_mean": device.zeros((num_features,)), "running_var": device.empty((num_features,)),
                        "num_batches_tracked": device.zeros((1,), "int64")}
        ops.fill(device, self.params["weight"], 1.0)
        ops.fill(device, self.params["bias"], 0.0)
        ops.fill(device, self.buffers["running_var"], 1.0)

    def forward(self, x, training=True):
        """[..., num_features] -> the same shape"""
        if len(x.shape) < 2 or x.shape[-1] != self.num_features:
            raise UserError(f"BatchNorm2d.forward: x: need [..., {self.num_features}], got {tuple(x.shape)}")
        y = self._buffer("y", x.shape)
        statistics = (self._fused_forward if self.rung in ops.FUSED else self._textbook_forward)(x, y, training)
        self._saved = x, *statistics, training
        return y

    def backward(self, dy, param_grads=True, input_grad=True):
        """[..., num_features] -> the same shape"""
        x, *statistics, training = self._take_saved()
        dx = None if not input_grad else dy if self.overwrites_dy else self._gradient(x.shape)
        (self._fused_backward if self.rung in ops.FUSED else self._textbook_backward)(x, dy, dx, *statistics, training, param_grads)
        return dx

    def _channels(self, name: str):
        return self._buffer(name, (self.num_features,))

    def _textbook_forward(self, x, y, training):
        if training:
            mean, var = self._channels("mean"), self._channels("var")
            ops.batchnorm_statistics(self.device, x, mean, var, *self.buffers.values(), self.momentum)
        else:
            mean, var = self.buffers["running_mean"], self.buffers["running_var"]
        ops.batchnorm_forward(self.device, x, mean, var, self.params["weight"], self.params["bias"], y, self.eps)
        return mean, var

    def _textbook_backward(self, x, dy, dx, mean, var, training, param_grads):
        sums = self._channels("sum_dy"), self._channels("sum_dy_xhat")
        if param_grads or training:
            ops.batchnorm_backward_sums(self.device, x, dy, mean, var, *sums, self.eps)
        if param_grads:
            ops.add(self.device, sums[1], self.grads["weight"])
            ops.add(self.device, sums[0], self.grads["bias"])
        if dx is not None:
            used = sums if training else (None, None)
            ops.batchnorm_backward_input(self.device, x, dy, mean, var, self.params["weight"], *used, dx, self.eps)

    def _fused_forward(self, x, y, training):
        rstd, scale = self._channels("rstd"), self._channels("scale")
        gamma, beta = self.params["weight"], self.params["bias"]
        if training:
            mean = self._channels("mean")
            ops.batchnorm_batch(self.device, x, gamma, mean, rstd, scale, *self.buffers.values(), self.momentum, self.eps)
        else:
            mean = self.buffers["running_mean"]
            ops.batchnorm_running_scale(self.device, self.buffers["running_var"], gamma, rstd, scale, self.eps)
        ops.batchnorm_activation_forward(self.device, x, mean, scale, beta, y, self.slope)
        return mean, rstd, scale

    def _fused_backward(self, x, dy, dx, mean, rstd, scale, training, param_grads):
        sums = self._buffer("sums", (2, self.num_features))
        grads = (self.grads["weight"], self.grads["bias"]) if param_grads else (None, None)
        beta = self.params["bias"]
        ops.batchnorm_activation_backward(self.device, x, dy, mean, rstd, scale, beta, sums, *grads, dx, self.slope, training)


class _Activation(Layer):
    """An element-wise layer whose gradient needs its output only. Shapes: x, y, dy, dx all equal, any rank. Saves: y."""

    expression = None             # y as a C expression of v = x, where the layer before may compute it

    def __init__(self, forward_op, backward_op, *constants, device):
        super().__init__(device)
        self._forward_op, self._backward_op, self._constants = forward_op, backward_op, constants
        self.absorbed = ""        # by the layer before (fuse): "forward": x is y already; "both": and dy is passed on as it is

    def forward(self, x, training=True):
        """Any shape -> the same shape"""
        if self.absorbed == "both":
            return x
        y = x
        if not self.absorbed:
            y = self._buffer("y", x.shape)
            self._forward_op(self.device, x, y, *self._constants)
        self._saved = y
        return y

    def backward(self, dy, param_grads=True, input_grad=True):
        """Any shape -> the same shape"""
        if self.absorbed == "both":
            return dy
        y = self._take_saved()
        if not input_grad:
            return None
        dx = self._gradient(y.shape)
        self._backward_op(self.device, y, dy, dx, *self._constants)
        return dx


class ReLU(_Activation):
    """y = max(x, 0).   Source: Radford et al. 2015, section 3: in the generator."""

    slope, expression = 0.0, "v < 0.0f ? 0.0f : v"

    def __init__(self, *, device):
        super().__init__(ops.relu_forward, ops.relu_backward, device=device)


class LeakyReLU(_Activation):
    """y = x where x > 0, else slope * x.

    Raises: UserError if slope <= 0: the gradient reads the sign of x from y.
    Source: Radford et al. 2015, section 3: in the discriminator, slope 0.2.
    """

    def __init__(self, slope=0.2, *, device):
        if not slope > 0:
            raise UserError(f"LeakyReLU: slope: need more than 0, got {slope!r}")
        super().__init__(ops.leaky_relu_forward, ops.leaky_relu_backward, slope, device=device)
        self.slope, self.expression = slope, f"v > 0.0f ? v : {float(slope)!r}f * v"


class Tanh(_Activation):
    """y = tanh(x).   Source: Radford et al. 2015, section 3: the generator's output, images in [-1, 1]."""

    expression = "tanhf(v)"

    def __init__(self, *, device):
        super().__init__(ops.tanh_forward, ops.tanh_backward, device=device)


class Sigmoid(_Activation):
    """y = 1 / (1 + exp(-x)).   The discriminator's output, a probability."""

    def __init__(self, *, device):
        super().__init__(ops.sigmoid_forward, ops.sigmoid_backward, device=device)


class Sequential(Layer):
    """Layers one after the other; children are named 0, 1, 2 …"""

    def __init__(self, *layers, device):
        super().__init__(device)
        self.layers = list(layers)

    def children(self):
        """(number, layer), in order."""
        return [(str(i), layer) for i, layer in enumerate(self.layers)]

    def forward(self, x, training=True):
        """The last layer's output."""
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, dy, param_grads=True, input_grad=True):
        """The first layer's input gradient, or None where not input_grad."""
        for i, layer in reversed(list(enumerate(self.layers))):
            dy = layer.backward(dy, param_grads, input_grad or i > 0)
        return dy


def fuse(layer: Layer) -> None:
    """The one place where layers are joined, in every Sequential inside `layer`, for the rungs ops.FUSED.

    A BatchNorm2d takes over the ReLU or LeakyReLU behind it, forward and backward: two passes over memory fewer. A convolution
    takes over the forward pass of an activation behind it: one pass fewer (not a Sigmoid's: the loss wants the logits before it).
    Results are the same but for rounding.
    """
    for _, part in layer.walk():
        inside = [child for _, child in part.children()]
        for first, second in pairwise(inside):
            if getattr(first, "rung", None) not in ops.FUSED:
                continue
            if isinstance(first, BatchNorm2d) and isinstance(second, ReLU | LeakyReLU):
                first.slope, second.absorbed = second.slope, "both"
            elif isinstance(first, _Convolution) and getattr(second, "expression", None):
                first.activation, second.absorbed = second.expression, "forward"


def share_gradients(layer: Layer, first: bool = False) -> None:
    """Saves memory inside `layer`, whose layers must be in one line: each dx is read by the layer before and then forgotten.

    They lie in two arrays of the device that take turns (Device.gradient), shared by all its networks; batch norms inside write dx
    over dy, where that is another layer's and not the caller's. The first layer's dx, which callers see, keeps an array of its own
    unless `first`. Call it after fuse.
    """
    line = [part for _, part in layer.walk() if not part.children()]
    for i, part in enumerate(line):
        from_inside = any(getattr(later, "absorbed", "") != "both" for later in line[i + 1:])      # an absorbed one passes its dy on
        part.shares_gradient = i > 0 or first
        part.overwrites_dy = i > 0 and isinstance(part, BatchNorm2d) and from_inside


def initialise(layer: Layer, random: Random, std: float = 0.02, bn_gain_mean: float = 1.0) -> None:
    """Draws all weights inside a layer from N(0, std), batch-norm gains from N(bn_gain_mean, std); biases are 0.

    Source: Radford et al. 2015, section 4 (std 0.02); gains: the paper's code draws N(1, .02), the second seed N(0, .02).
    """
    for _, part in layer.walk():
        for name, array in part.params.items():
            if name == "bias":
                ops.fill(part.device, array, 0.0)
            else:
                random.normal(array, bn_gain_mean if isinstance(part, BatchNorm2d) else 0.0, std)
