"""Weights from files: .npz, .safetensors, PyTorch's .pth, .onnx. What the file holds decides, not its name.

Names keep the layout of PyTorch's modules (the seeds', or PyTorch's example's); `module.`, which DataParallel puts
before them, goes. Nothing in a file is executed, and no more memory is taken than a file of its size can need.
"""

import io
import os
import re
import stat
import warnings
import zipfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from ..errors import UserError
from . import pth
from .files import write_whole

MOST_SHRUNK = (
    100  # times that a file may grow when it is read: weights hardly shrink, a file made to fill the memory does
)
COUNT = "num_batches_tracked"
KINDS = "a .npz, .safetensors, .pth or .onnx file of weights"
POINTER = b"version https://git-lfs"
TAGS = {"BF16", "F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64"}


def save_weights(path: Path, state: dict) -> None:
    """Writes a state_dict as .npz so that a reader finds either the old file or the new one, whole."""
    write_whole(path, npz(state))


def npz(state: dict) -> bytes:
    """What a .npz file of a state_dict holds."""
    made = io.BytesIO()
    np.savez(made, **state)
    return made.getvalue()


def load_weights(path: str, what: str) -> dict[str, np.ndarray]:
    """A state_dict out of a file: float32, and int64 where PyTorch has whole numbers.

    what: the argument it came by, for the message.
    Raises: UserError if there is no such file, it is damaged, or it holds anything but finite numbers.
    """

    def refused(reason):
        return UserError(f"{what}: need {KINDS}, got {path}: {reason}")

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise refused("no plain file")
        with open(path, "rb") as file:
            head = file.read(64)
        with warnings.catch_warnings(action="ignore"):  # of libraries, about what the file uses
            values = _reader(head, path, refused)(path, refused)
    except UserError:
        raise
    except OSError as error:
        raise refused(error.strerror or "it cannot be read") from None
    except Exception as error:  # damage, and files made for it, fail in every way that their libraries know
        raise refused(str(error).strip().split("\n")[0][:200] or f"damaged ({type(error).__name__})") from None
    return _tidy(values, refused)


def _reader(head: bytes, path: str, refused):
    """Which function reads a file, by its first bytes."""
    if head.startswith(POINTER):
        raise refused("a Git LFS pointer, not the weights: fetch them with `git lfs pull`")
    if head.startswith(b"PK"):
        if not zipfile.is_zipfile(path):
            raise refused("not a whole .npz or .pth file")
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if sum(member.file_size for member in archive.infolist()) > MOST_SHRUNK * os.stat(path).st_size:
                raise refused("far larger inside than a file of weights can be")
        return _pth if any(name.endswith("/data.pkl") for name in names) else _npz
    if len(head) > 8 and head[8:9] == b"{":
        return _safetensors
    if head[:1] == b"\x08" and find_spec("onnx"):
        return _onnx
    if head[:1] == b"\x08":
        raise refused("an ONNX file, it seems: reading one needs the onnx extra (pip install 'dcgan-cupy[onnx]')")
    if head[:1] == b"\x80":
        raise refused("a pickle, as PyTorch wrote before 1.6: load it there and save it again")
    raise refused("not a whole file of one of these kinds")


def _npz(path: str, refused) -> dict:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _safetensors(path: str, refused) -> dict:
    try:
        values = {}
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                tag = file.get_slice(name).get_dtype()
                if tag not in TAGS:
                    raise refused(f"{name[:80]} is no array of numbers (type {tag})")
                values[name] = None if tag == "BF16" else file.get_tensor(name)
        if any(value is None for value in values.values()):
            values |= _bfloat16(path)
        return values
    except SafetensorError as error:
        raise refused(str(error).split("\n")[0]) from None


def _bfloat16(path: str) -> dict:
    """The bfloat16 arrays of a safetensors file whose header is known to be right: NumPy has no such type."""
    import json

    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        values = {}
        for name, entry in header.items():
            if name != "__metadata__" and entry["dtype"] == "BF16":
                first, last = entry["data_offsets"]
                file.seek(8 + length + first)
                values[name] = pth.from_bfloat16(file.read(last - first)).reshape(entry["shape"])
    return values


def _pth(path: str, refused) -> dict:
    if not find_spec("torch"):
        return pth.read(path)
    import pickle

    import torch

    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise refused("it holds more than names and numbers; nothing of it was run") from None
    values = pth.state_dict_in(values)
    tensors = [value for value in values.values() if isinstance(value, torch.Tensor)]
    if any(value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized for value in tensors):
        raise refused("it holds tensors of another kind than plain numbers")
    if sum(value.numel() * value.element_size() for value in tensors) > os.stat(path).st_size:
        raise refused("its tensors have more numbers than the file")
    return {name: _of_tensor(value) if isinstance(value, torch.Tensor) else value for name, value in values.items()}


def _of_tensor(value):
    value = value.detach()
    return value.float().numpy() if value.is_floating_point() else value.numpy()


def _onnx(path: str, refused) -> dict:
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError:
        raise refused("no whole ONNX model") from None
    tensors = model.graph.initializer
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors):
        raise refused("its numbers lie in another file: save it with them inside")
    if repeated := [name for name, count in Counter(tensor.name for tensor in tensors).items() if count > 1]:
        raise refused(f"it holds {repeated[0][:80]} twice")
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}
    for name, value in values.items():
        if value.dtype.name == "bfloat16":
            values[name] = value.astype(np.float32)
    for entry in model.metadata_props:  # counts that no operator takes (onnx_graph.py)
        if entry.key.endswith(COUNT) and re.fullmatch("[0-9]{1,18}", entry.value):
            values[entry.key] = np.array(int(entry.value))
    return values


def _tidy(values: dict, refused) -> dict:
    """Names without `module.`, float32 and int64, every number finite.

    A missing num_batches_tracked is 0 (PyTorch before 0.4.1).
    """
    tidy = {}
    for name, value in values.items():
        if not isinstance(value, np.ndarray | np.generic) or value.dtype.kind not in "fiu":
            kind = getattr(value, "dtype", type(value).__name__)
            raise refused(f"{str(name)[:80]} is no array of numbers ({kind})")
        with np.errstate(over="ignore"):  # too large for float32: no finite number, below
            value = np.asarray(value, np.float32 if value.dtype.kind == "f" else np.int64)
        if not np.isfinite(value).all():
            raise refused(f"{str(name)[:80]} holds numbers that are not finite")
        if str(name).endswith("running_var") and (value < 0).any():
            raise refused(f"{str(name)[:80]} holds variances below 0")
        if str(name).endswith(COUNT) and value.size == 1:
            value = value.astype(np.int64).reshape(())
        short = str(name).removeprefix("module.")
        if short in tidy:
            raise refused(f"it holds {short[:80]} twice, once behind module.")
        tidy[short] = value
    for name in [name for name in tidy if name.endswith("running_var")]:
        tidy.setdefault(name.removesuffix("running_var") + COUNT, np.zeros((), np.int64))
    return tidy
