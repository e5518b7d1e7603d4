"""Weights to files: .npz, .safetensors, PyTorch's .pth, .onnx; each whole or not at all."""

import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from ..errors import UserError
from . import onnx_graph
from .files import write_whole
from .weights import npz

NEEDED = {
    "pth": ("torch", "PyTorch (pip install torch)"),
    "onnx": ("onnx", "the extra (pip install 'dcgan-cupy[onnx]')"),
}


def can_write(where: str, kind: str) -> None:
    """Raises: UserError if what writes this kind of file is not installed."""
    package, what = NEEDED.get(kind, (None, None))
    if package and not find_spec(package):
        raise UserError(f"{where}: need {what} to write {kind}, got none")


def write(path: Path, kind: str, network, weights: dict) -> None:
    """One network.   kind: one of choices.EXPORTS; network: a shapes.Described; weights: its state_dict."""
    write_whole(path, WRITERS[kind](network, {name: np.asarray(a, order="C") for name, a in weights.items()}))


def _safetensors(network, weights: dict) -> bytes:
    return save(weights, {"format": "pt"})  # what other programs look for: layouts are PyTorch's


def _npz(network, weights: dict) -> bytes:
    return npz(weights)


def _pth(network, weights: dict) -> bytes:
    import torch

    made = io.BytesIO()
    torch.save({name: torch.from_numpy(a.copy()) for name, a in weights.items()}, made)
    return made.getvalue()


WRITERS = {"safetensors": _safetensors, "npz": _npz, "pth": _pth, "onnx": onnx_graph.model_bytes}
