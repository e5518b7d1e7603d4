"""What a page runs: the launches of one latent vector and of one image, noted from the generator itself."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...device import source
from ...device.wasm import Arena, NotesDevice, Step
from ...layers import BatchNorm2d, ConvTranspose2d, ReLU, Sequential, Tanh
from ...layers.conditional import LabelledConvolution
from ...networks import generator
from ...random import Random
from ...sizes import sides
from ..model import STREAM, Model

RUNG = "phases"  # no kernel of it has a barrier, and it looks at no tap in vain: docs/decisions.md, The page
DIRECTIONS = 8
COUNT = "num_batches_tracked"  # of evaluation no kernel reads it


@dataclass(frozen=True)
class Program:
    """facts: what the page reads as JSON; weights: bytes of its pieces, one behind the other; kernels: named."""

    facts: dict[str, Any]
    weights: bytes
    kernels: list


def program(model: Model, half: bool = False) -> Program:
    """The program of a model's generator, for one image at a time.   half: convolutions' weights as float16."""
    c, dev = model.config, NotesDevice()
    g = generator(c, dev, kernels=RUNG)
    g.load_state_dict(model.weights)
    arena, steps = Arena(dev), _Steps(dev)
    state, drawn = _draw(c, dev)
    draw = steps.taken()[:1]  # not the random state's advance: the page sets it before each draw
    z, label = dev.empty((1, 1, 1, c.z_dim)), dev.empty((1,), "int32") if c.n_classes else None
    stages, x = [], z
    g.given(label)
    for layer in running(g):
        x = layer.forward(x, training=False)
        stages.append((layer, x, steps.taken()))
    launches = [*draw, *(step for _, _, taken in stages for step in taken)]
    pieces, weights = _pieces(g, arena, half)
    facts = {
        "size": [*sides(c.image_size), c.channels],
        "prior": c.prior,
        "classes": list(model.classes or map(str, range(c.n_classes or 0))),
        "z": {"at": arena.address(z), "count": c.z_dim},
        "drawn": arena.address(drawn),
        "state": {"at": arena.address(state), "stream": STREAM},
        "label": None if label is None else arena.address(label),
        "draw": [_launch(arena, step) for step in draw],
        "stages": [
            {"name": name_of(layer), "shape": list(y.shape[1:]), "at": arena.address(y),
             "launches": [_launch(arena, step) for step in taken]}
            for layer, y, taken in stages
        ],
        "pieces": pieces,
        **_kernels(launches),
        **dict(zip(("directions", "shares"), directions(g, c.z_dim))),
    }  # fmt: skip
    return Program({**facts, "arena": arena.size}, weights, list(dict.fromkeys(step.kernel for step in launches)))


def _kernels(launches: list[Step]) -> dict[str, dict]:
    """Symbol -> a letter a parameter; symbol -> file; file -> its text."""
    named = {step.kernel[1]: step for step in launches}
    files = {symbol: f"kernels/{step.kernel[0]}" for symbol, step in named.items()}
    texts = {file: (source.KERNELS.parent / file).read_text(encoding="utf-8") for file in files.values()}
    types = {symbol: "".join(map(_letter, step.signature.parameters)) for symbol, step in named.items()}
    return {"types": types, "files": files, "texts": texts}


def _letter(parameter: source.Parameter) -> str:
    """p a pointer, q a whole number of 64 bits, which JavaScript counts among the big ones, n any other number."""
    if parameter.pointer:
        return "p"
    return "q" if parameter.dtype in (np.int64, np.uint64) else "n"


class _Steps:
    """The launches since the last look."""

    def __init__(self, dev: NotesDevice):
        self.dev = dev
        dev.steps.clear()

    def taken(self) -> list[Step]:
        found = list(self.dev.steps)
        self.dev.steps.clear()
        return found


def _draw(c, dev: NotesDevice):
    """Notes the draw of latent vector 0 of a seed, as runs.model.latents makes it: (state, vector)."""
    random, drawn = Random(dev, 0, STREAM), dev.empty((1, c.z_dim))
    if c.prior == "uniform":
        random.uniform(drawn, -1.0, 1.0)
    else:
        random.normal(drawn)
    return random.state, drawn


def running(layer):
    """The layers that run one after the other inside a Sequential."""
    for inner in layer.layers:
        if isinstance(inner, Sequential):
            yield from running(inner)
        else:
            yield inner


def name_of(layer) -> str:
    """A layer for people."""
    if isinstance(layer, LabelledConvolution):
        return f"label's maps, {name_of(layer.inner)}"
    if isinstance(layer, ConvTranspose2d):
        return f"transposed convolution {'x'.join(map(str, layer.kernel_size))}, stride {layer.stride[0]}"
    return {BatchNorm2d: "batch norm", ReLU: "ReLU", Tanh: "tanh"}[type(layer)]


def _launch(arena: Arena, step: Step) -> list:
    """[kernel, six integers of grid and block, its arguments]: addresses in the arena, numbers, null."""
    return [step.kernel[1], *step.grid, *step.block, *(_argument(arena, value) for value in step.arguments)]


def _argument(arena: Arena, value):
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        return arena.address(value)
    return float(value) if value.dtype.kind == "f" else int(value)


def _pieces(g, arena: Arena, half: bool) -> tuple[list, bytes]:
    """[address, count, bytes of a number] of every array that holds weights, and all their bytes."""
    pieces, made = [], bytearray()
    for _, layer in g.walk():
        for name, array in (*layer.params.items(), *layer.buffers.items()):
            if name != COUNT:
                stored = array.astype(np.float16) if half and array.ndim == 4 else array
                pieces.append([arena.address(array), array.size, stored.itemsize])
                made += stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    return pieces, bytes(made)


def directions(g, z_dim: int) -> tuple[list, list]:
    """Unit vectors in z that move what the first batch norm makes most, and each one's share of all that z can move.

    The first layers are y = s (W z - m), so |dy|^2 = dz' W' s^2 W dz, and the eigenvectors of W' s^2 W with the largest
    eigenvalues are those directions (Shen & Zhou 2021, Closed-form factorization of latent semantics in GANs).
    """
    layers = [layer for _, layer in g.walk()]
    first = next(layer for layer in layers if isinstance(layer, ConvTranspose2d))
    norm = next(layer for layer in layers if isinstance(layer, BatchNorm2d))
    w = first.params["weight"][..., :z_dim].astype(np.float64)  # [kh, kw, oc, z]: a label's maps lie behind z
    s = norm.params["weight"] / np.sqrt(norm.buffers["running_var"].astype(np.float64) + norm.eps)
    scaled = (w * s[:, None]).reshape(-1, z_dim)
    values, vectors = np.linalg.eigh(scaled.T @ scaled)
    found = []
    for vector in vectors.T[::-1][:DIRECTIONS]:
        sign = 1 if vector[np.abs(vector).argmax()] > 0 else -1  # an eigenvector has none of its own
        found.append([round(float(v), 6) for v in sign * vector])
    return found, [round(float(v / values.sum()), 4) for v in values[::-1][:DIRECTIONS]]
