"""The losses: binary cross-entropy of probabilities and of logits."""

from . import ops


def bce(prob, target, *, device, scale: float = 1.0, gradient=None, result=None):
    """loss = -mean(target * log(prob) + (1 - target) * log(1 - prob)), times scale.

    Shapes: prob any; target the same, or one number.   Returns: (result, gradient): result [2] holds the loss and the
    mean
    probability, gradient has prob's shape; both are made anew unless given.
    Logs are held at -100 or more, so prob 0 and 1 give a finite loss.   Source: PyTorch's BCELoss.
    """
    return _loss(ops.bce, prob, target, device, scale, gradient, result)


def bce_with_logits(logits, target, *, device, scale: float = 1.0, gradient=None, result=None):
    """bce(sigmoid(logits), target), computed so that no logit overflows or loses its gradient.

    Shapes, returns: as bce.
    """
    return _loss(ops.bce_with_logits, logits, target, device, scale, gradient, result)


def _loss(op, x, target, device, scale, gradient, result):
    ops.need_elements(op.__name__, prob=x)
    if isinstance(target, int | float):
        value, target = target, device.empty(x.shape)
        ops.fill(device, target, value)
    gradient = device.empty(x.shape) if gradient is None else gradient
    result = device.empty((2,)) if result is None else result
    op(device, x, target, gradient, result, scale)
    return result, gradient
