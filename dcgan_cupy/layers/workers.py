"""Batch normalisation over the batches of several workers."""

from .. import ops
from ..choices import DEFAULT_RUNG, FUSED
from .batchnorm import BatchNorm2d


class BatchNorm2dOfWorkers(BatchNorm2d):
    """BatchNorm2d whose batch is that of all workers: statistics, and what they take off the gradient.

    The parameters' gradients hold this worker's share. Whatever the rung of the convolutions, the fused kernels do it.

    Shapes, saves, source: as BatchNorm2d.   workers: workers/base.py's Workers.
    """

    def __init__(self, num_features, eps=1e-5, momentum=0.1, *, device, kernels=None, workers):
        super().__init__(num_features, eps, momentum, device=device, kernels=kernels)
        if self.rung not in FUSED:
            self.rung = DEFAULT_RUNG
        self.workers = workers

    def _exchanged(self):
        """What the operations need to hear of the others."""
        told = self._buffer("told", (self.workers.size, 2, self.num_features), "float64")
        return told, self.workers.rank, lambda all: self.workers.gather(self.device, all)

    def _fused_forward(self, x, y, training, slope):
        if not training:
            return super()._fused_forward(x, y, training, slope)
        statistics = self._buffer("statistics", (5, self.num_features))
        given = self.params["weight"], self.params["bias"], statistics, *self.buffers.values(), self.momentum, self.eps
        ops.batchnorm_batch_of_workers(self.device, x, *given, *self._exchanged())
        ops.batchnorm_activation_forward(self.device, x, statistics, y, slope)
        return (statistics,)

    def _fused_backward(self, x, dy, dx, statistics, slope, training, param_grads):
        if not training:
            super()._fused_backward(x, dy, dx, statistics, slope, training, param_grads)
            return
        pull = self._buffer("pull", (2, self.num_features))
        grads = (self.grads["weight"], self.grads["bias"]) if param_grads else (None, None)
        ops.batchnorm_activation_backward_of_workers(
            self.device, x, dy, statistics, pull, *grads, dx, slope, *self._exchanged()
        )
