"""The activations, element by element."""

from .. import ops
from ..errors import UserError
from .base import Layer


class Activation(Layer):
    """An element-wise layer whose gradient needs its output only. Shapes: x, y, dy, dx all equal, any rank.

    Saves: y.
    """

    epilogue: ops.Epilogue | None = None  # itself, where the layer before may compute y

    def __init__(self, forward_op, backward_op, *constants, device):
        super().__init__(device)
        self._forward_op, self._backward_op, self._constants = forward_op, backward_op, constants

    def forward(self, x, training=True):
        """Any shape -> the same shape"""
        y = self.output("y", x.shape, x)
        self._forward_op(self.device, x, y, *self._constants)
        self._saved = y
        return y

    def backward(self, dy, param_grads=True, input_grad=True):
        """Any shape -> the same shape"""
        y = self._take_saved()
        return self.gradient(y, dy) if input_grad else None

    def gradient(self, y, dy):
        """dx of dy, where the outputs were y."""
        dx = self.place(self, dy, y.shape)
        self._backward_op(self.device, y, dy, dx, *self._constants)
        return dx


class ReLU(Activation):
    """y = max(x, 0).   Source: Radford et al. 2015, section 3: in the generator."""

    slope, epilogue = 0.0, ops.Epilogue("relu")

    def __init__(self, *, device):
        super().__init__(ops.relu_forward, ops.relu_backward, device=device)


class LeakyReLU(Activation):
    """y = x where x > 0, else slope * x.

    Raises: UserError if slope <= 0: the gradient reads the sign of x from y.
    Source: Radford et al. 2015, section 3: in the discriminator, slope 0.2.
    """

    def __init__(self, slope=0.2, *, device):
        if not slope > 0:
            raise UserError(f"LeakyReLU: slope: need more than 0, got {slope!r}")
        super().__init__(ops.leaky_relu_forward, ops.leaky_relu_backward, slope, device=device)
        self.slope, self.epilogue = slope, ops.Epilogue("leaky_relu", slope)


class Tanh(Activation):
    """y = tanh(x).   Source: Radford et al. 2015, section 3: the generator's output, images in [-1, 1]."""

    epilogue = ops.Epilogue("tanh")

    def __init__(self, *, device):
        super().__init__(ops.tanh_forward, ops.tanh_backward, device=device)


class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)).   The discriminator's output, a probability."""

    def __init__(self, *, device):
        super().__init__(ops.sigmoid_forward, ops.sigmoid_backward, device=device)
