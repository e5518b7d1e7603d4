"""What an array of any device can do: NumPy's on the CPU, CuPy's on a GPU."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Array(Protocol):
    """Memory of a device, in C order. Arithmetic on it is the kernels' affair."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""

    @property
    def dtype(self) -> Any:
        """The type of an element, a NumPy dtype."""

    @property
    def size(self) -> int:
        """How many elements."""

    @property
    def nbytes(self) -> int:
        """Their bytes."""

    def reshape(self, *shape: Any) -> "Array":
        """The same memory under another shape."""

    def __getitem__(self, index: Any) -> "Array": ...

    def __setitem__(self, index: Any, values: Any) -> None: ...
