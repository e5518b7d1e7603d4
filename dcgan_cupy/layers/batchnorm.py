"""Batch normalisation, its gradient made by hand."""

from .. import ops
from ..choices import FUSED
from ..errors import UserError
from .base import Layer, need_sizes


class BatchNorm2d(Layer):
    """y = weight * (x - mean) / sqrt(var + eps) + bias, by channel.

    Mean and var of the batch, or running ones in evaluation.

    Shapes: x, y [..., num_features].   Saves: x and the statistics used.
    Raises: UserError for sizes below 1, eps <= 0, momentum outside [0, 1], a training batch of one value a channel.
    Source: Ioffe & Szegedy 2015; PyTorch's conventions (running variance unbiased, momentum the weight of the new
    value).
    """

    may_overwrite_dy = True

    def __init__(self, num_features, eps=1e-5, momentum=0.1, *, device, kernels=None):
        super().__init__(device)
        need_sizes("BatchNorm2d", num_features=num_features)
        if not eps > 0:
            raise UserError(f"BatchNorm2d: eps: need more than 0, got {eps!r}")
        if not 0 <= momentum <= 1:
            raise UserError(f"BatchNorm2d: momentum: need 0 to 1, got {momentum!r}")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.rung = ops.rung_of("BatchNorm2d", kernels)
        self._add_param("weight", (num_features,))
        self._add_param("bias", (num_features,))
        self.buffers = {
            "running_mean": device.zeros((num_features,)),
            "running_var": device.empty((num_features,)),
            "num_batches_tracked": device.zeros((1,), "int64"),
        }
        ops.fill(device, self.params["weight"], 1.0)
        ops.fill(device, self.params["bias"], 0.0)
        ops.fill(device, self.buffers["running_var"], 1.0)

    def forward(self, x, training=True, slope=1.0):
        """[..., num_features] -> the same shape

        slope: of a rectifier behind it, in the same pass; for the rungs FUSED only.
        """
        if len(x.shape) < 2 or x.shape[-1] != self.num_features:
            raise UserError(f"BatchNorm2d.forward: x: need [..., {self.num_features}], got {tuple(x.shape)}")
        ops.need_fusing("BatchNorm2d.forward", "slope", self.rung, slope != 1.0)
        y = self.output("y", x.shape, x)
        if self.rung in FUSED:
            self._saved = x, *self._fused_forward(x, y, training, slope), slope, training
        else:
            self._saved = x, *self._textbook_forward(x, y, training), training
        return y

    def backward(self, dy, param_grads=True, input_grad=True):
        """[..., num_features] -> the same shape"""
        x, *saved = self._take_saved()
        dx = self.place(self, dy, x.shape) if input_grad else None
        (self._fused_backward if self.rung in FUSED else self._textbook_backward)(x, dy, dx, *saved, param_grads)
        return dx

    def _channels(self, name: str):
        return self._buffer(name, (self.num_features,))

    def _textbook_forward(self, x, y, training):
        if training:
            mean, var = self._channels("mean"), self._channels("var")
            ops.batchnorm_statistics(self.device, x, mean, var, *self.buffers.values(), self.momentum, self.rung)
        else:
            mean, var = self.buffers["running_mean"], self.buffers["running_var"]
        ops.batchnorm_forward(self.device, x, mean, var, self.params["weight"], self.params["bias"], y, self.eps)
        return mean, var

    def _textbook_backward(self, x, dy, dx, mean, var, training, param_grads):
        sums = self._channels("sum_dy"), self._channels("sum_dy_xhat")
        if param_grads or training:
            ops.batchnorm_backward_sums(self.device, x, dy, mean, var, *sums, self.eps, self.rung)
        if param_grads:
            ops.add(self.device, sums[1], self.grads["weight"])
            ops.add(self.device, sums[0], self.grads["bias"])
        if dx is not None:
            used = sums if training else (None, None)
            ops.batchnorm_backward_input(self.device, x, dy, mean, var, self.params["weight"], *used, dx, self.eps)

    def _fused_forward(self, x, y, training, slope):
        statistics = self._buffer("statistics", (5, self.num_features))
        running_mean, running_var, tracked = self.buffers.values()
        given = self.params["weight"], self.params["bias"], statistics
        if training:
            ops.batchnorm_batch(self.device, x, *given, running_mean, running_var, tracked, self.momentum, self.eps)
        else:
            ops.batchnorm_running_statistics(self.device, running_mean, running_var, *given, self.eps)
        ops.batchnorm_activation_forward(self.device, x, statistics, y, slope)
        return (statistics,)

    def _fused_backward(self, x, dy, dx, statistics, slope, training, param_grads):
        pull = self._buffer("pull", (2, self.num_features))
        grads = (self.grads["weight"], self.grads["bias"]) if param_grads else (None, None)
        ops.batchnorm_activation_backward(self.device, x, dy, statistics, pull, *grads, dx, slope, training)
