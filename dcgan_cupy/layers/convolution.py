"""The two convolutions. They share their kernels: each one's backward pass is the other's forward pass."""

from .. import ops
from ..errors import UserError
from ..random import Random
from .base import Layer, need_image, need_sizes
from .initialise import initialise


class Convolution(Layer):
    """What both convolutions share: sizes, weights, the layout of a checkpoint."""

    def __init__(
        self, in_channels, out_channels, kernel_size, stride, padding, bias, device, kernels, groups, dilation
    ):
        super().__init__(device)
        where = type(self).__name__
        need_sizes(where, in_channels=in_channels, out_channels=out_channels)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = ops.pair(where, "kernel_size", kernel_size, 1)
        self.stride = ops.pair(where, "stride", stride, 1)
        self.padding = ops.pair(where, "padding", padding, 0)
        for name, value in (("groups", groups), ("dilation", dilation)):
            if value not in (1, (1, 1)):
                raise UserError(f"{where}: {name}: need 1 (no kernel here does more), got {value!r}")
        self.rung = ops.rung_of(where, kernels)

    def _add_weights(self, shape: tuple, bias: bool) -> None:
        self._add_param("weight", shape)
        if bias:
            self._add_param("bias", (self.out_channels,))
        initialise(self, Random(self.device))

    def forward(self, x, training=True, epilogue=ops.NONE):
        """[N, H, W, in_channels] -> [N, OH, OW, out_channels]

        epilogue: an activation behind it, in the same pass; for the rungs FUSED only.
        """
        need_image(f"{type(self).__name__}.forward", x, self.in_channels)
        y = self.result(x)
        self.run(x, self.params["weight"], y, epilogue)
        self._saved = x
        return y

    def backward(self, dy, param_grads=True, input_grad=True):
        """[N, OH, OW, out_channels] -> [N, H, W, in_channels]"""
        x = self._take_saved()
        if param_grads:
            self.weight_gradient(x, dy, self.grads["weight"])
            self.bias_gradient(dy)
        return self.input_gradient(dy, self.params["weight"], x.shape) if input_grad else None

    def result(self, x):
        """Where y of x goes."""
        raise NotImplementedError

    def run(self, x, weight, y, epilogue=ops.NONE) -> None:
        """y of x, with weights of any number of input channels."""
        raise NotImplementedError

    def weight_gradient(self, x, dy, dw) -> None:
        """dw += that of dy."""
        raise NotImplementedError

    def bias_gradient(self, dy) -> None:
        """Adds that of dy, where there is a bias."""
        if "bias" in self.grads:
            ops.conv2d_backward_bias(self.device, dy, self.grads["bias"], self.rung)

    def input_gradient(self, dy, weight, shape: tuple):
        """dx, of this shape."""
        raise NotImplementedError

    def state(self):
        """Weights in PyTorch's layout: [kh, kw, i, o] to [o, i, kh, kw]."""
        return [(name, a, (3, 2, 0, 1) if name == "weight" else None) for name, a in self.params.items()]


class Conv2d(Convolution):
    """y[n,oh,ow,oc] = bias[oc] + sum over kh, kw, ic of x[n, oh*s-p+kh, ow*s-p+kw, ic] * weight[kh,kw,ic,oc].

    Shapes: x [N, H, W, in_channels], y [N, OH, OW, out_channels], OH = (H + 2p - k) // s + 1; weight [kh, kw, ic, oc].
    Arguments: kernel_size, stride, padding an int or an (h, w) pair; kernels the rung (default: the fastest).
    Saves: x.   Raises: UserError for impossible sizes, groups or dilation other than 1, an unknown rung.
    Source: Radford et al. 2015, section 3: strided convolutions instead of pooling.
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        bias=True,
        *,
        device,
        kernels=None,
        groups=1,
        dilation=1,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, bias, device, kernels, groups, dilation
        )
        self._add_weights((*self.kernel_size, in_channels, out_channels), bias)

    def result(self, x):
        """[N, OH, OW, out_channels]"""
        size = (
            ops.conv2d_output_size("Conv2d.forward", *v)
            for v in zip(x.shape[1:3], self.kernel_size, self.stride, self.padding)
        )
        return self.output("y", (x.shape[0], *size, self.out_channels), x)

    def run(self, x, weight, y, epilogue=ops.NONE) -> None:
        """The convolution."""
        bias = self.params.get("bias")
        ops.conv2d_forward(self.device, x, weight, bias, y, self.stride, self.padding, self.rung, True, epilogue)

    def weight_gradient(self, x, dy, dw) -> None:
        """dw += that of dy."""
        ops.conv2d_backward_weight(self.device, x, dy, dw, self.stride, self.padding, self.rung, known=True)

    def input_gradient(self, dy, weight, shape: tuple):
        """dx, of this shape."""
        dx = self.place(self, dy, shape)
        ops.conv2d_backward_input(self.device, dy, weight, None, dx, self.stride, self.padding, self.rung, known=True)
        return dx


class ConvTranspose2d(Convolution):
    """The transposed convolution: each input value, times the kernel, added onto the outputs it reaches.

    Shapes: x [N, H, W, in_channels], y [N, OH, OW, out_channels], OH = s*(H-1) + k - 2p + output_padding;
    weight [kh, kw, out_channels, in_channels]: a convolution's weight that would lead from y to x.
    The rung `textbook` inserts zeros, pads and convolves (four steps); the others use that it is conv2d's
    backward_input.
    Saves: x.   Raises: UserError for impossible sizes, output_padding not below stride, an unknown rung.
    Source: Radford et al. 2015, section 3: fractionally-strided convolutions; Dumoulin & Visin 2016, chapter 4.
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        bias=True,
        *,
        device,
        kernels=None,
        groups=1,
        dilation=1,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, bias, device, kernels, groups, dilation
        )
        self.output_padding = ops.pair("ConvTranspose2d", "output_padding", output_padding, 0)
        if any(o >= s for o, s in zip(self.output_padding, self.stride)):
            raise UserError(
                f"ConvTranspose2d: output_padding: need less than stride {self.stride}, got {self.output_padding}"
            )
        self._add_weights((*self.kernel_size, out_channels, in_channels), bias)

    def result(self, x):
        """[N, OH, OW, out_channels]"""
        size = (
            ops.conv_transpose2d_output_size("ConvTranspose2d.forward", *v)
            for v in zip(x.shape[1:3], self.kernel_size, self.stride, self.padding, self.output_padding)
        )
        return self.output("y", (x.shape[0], *size, self.out_channels), x)

    def run(self, x, weight, y, epilogue=ops.NONE) -> None:
        """A convolution's input gradient; the textbook's four steps."""
        if self.rung == "textbook":
            self._four_steps(x, weight, y)
            return
        bias = self.params.get("bias")
        ops.conv2d_backward_input(self.device, x, weight, bias, y, self.stride, self.padding, self.rung, True, epilogue)

    def _four_steps(self, x, weight, y) -> None:
        """z and p', zeros inserted, padded, then an ordinary convolution with stride 1 (the seeds' section 2.2)."""
        size = (
            ops.zero_insert_size(*v)
            for v in zip(x.shape[1:3], self.kernel_size, self.stride, self.padding, self.output_padding)
        )
        z = self._buffer("z", (x.shape[0], *size, self.in_channels))
        flipped = self._buffer("flipped", (*self.kernel_size, self.in_channels, self.out_channels))
        ops.zero_insert(self.device, x, z, self.kernel_size, self.stride, self.padding)
        ops.flip_kernel(self.device, weight, flipped)
        ops.conv2d_forward(self.device, z, flipped, self.params.get("bias"), y, (1, 1), (0, 0), self.rung, known=True)

    def weight_gradient(self, x, dy, dw) -> None:
        """A convolution's, from y to x."""
        ops.conv2d_backward_weight(self.device, dy, x, dw, self.stride, self.padding, self.rung, known=True)

    def input_gradient(self, dy, weight, shape: tuple):
        """A convolution."""
        dx = self.place(self, dy, shape)
        ops.conv2d_forward(self.device, dy, weight, None, dx, self.stride, self.padding, self.rung, known=True)
        return dx
