"""Files of weights that are damaged, foreign or made to do harm: one sentence, exit code 2.

Nothing is written, nothing in them runs. import, sample and train --netG refuse each alike; .pth files by both readers.
"""

import io
import json
import os
import pickle
import random
import resource
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import onnx
import pytest
import torch
from foreign_networks import ExampleDiscriminator, ExampleGenerator, SeedsGenerator
from onnx import helper, numpy_helper
from safetensors.numpy import save
from travel_cases import SMALL, command, refused, tree  # noqa: F401

from dcgan_cupy.errors import UserError
from dcgan_cupy.runs import weights
from dcgan_cupy.runs.shapes import described


def good(**changes) -> dict:
    """The names and arrays of a small G of the example.   changes: name -> array, or None for one that is missing."""
    torch.manual_seed(0)
    state = {name: value.numpy() for name, value in ExampleGenerator(5, 3, 2).state_dict().items()}
    state |= {name.replace("__", "."): value for name, value in changes.items()}
    return {name: value for name, value in state.items() if value is not None}


def npz(**changes) -> bytes:
    made = io.BytesIO()
    np.savez(made, **good(**changes))
    return made.getvalue()


def saved(value) -> bytes:
    made = io.BytesIO()
    torch.save(value, made)
    return made.getvalue()


def tensors(state=None, **changes) -> dict:
    return {name: torch.from_numpy(np.array(value)) for name, value in (state or good(**changes)).items()}


def members(content: bytes, change) -> bytes:
    """A zip with each (name, bytes) as change(name, bytes) has it: a list of them."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for info in old.infolist():
            for name, data in change(info.filename, old.read(info)):
                new.writestr(name, data)
    return made.getvalue()


def with_pickle(data: bytes) -> bytes:
    """A .pth whose data.pkl is this."""
    return members(saved(tensors()), lambda n, d: [(n, data if n.endswith("/data.pkl") else d)])


class Harm:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def tensor_pickle(size, stride, count=3, times=1) -> bytes:
    """What torch.save writes for tensors on one storage of `count` floats, of any size and stride."""
    made = io.BytesIO()

    class Storage:
        pass

    class Pickler(pickle._Pickler):
        def persistent_id(self, value):
            return ("storage", torch.FloatStorage, "0", "cpu", count) if isinstance(value, Storage) else None

    class Tensor:
        def __init__(self, storage):
            self.storage = storage

        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (self.storage, 0, size, stride, False, OrderedDict())

    one = Storage()
    Pickler(made, 2).dump({f"main.{i}.weight": Tensor(one) for i in range(times)})
    return made.getvalue()


def one_storage(pkl: bytes, raw: bytes = bytes(12)) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as new:
        new.writestr("archive/data.pkl", pkl)
        new.writestr("archive/byteorder", "little")
        new.writestr("archive/data/0", raw)
        new.writestr("archive/version", "3\n")
    return made.getvalue()


def safetensors(header, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def onnx_of(tensors_, **more) -> bytes:
    io_ = [helper.make_tensor_value_info(n, 1, [None]) for n in "ab"]
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "g", io_[:1], io_[1:], tensors_)
    return helper.make_model(graph, **more).SerializeToString()


def onnx_good(**changes) -> list:
    return [numpy_helper.from_array(np.array(a), name) for name, a in good(**changes).items()]


def outside() -> bytes:
    """Numbers that lie in another file of this machine."""
    tensor = onnx_good()[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return onnx_of([tensor, *onnx_good()[1:]])


def far(name: str, shape) -> np.ndarray:
    return np.zeros(shape, np.float32)


W0 = (5, 16, 4, 4)  # main.0.weight
nan = np.full(W0, np.nan, np.float32)
KINDS = "need a .npz, .safetensors, .pth or .onnx file of weights, got FILE: "

FILES = {
    # damage
    "nothing": (lambda: b"", KINDS + "not a whole file of one of these kinds"),
    "text": (lambda: b"main.0.weight", KINDS + "not a whole file of one of these kinds"),
    "zeros": (lambda: bytes(4096), KINDS + "not a whole file of one of these kinds"),
    "npz cut": (lambda: npz()[:4000], KINDS + "not a whole .npz or .pth file"),
    "npz flipped": (lambda: (b := bytearray(npz()), b.__setitem__(2000, b[2000] ^ 1))[0], KINDS + "Bad CRC-32"),
    "pth cut": (lambda: saved(tensors())[:-500], KINDS + "not a whole .npz or .pth file"),
    "pth pickle cut": (lambda: with_pickle(b"\x80\x02}q\x00(X\x05"), KINDS),
    "pth without numbers": (lambda: members(saved(tensors()), lambda n, d: [] if "/data/0" in n else [(n, d)]), KINDS),
    "pth short numbers": (
        lambda: members(saved(tensors()), lambda n, d: [(n, d[:8] if n.endswith("/data/0") else d)]),
        KINDS,
    ),
    "safetensors cut": (lambda: save(good())[:-9], KINDS),
    "safetensors header cut": (lambda: save(good())[:60], KINDS),
    "onnx cut": (lambda: onnx_of(onnx_good())[:-300], KINDS),
    # foreign
    "a pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
    "an old pth": (lambda: pickle.dumps(good(), 2), KINDS + "a pickle, as PyTorch wrote before 1.6"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), KINDS),
    "a zip of texts": (lambda: members(npz(), lambda n, d: [("readme.txt", b"hello")]), KINDS),
    "a bare npy": (lambda: (f := io.BytesIO(), np.save(f, np.zeros(3)))[0].getvalue(), KINDS),
    "a whole module": (lambda: saved(ExampleGenerator(5, 3, 2)), KINDS),
    "a list": (lambda: saved([1, 2, 3]), KINDS),
    "an optimiser": (lambda: saved({"state": {0: {"step": 1}}, "param_groups": []}), KINDS),
    "texts among numbers": (lambda: saved({**tensors(), "epoch": "nine"}), KINDS + "epoch is no array of numbers"),
    "another network": (lambda: saved({"conv1.weight": torch.zeros(3)}), "need the seeds' names"),
    "both networks": (
        lambda: saved({**tensors(), **SeedsGenerator(5, 3, 2).state_dict()}),
        "need the seeds' names (gen.…, disc.…) or those of PyTorch's example (main.…), got",
    ),
    "no arrays": (lambda: saved({}), "got none at all in FILE"),
    "one is missing": (lambda: npz(main__4__bias=None), "1 missing (first: main.4.bias)"),
    "one too many": (lambda: npz(main__13__weight=np.zeros(3)), "1 unknown (first: main.13.weight)"),
    "biases": (lambda: npz(main__12__bias=np.zeros(3)), "1 unknown (first: main.12.bias)"),
    "another width": (
        lambda: npz(main__3__weight=far("x", (16, 9, 4, 4))),
        "need shape (16, 8, 4, 4) for convolution 2",
    ),
    "kernels of 3": (
        lambda: npz(main__0__weight=far("x", (5, 16, 3, 3))),
        "need 4 convolutions, one with kernel 6 x 6, for images of 48 x 48 px, got 5 with 3 x 3 in FILE",
    ),
    "kernels of 7x5": (
        lambda: npz(main__6__weight=far("x", (8, 4, 7, 5))),
        "need shape (8, 4, 4, 4) for convolution 3 of FILE, got (8, 4, 7, 5)",
    ),
    "kernels of nothing": (
        lambda: npz(main__0__weight=np.zeros((5, 16, 0, 0))),
        "FILE, whose 5 convolutions make 0 x 0 px: need sides of m * 2^k px",
    ),
    "four channels": (lambda: npz(main__12__weight=far("x", (2, 4, 4, 4))), "need images of 1 or 3 channels, got 4"),
    "a deeper one": (
        lambda: npz(**{f"main__{i}__weight": far("x", (2, 2, 4, 4)) for i in (15, 18, 21, 24)}),
        "FILE, whose 9 convolutions make 1024 x 1024 px: need sides of m * 2^k px, m from 3 to 7, one k of 2 or more"
        " for both, at most 512, got 1024; the nearest is 512",
    ),
    "a hundred layers": (
        lambda: npz(**{f"main__{i}__weight": far("x", (1, 1, 4, 4)) for i in range(20, 120)}),
        "need the convolutions of a generator, got 105 of them",
    ),
    "no convolutions": (lambda: saved({"main.0.weight": torch.zeros(3)}), "need the convolutions of a discriminator"),
    # numbers that are none
    "not finite": (lambda: npz(main__0__weight=nan), KINDS + "main.0.weight holds numbers that are not finite"),
    "too large for float32": (lambda: npz(main__0__weight=np.full(W0, 1e200)), "numbers that are not finite"),
    "a variance below 0": (lambda: npz(main__1__running_var=np.full(16, -1.0)), "running_var holds variances below 0"),
    "complex": (lambda: npz(main__0__weight=np.ones(W0, complex)), "main.0.weight is no array of numbers (complex128)"),
    "complex pth": (lambda: saved(tensors(main__0__weight=np.ones(W0, np.complex64))), KINDS),
    "objects": (lambda: npz(main__0__weight=np.array([{}])), KINDS + "Object arrays cannot be loaded"),
    "a name twice": (
        lambda: saved({**tensors(), "module.main.0.weight": torch.zeros(W0)}),
        KINDS + "it holds main.0.weight twice, once behind module.",
    ),
    "safetensors of a strange type": (
        lambda: safetensors({"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}, b"ab"),
        KINDS,
    ),
    "sparse": (lambda: saved({**tensors(), "main.0.weight": torch.zeros(W0).to_sparse()}), KINDS),
    "quantised": (
        lambda: saved({**tensors(), "main.0.weight": torch.quantize_per_tensor(torch.zeros(W0), 0.1, 0, torch.qint8)}),
        KINDS,
    ),
    "without numbers at all": (lambda: saved({"main.0.weight": torch.zeros(W0, device="meta")}), KINDS),
    # made to do harm
    "a command in a pickle": (lambda: saved({"main.0.weight": Harm()}), KINDS),
    "a command in data.pkl": (lambda: with_pickle(pickle.dumps(Harm(), 2)), KINDS),
    "a command in an npz": (lambda: npz(main__0__weight=np.array([Harm()])), KINDS),
    "a bare command": (lambda: pickle.dumps(Harm(), 4), KINDS + "a pickle"),
    "a huge pickle": (lambda: with_pickle(b"\x80\x02" + b"K\x01" * 200_000 + b"."), KINDS),
    "a deep pickle": (lambda: with_pickle(b"\x80\x02" + b"]" * 60_000 + b"a" * 59_999 + b"."), KINDS),
    "one number as a terabyte": (lambda: one_storage(tensor_pickle((1 << 38,), (0,))), KINDS),
    "numbers beyond the storage": (lambda: one_storage(tensor_pickle((9, 9), (9, 1))), KINDS),
    "a storage that is not so large": (lambda: one_storage(tensor_pickle((3,), (1,), count=1 << 40)), KINDS),
    "a storage a thousand times": (
        lambda: one_storage(tensor_pickle((1 << 16,), (1,), 1 << 16, 1000), bytes(1 << 18)),
        KINDS + "its tensors have more numbers than the file",
    ),
    "a negative stride": (lambda: one_storage(tensor_pickle((3,), (-1,))), KINDS),
    "a bomb of zeros": (
        lambda: (f := io.BytesIO(), np.savez_compressed(f, a=np.zeros(1 << 22)))[0].getvalue(),
        KINDS + "far larger inside than a file of weights can be",
    ),
    "an npy of 8 TiB": (
        lambda: members(npz(), lambda n, d: [(n, d.replace(b"(5, 16, 4, 4)", b"(1<<43,4, 4)"))]),
        KINDS,
    ),
    "safetensors header of 2^60": (lambda: struct.pack("<Q", 1 << 60) + b"{" + bytes(50), KINDS),
    "safetensors of 2^40 numbers": (
        lambda: safetensors({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}}, bytes(4)),
        KINDS,
    ),
    "safetensors that overlap": (
        lambda: safetensors(
            {n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in ("main.0.weight", "b")}, bytes(4)
        ),
        KINDS,
    ),
    "safetensors that is no JSON": (lambda: safetensors(b"{" * 3000), KINDS),
    "onnx beside its file": (outside, KINDS + "its numbers lie in another file"),
    "onnx with a name twice": (lambda: onnx_of([*onnx_good(), onnx_good()[0]]), KINDS + "it holds main.0.weight twice"),
    "onnx of 2^40 numbers": (
        lambda: onnx_of([onnx.TensorProto(name="main.0.weight", data_type=1, dims=[1 << 40], raw_data=b"abcd")]),
        KINDS,
    ),
    "onnx of texts": (
        lambda: onnx_of([onnx.TensorProto(name="main.0.weight", data_type=8, dims=[1], string_data=[b"x"])]),
        KINDS,
    ),
    "onnx of an unknown type": (
        lambda: onnx_of([onnx.TensorProto(name="main.0.weight", data_type=99, dims=[1], raw_data=b"abcd")]),
        KINDS,
    ),
    "a name with a line in it": (lambda: saved({"a\nb\x1b[31m": torch.zeros(3)}), "need the seeds' names"),
}


def test_there_are_enough():
    assert len(FILES) >= 60


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder, and no more memory than twice what reading needs."""
    monkeypatch.chdir(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (3 << 30), hard))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("reader", ["torch", "no torch"])
@pytest.mark.parametrize("name", FILES)
def test_refused_in_one_sentence(command, place, monkeypatch, name, reader):
    make, message = FILES[name]
    content = bytes(make())
    if reader == "no torch":
        if b"data.pkl" not in content:
            pytest.skip("no .pth")
        find = weights.find_spec
        monkeypatch.setattr(weights, "find_spec", lambda package: None if package == "torch" else find(package))
    (place / "FILE").write_bytes(content)
    before = tree(place)
    refused(command("import", "FILE", "--out", "run"), message)
    refused(command("sample", "FILE", "--out", "a.png"), message)
    flags = ("--network", "example", "--image-size", "64", "--features-g", "2", "--z-dim", "5", "--steps", "1")
    refused(command("train", *SMALL, *flags, "--netG", "FILE", "--out", "run"), "")
    assert tree(place) == before and not (place / "harmed").exists()


WRONG = [
    ([], "import: the following arguments are required: FILE, --out"),
    (["g.npz"], "import: the following arguments are required: --out"),
    (["--out", "run"], "import: the following arguments are required: FILE"),
    (["g.npz", "--out", "run", "--z", "gauss"], "import: argument --z: invalid choice: 'gauss'"),
    (["g.npz", "--out", "run", "--nonsense"], "import: unrecognized arguments: --nonsense"),
    (
        ["nowhere.pth", "--out", "run"],
        "import: FILE: need a .npz, .safetensors, .pth or .onnx file of weights, got nowhere",
    ),
    ([".", "--out", "run"], "got .: no plain file"),
    (["pipe", "--out", "run"], "got pipe: no plain file"),
    (["x" * 300, "--out", "run"], "File name too long"),
    (["g.npz", "--out", "nowhere/run"], "import: --out: need a name in a folder that exists and can be written"),
    (["g.npz", "--out", "g.npz"], "import: --out: need a name that is free, got g.npz"),
    (["g.npz", "--out", "g.npz/run"], "import: --out: need a "),
    (["g.npz", "--out", "x" * 300], "import: --out: need a folder's name"),
    (["g.npz", "--out", "."], "import: --out: need a name that is free, got ."),
    (["g.npz", "g2.npz", "--out", "run"], "import: FILE: need one generator, got two: g.npz and g2.npz"),
    (["g.npz", "grey.npz", "--out", "run"], "need one channels for G and D, got 3 in g.npz and 1 in grey.npz"),
    (
        ["seeds.npz", "d.npz", "--out", "run"],
        "need G and D of one network, got the seeds' network in seeds.npz and PyTorch",
    ),
]


@pytest.mark.parametrize("arguments, message", WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_use_of_import(command, place, arguments, message):
    modules = {"g": ExampleGenerator(5, 3, 2), "g2": ExampleGenerator(5, 3, 4), "d": ExampleDiscriminator(3, 2),
               "grey": ExampleDiscriminator(1, 2), "seeds": SeedsGenerator(5, 3, 2)}  # fmt: skip
    for name, module in modules.items():
        np.savez(place / f"{name}.npz", **{n: v.numpy() for n, v in module.state_dict().items()})
    os.mkfifo(place / "pipe")
    before = tree(place)
    refused(command("import", *arguments), message)
    assert tree(place) == before


@pytest.mark.parametrize("reader", ["torch", "no torch"])
def test_random_damage(place, monkeypatch, reader):
    """Bytes changed, gone and added where names and sizes lie: taken, or refused in one sentence; no other end.

    DCGAN_CUPY_FUZZ sets how many files; 37,000 were tried while this was written.
    """
    if reader == "no torch":
        find = weights.find_spec
        monkeypatch.setattr(weights, "find_spec", lambda package: None if package == "torch" else find(package))
    draw, count = random.Random(4), int(os.environ.get("DCGAN_CUPY_FUZZ", "400"))
    whole = [npz(), saved(tensors()), save(good()), onnx_of(onnx_good())]
    taken = 0
    for i in range(count):
        content = bytearray(whole[i % len(whole)])
        for _ in range(draw.choice((1, 1, 2, 5))):
            at = draw.choice((draw.randrange(3000), len(content) - 1 - draw.randrange(4000)))
            how = draw.random()
            if how < 0.7:
                content[at] = draw.choice((content[at] ^ 1 << draw.randrange(8), draw.randrange(256), 0, 255))
            elif how < 0.85:
                del content[at : at + draw.randrange(1, 20)]
            else:
                content[at:at] = draw.randbytes(draw.randrange(1, 9))
        (place / "FILE").write_bytes(content)
        try:
            described("test", weights.load_weights("FILE", "test"), "FILE")
            taken += 1
        except UserError as error:
            assert len(str(error)) < 1000
    assert 0 < taken < count / 2
