"""PyTorch's files without PyTorch, and without running what they hold: a zip of a small pickle and of raw numbers.

The pickle may build dictionaries, numbers, texts and tensors; whatever else it names is refused. It is read by the
standard library's Unpickler in Python, whose memory grows with what the file holds and nothing else.
"""

import io
import math
import os
import pickle
import zipfile
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

LARGEST_PICKLE = 128 << 10  # bytes: names and shapes of a hundred tensors are a tenth of it
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
}


class Storage(NamedTuple):
    """Where the numbers of tensors lie: a member of the zip."""

    key: str
    dtype: str
    count: int


class Tensor(NamedTuple):
    """A view of a storage, as the pickle describes it."""

    storage: Storage
    offset: int
    shape: tuple
    stride: tuple


def read(path: str) -> dict:
    """name -> array of a .pth file of a state_dict.   Raises: ValueError, with the reason."""
    with zipfile.ZipFile(path) as archive:
        info = next(member for member in archive.infolist() if member.filename.endswith("/data.pkl"))
        if info.file_size > LARGEST_PICKLE:
            raise ValueError(f"its data.pkl has {info.file_size} bytes, more than names and shapes of weights need")
        try:
            values = _Unpickler(io.BytesIO(archive.read(info))).load()
        except ValueError:
            raise
        except Exception as error:  # a damaged pickle fails in every way
            raise ValueError(f"its data.pkl is damaged ({type(error).__name__})") from None
        folder = info.filename.removesuffix("data.pkl")
        numbers = [value for value in state_dict_in(values).values() if isinstance(value, Tensor)]
        if sum(_width(value.storage) * math.prod(value.shape) for value in numbers) > os.stat(path).st_size:
            raise ValueError("its tensors have more numbers than the file")
        return {name: _array(archive, folder, value) for name, value in state_dict_in(values).items()}


def state_dict_in(values) -> dict:
    """The state_dict in what a file holds: that itself, or under `state_dict`, as checkpoints have it.

    Raises: ValueError.
    """
    if isinstance(values, dict) and isinstance(values.get("state_dict"), dict):
        values = values["state_dict"]
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ValueError("no state_dict: need names and tensors (save net.state_dict(), not net)")
    return values


class _Unpickler(pickle._Unpickler):
    """Only what a state_dict needs."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda data, requires_grad, hooks: data
        if module == "torch" and name in STORAGES:
            return name
        raise ValueError(f"it names {module}.{name}, which no weights need: nothing of it was run")

    def persistent_load(self, pid):
        kind, name, key, _, count = pid
        if kind != "storage" or name not in STORAGES or type(count) is not int or count < 0 or not isinstance(key, str):
            raise ValueError("its data.pkl names a storage of an unknown kind")
        return Storage(key, STORAGES[name], count)


def _tensor(storage, offset, shape, stride, requires_grad=False, hooks=None, metadata=None):
    if not isinstance(storage, Storage) or not all(type(v) is int and v >= 0 for v in (offset, *shape, *stride)):
        raise ValueError("its data.pkl describes a tensor that cannot be")
    return Tensor(storage, offset, tuple(shape), tuple(stride))


def _array(archive, folder: str, value):
    if not isinstance(value, Tensor):
        return value
    storage, offset, shape, stride = value
    width = _width(storage)
    try:
        raw = archive.read(f"{folder}data/{storage.key}")
    except KeyError:
        raise ValueError(f"its numbers data/{storage.key} are missing") from None
    last = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True)) if math.prod(shape) else offset - 1
    if len(raw) != storage.count * width or len(shape) > 8 or last >= storage.count or math.prod(shape) > storage.count:
        raise ValueError("its data.pkl describes a tensor that its numbers do not fill")
    numbers = from_bfloat16(raw) if storage.dtype == "bfloat16" else np.frombuffer(raw, storage.dtype)
    strides = tuple(s * numbers.itemsize for s in stride)
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, strides, writeable=False).copy()


def _width(storage: Storage) -> int:
    return 2 if storage.dtype == "bfloat16" else np.dtype(storage.dtype).itemsize


def from_bfloat16(raw: bytes) -> np.ndarray:
    """float32 of bfloat16 bits: they are the upper half of it."""
    return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
