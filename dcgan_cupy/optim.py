"""The optimiser, Adam, and the average of weights: each one launch for all parameters of a network."""

from . import ops
from .errors import UserError


class Adam:
    """Adam on one flat buffer of parameters and one of gradients.

    param, grad: device arrays of one shape. lr lies in device memory: set_lr changes it between steps.
    steps: the learning rate falls to 0 over so many, step t of n taking 1 - (t - 1) / n of it (None: it stays).
    Raises: UserError for lr <= 0, betas outside [0, 1), eps <= 0, steps below 1.
    Source: Kingma & Ba 2015; Radford et al. 2015, section 4: lr 2e-4, beta1 0.5.
    """

    def __init__(self, param, grad, lr=2e-4, beta1=0.5, beta2=0.999, eps=1e-8, *, steps=None, device):
        for name, value in (("beta1", beta1), ("beta2", beta2)):
            if not 0 <= value < 1:
                raise UserError(f"Adam: {name}: need 0 or more and less than 1, got {value!r}")
        _need_positive("eps", eps)
        if steps is not None and steps < 1:
            raise UserError(f"Adam: steps: need at least 1, got {steps!r}")
        self.fall = 1.0 / steps if steps else 0.0
        self.device, self.param, self.grad = device, param, grad
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.m, self.v = device.zeros(param.shape), device.zeros(param.shape)
        self.state = device.zeros((2,), "float64")  # step count, learning rate
        self.factors = device.zeros((2,))
        self.set_lr(lr)

    def set_lr(self, lr: float) -> None:
        """The learning rate of the steps to come.   Raises: UserError for one that is not above 0, or infinite."""
        _need_positive("lr", lr)
        values = self.device.numpy(self.state)
        values[1] = lr
        self.device.upload(self.state, values)

    def step(self) -> None:
        """param -= lr * mhat / (sqrt(vhat) + eps), by the gradients that lie in grad."""
        ops.adam_advance(self.device, self.state, self.factors, self.beta1, self.beta2, self.fall)
        ops.adam_step(
            self.device, self.param, self.grad, self.m, self.v, self.factors, self.beta1, self.beta2, self.eps
        )


class Average:
    """An exponential moving average of one flat buffer of parameters.

    average: where it lies; param: what it follows; both device arrays of one shape.
    Raises: UserError for a decay outside [0, 1).
    Source: Polyak & Juditsky 1992; with GANs: Yazici et al. 2019.
    """

    def __init__(self, average, param, decay=0.999, *, device):
        if not 0 <= decay < 1:
            raise UserError(f"Average: decay: need 0 or more and less than 1, got {decay!r}")
        self.device, self.average, self.param, self.decay = device, average, param, decay
        self.restart()

    def restart(self) -> None:
        """From the parameters as they are now."""
        self.average[...] = self.param

    def step(self) -> None:
        """average += (1 - decay) * (param - average)"""
        ops.average_step(self.device, self.average, self.param, 1.0 - self.decay)


def _need_positive(name: str, value) -> None:
    if not 0 < value < float("inf"):
        raise UserError(f"Adam: {name}: need more than 0, got {value!r}")
