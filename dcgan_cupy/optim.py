"""The optimiser: Adam, one launch for all parameters of a network."""

from . import ops
from .errors import UserError


class Adam:
    """Adam on one flat buffer of parameters and one of gradients.

    param, grad: device arrays of one shape. lr lies in device memory: set_lr changes it between steps.
    Raises: UserError for lr <= 0, betas outside [0, 1), eps <= 0.
    Source: Kingma & Ba 2015; Radford et al. 2015, section 4: lr 2e-4, beta1 0.5.
    """

    def __init__(self, param, grad, lr=2e-4, beta1=0.5, beta2=0.999, eps=1e-8, *, device):
        for name, value in (("beta1", beta1), ("beta2", beta2)):
            if not 0 <= value < 1:
                raise UserError(f"Adam: {name}: need 0 or more and less than 1, got {value!r}")
        _need_positive("eps", eps)
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
        ops.adam_advance(self.device, self.state, self.factors, self.beta1, self.beta2)
        ops.adam_step(
            self.device, self.param, self.grad, self.m, self.v, self.factors, self.beta1, self.beta2, self.eps
        )


def _need_positive(name: str, value) -> None:
    if not 0 < value < float("inf"):
        raise UserError(f"Adam: {name}: need more than 0, got {value!r}")
