"""The activation behind a convolution or a batch norm, which results pass before they are written: one pass saved."""

from functools import lru_cache
from typing import NamedTuple

from ..errors import UserError

ACTIVATIONS = ("identity", "relu", "leaky_relu", "tanh", "sigmoid")
"""The names of kernels/include/activation.cuh."""


class Epilogue(NamedTuple):
    """One of ACTIVATIONS; slope: of leaky_relu, above 0."""

    activation: str = "identity"
    slope: float = 0.2

    def macros(self) -> dict[str, str]:
        """The constants of a kernel that ends in it.   Raises: UserError."""
        if self.activation not in ACTIVATIONS:
            raise UserError(f"Epilogue: activation: need one of {', '.join(ACTIVATIONS)}, got {self.activation!r}")
        if self.activation == "identity":
            return {}
        slope = need_slope("Epilogue", self.slope) if self.activation == "leaky_relu" else 0.2
        return {"ACTIVATION": self.activation, "SLOPE": f"{slope!r}f"}


NONE = Epilogue()


@lru_cache(maxsize=64)
def rectifier(slope: float) -> dict[str, str]:
    """The constants of slope 0: ReLU, 1: no activation, any other above 0: leaky ReLU."""
    return (Epilogue("relu") if slope == 0 else NONE if slope == 1 else Epilogue("leaky_relu", slope)).macros()


def need_slope(where: str, slope: float) -> float:
    """Raises: UserError unless 0 < slope < infinity: 0 * -infinity is no number, and relu has slope 0."""
    if not 0 < slope < float("inf"):
        raise UserError(f"{where}: slope: need a number above 0, got {slope!r}")
    return float(slope)
