"""What the tests of device share."""

import contextlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import stand_in

from dcgan_cupy import device as devices
from dcgan_cupy.cache import cache_root
from dcgan_cupy.device import CpuDevice, source
from dcgan_cupy.device.host import build as building
from dcgan_cupy.errors import UserError

ROOT = Path(__file__).resolve().parent.parent


KERNELS = Path(__file__).resolve().parent / "kernels"


FEATURES, UNDEFINED = str(KERNELS / "features.cu"), str(KERNELS / "undefined.cu")


CPU = {
    "cpu-1": {"threads": 1},
    "cpu-2": {"threads": 2},
    "cpu-5": {"threads": 5},  # more workers than many a machine has cores
    "cpu-ucontext": {"threads": 2, "ucontext": True},
    "cpu-debug": {"build": "debug"},
}


GPU = stand_in.gpu_name()


F32, I32, U32 = np.float32, np.int32, np.uint32


_made = {}


def variant(name):
    """The device of that name, made once."""
    if name == stand_in.NAME and (missing := stand_in.why_not()):
        pytest.skip(missing)
    if name not in _made:
        _made[name] = devices.get("gpu") if name == GPU else CpuDevice(**CPU[name])
        if name != GPU:
            prepare(_made[name], FEATURES)
    return _made[name]


def prepare(dev, file):
    """Compiles the kernels of a file on all cores at once: a first run of these tests is mostly compilation."""
    symbols = [
        name
        for name, s in source.signatures(source.load(file)).items()
        if not s.template and (s.meets or not dev.flags)
    ]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda symbol: dev.kernel(file, symbol), symbols))


@pytest.fixture(params=[*CPU, GPU])
def dev(request):
    """Every device."""
    return variant(request.param)


@pytest.fixture(params=["cpu-2", GPU])
def one(request):
    """One CPU device, and the GPU: for what is the same for every launch."""
    return variant(request.param)


@pytest.fixture
def cpu():
    return variant("cpu-2")


@pytest.fixture
def files(tmp_path):
    """A function that writes kernel files, and returns the path of the first."""

    def write(**texts):
        for name, text in texts.items():
            path = tmp_path / name.replace("__", "/")
            path = path.with_name(path.name.replace("_", "."))
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return str(tmp_path / next(iter(texts)).replace("_", "."))

    return write


class Out:
    """An argument that a kernel writes:

    Poisoned with NaN or 0x5A unless values are given, and guarded behind its end.
    """

    TAIL = 256

    def __init__(self, count, dtype=F32, values=None):
        dtype, self.count = np.dtype(dtype), count
        self.poison = np.nan if dtype.kind == "f" else 0x5A
        self.host = np.full(count + self.TAIL, self.poison, dtype)
        if values is not None:
            self.host[:count] = np.ravel(values)

    def values(self, array):
        np.testing.assert_array_equal(array[self.count :], self.host[self.count :], "written behind its end")
        return array[: self.count]


def changed(values):
    """An argument that a kernel reads and writes."""
    return Out(np.size(values), np.asarray(values).dtype, values)


def run(dev, symbol, grid, block, *arguments, file=FEATURES, shared_bytes=0, **macros):
    """Launches a kernel once. Returns what became of each Out among the arguments: one array, or a list of several."""
    hosts = [a.host if isinstance(a, Out) else a for a in arguments]
    sent = [dev.array(a) if isinstance(a, np.ndarray) else a for a in hosts]
    dev.kernel(file, symbol, **macros)(grid, block, *sent, shared_bytes=shared_bytes)
    dev.synchronize()
    results = [a.values(dev.numpy(s)) for a, s in zip(arguments, sent, strict=True) if isinstance(a, Out)]
    return results[0] if len(results) == 1 else results


def python(code, *arguments, timeout=120, **environment):
    """Runs a script in another process: for what may hang, abort or needs another environment (None: not set)."""
    env = {k: v for k, v in {**os.environ, **environment}.items() if v is not None}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=timeout)


def line_of(file, symbol, text, nth=1):
    """The line where `text` stands for the nth time after the name of a kernel."""
    lines = Path(file).read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if f"{symbol}(" in line)
    return [i for i, line in enumerate(lines, 1) if i > start and text in line][nth - 1]


@contextlib.contextmanager
def sentence(pattern, kind=UserError):
    """The block raises an error of one line that matches."""
    with pytest.raises(kind, match=pattern) as caught:
        yield caught
    assert "\n" not in str(caught.value)


CHILD = (
    "import sys; from dcgan_cupy.device import CpuDevice; print(CpuDevice(threads=1).kernel(sys.argv[1],"
    " sys.argv[2]).symbol)"
)


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """An empty cache, with zig's own part taken from the real one (seconds to fill). A list of the compile commands."""
    CpuDevice(threads=1)  # its pool is compiled already, whichever test comes first
    zig = cache_root() / "zig"
    root = tmp_path / "cache"
    root.mkdir(mode=0o700)
    for place in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"):
        monkeypatch.setenv(place, str(zig))
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(root))
    commands, real = [], building.call

    def counted(command, *rest):
        commands.append(command)
        return real(command, *rest)

    monkeypatch.setattr(building, "call", counted)
    return commands


@pytest.fixture
def compiler(monkeypatch):
    """A function that sets CXX for this test (None: not set)."""

    def use(command):
        monkeypatch.delenv("CXX", raising=False)
        if command is not None:
            monkeypatch.setenv("CXX", str(command))
        building.find_compiler.cache_clear()

    yield use
    building.find_compiler.cache_clear()


def objects():
    """The compiled objects, and what else lies in the folder."""
    folder = cache_root() / "cpu"
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    return [n for n in names if n.endswith(".so") and n[0] != "."], [
        n for n in names if not n.endswith(".so") or n[0] == "."
    ]
