"""What the GPU's device does around CuPy, on a CuPy that is none (fake_cupy): refusals, errors, threads, captures.

And when CuPy is imported at all.
"""

import threading

import fake_cupy
import pytest
from device_cases import FEATURES, I32, python, sentence

from dcgan_cupy import device as devices
from dcgan_cupy.cache import cache_root
from dcgan_cupy.device import GpuDevice, KernelError, base, gpu

RUNTIME = fake_cupy.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered\nmore")
DRIVER = fake_cupy.CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")


@pytest.fixture
def fake(monkeypatch):
    """A function that puts so many GPUs into this machine, and returns what is asked of them."""

    def put(count=1):
        module, log = fake_cupy.make(count)
        monkeypatch.setattr(gpu, "no_driver", lambda: "")
        monkeypatch.setattr(gpu, "missing", lambda: "")
        monkeypatch.setattr(gpu, "cupy", module)
        return log

    return put


def test_a_fake_is_taken_for_a_gpu(fake):
    log = fake()
    device = devices.get("auto")
    assert device.kind == "gpu" and device.description == "GPU Fake, sm_90, 8 GiB, CUDA 13.0, CuPy 0"
    device.kernel(FEATURES, "scale<4>")(1, 32, device.zeros(5), device.zeros(5), I32(5))
    assert log == [("compiled", "scale<4>", 0), ("launch", "scale<4>", 0)]


@pytest.mark.parametrize("count, known", [(1, "0"), (3, "0 to 2")])
@pytest.mark.parametrize("number", [-1, 3, True, "0", None, 1.0])
def test_a_wrong_number(fake, count, known, number):
    fake(count)
    with sentence(rf"^device: gpu: number: need {known}, got {number!r}$"):
        GpuDevice(number)


def test_another_number_in_every_thread(fake):
    """CUDA keeps the device in use for each thread, and a new thread begins with number 0."""
    log = fake(3)
    device = GpuDevice(2)
    kernel = device.kernel(FEATURES, "scale<4>")
    thread = threading.Thread(target=lambda: kernel(1, 32, device.zeros(5), device.zeros(5), I32(5)))
    thread.start()
    thread.join()
    first = GpuDevice(0)
    first.kernel(FEATURES, "scale<4>")
    kernel(1, 32, device.zeros(5), device.zeros(5), I32(5))
    assert [number for _, _, number in log] == [2, 2, 0, 2]


@pytest.mark.parametrize("error", [RUNTIME, DRIVER])
def test_errors_of_cuda_are_one_sentence(fake, error):
    log = fake()
    device = GpuDevice()
    kernel, x = device.kernel(FEATURES, "scale<4>"), device.zeros(5)
    graph = device.capture(lambda: kernel(1, 32, x, x, I32(5)))
    said = str(error).splitlines()[0]
    for what, where, work in [
        ("empty", "gpu: allocate", lambda: device.empty(5)),
        ("launch", "scale<4>: launch", lambda: kernel(1, 32, x, x, I32(5))),
        ("synchronize", "gpu: a launch before", device.synchronize),
        ("graph", "gpu: graph", graph.launch),
        ("compile", r".*features\.cu: load", lambda: device.kernel(FEATURES, "halve")),
    ]:
        log.fails = {what: error}
        with sentence(rf"^{where}: {said}$", KernelError):
            work()
    log.fails = {"compile": RuntimeError("Failed to load libnvrtc.so\nor so")}
    with sentence(r"^gpu: NVRTC: need NVRTC beside CuPy, got: Failed to load libnvrtc\.so$"):
        device.kernel(FEATURES, "halve")
    log.fails = {"compile": fake_cupy.CompileException("a\nfeatures.cu(3): error: \033[31mno\nb")}
    with sentence(r"features\.cu: compile: features\.cu\(3\): error: \\x1b\[31mno$"):
        device.kernel(FEATURES, "halve")
    log.fails = {"empty": MemoryError("Out of memory")}
    with pytest.raises(MemoryError, match=r"^Out of memory$"):
        device.empty(5)


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("error", [ValueError("mine"), RuntimeError("backward: need"), KeyboardInterrupt("now")])
def test_an_error_inside_a_capture_is_the_one_told(fake, broken, error):
    """Whether the capture can be ended or not; the next capture, and the next launch, are not disturbed by it."""
    log = fake()
    device = GpuDevice()
    kernel, x = device.kernel(FEATURES, "scale<4>"), device.zeros(5)

    def work():
        kernel(1, 32, x, x, I32(5))
        raise error

    log.broken, log[:] = broken, []
    with pytest.raises(type(error)) as caught:
        device.capture(work)
    assert caught.value is error and device.captured is None
    assert [entry if isinstance(entry, str) else entry[0] for entry in log] == ["begin", "launch", "end"]
    log.broken = False
    device.capture(lambda: kernel(1, 32, x, x, I32(5))).launch()
    assert log[-1] == "graph"


def test_a_capture_that_cannot_be_ended(fake):
    log = fake()
    device, log.broken = GpuDevice(), True
    with sentence(
        r"^gpu: capture: cudaErrorStreamCaptureInvalidated: operation failed due to a previous error$", KernelError
    ):
        device.capture(lambda: None)
    assert device.captured is None


def test_kernels_are_prepared_in_threads(fake, monkeypatch):
    """All at once: each of two waits until the other is there."""
    log = fake()
    monkeypatch.setattr(base, "cores", lambda: 2)
    device, together = GpuDevice(), threading.Barrier(2)
    gpu.cupy.RawModule.compiling = staticmethod(lambda symbol: together.wait(30))
    symbols, done = ["block_sum", "scale<4>", "thread_numbers", "reverse_dynamic"], []
    device.prepare([(FEATURES, symbol, ()) for symbol in symbols], lambda *at: done.append(at))
    assert done == [(i, 4) for i in range(1, 5)]
    assert {symbol for _, symbol, _ in log} == set(symbols) and len(log) == 4
    device.prepare({(FEATURES, "block_sum", ()): 1})
    device.prepare([])
    assert len(log) == 4


def test_nvrtcs_first_call_is_made_alone(fake):
    """Also where two threads ask for their first kernels, of one device or of two."""
    log = fake(2)
    devices_, start, errors = [GpuDevice(0), GpuDevice(1), GpuDevice(0)], threading.Barrier(3), []

    def ask(device, symbol):
        start.wait(30)
        try:
            device.kernel(FEATURES, symbol)
        except Exception as error:
            errors.append(error)

    asked = zip(devices_, ("halve", "halve", "block_sum"))
    threads = [threading.Thread(target=ask, args=pair) for pair in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors and len(log) == 3


def test_the_first_error_of_prepare_is_raised(fake, monkeypatch):
    log = fake()
    device = GpuDevice()
    device.kernel(FEATURES, "halve")
    log.fails = {"compile": fake_cupy.CompileException("error: no")}
    with sentence(r"features\.cu: compile: error: no"):
        device.prepare([(FEATURES, symbol, ()) for symbol in ("halve", "block_sum", "scale<4>")])


# When CuPy is imported

SCRIPT = """
import os, sys
from dcgan_cupy import device
from dcgan_cupy.device import gpu
{before}
print(device.get("auto", threads=1).reason)
print("cupy" in sys.modules, os.environ.get("CUPY_CACHE_DIR"))
"""
DRIVER_IS_THERE = 'gpu.no_driver = lambda: ""'


def auto(before="", **environment):
    done = python(SCRIPT.format(before=before), **environment)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


NO_DRIVER = """
import ctypes, pathlib
load, glob, exists = ctypes.CDLL, pathlib.Path.glob, pathlib.Path.exists
def without(name, **rest):
    if name == "libcuda.so.1":
        raise OSError("not here")
    return load(name, **rest)
ctypes.CDLL = without
pathlib.Path.glob = lambda self, what: iter(()) if what[0] == "n" else glob(self, what)
pathlib.Path.exists = lambda self: str(self) != "/dev/dxg" and exists(self)
"""


def test_without_a_driver_cupy_is_not_imported():
    reason, imported = auto(NO_DRIVER, HOME="/dev/null", DCGAN_CUPY_CACHE=cache_root(), CUPY_CACHE_DIR=None)
    assert reason == "no NVIDIA driver is here, neither /dev/nvidia0 nor libcuda.so.1" and imported == "False None"


def test_the_cpu_asked_for_does_not_import_cupy():
    code = """
import sys
from dcgan_cupy import device
device.get("cpu", threads=1)
device.ready("cpu")
print("cupy" in sys.modules)
"""
    assert python(code, HOME="/dev/null", DCGAN_CUPY_CACHE=cache_root()).stdout == "False\n"


@pytest.mark.parametrize(
    "text, reason",
    [
        (
            "raise ImportError('libcublas.so.13: not here\\nand more')",
            "CuPy is not installed (libcublas.so.13: not here); `make gpu` installs it",
        ),
        (
            "raise PermissionError(13, 'Permission denied', '/home')",
            "CuPy cannot be imported: PermissionError: [Errno 13] Permission denied: '/home'",
        ),
        ("raise SystemError('\\033[2J')", r"CuPy cannot be imported: SystemError: \x1b[2J"),
        ("assert False", "CuPy cannot be imported: AssertionError: AssertionError"),
        (
            "import numpy; numpy.no_such_name",
            "CuPy cannot be imported: AttributeError: module 'numpy' has no attribute 'no_such_name'",
        ),
        ("x = 1", "CuPy cannot reach the driver: module 'cupy' has no attribute 'cuda'"),
    ],
)
def test_an_import_that_fails_in_any_way_is_no_gpu(tmp_path, text, reason):
    (tmp_path / "cupy.py").write_text(text)
    assert auto(f"{DRIVER_IS_THERE}; sys.path.insert(0, {str(tmp_path)!r})")[0] == reason


def test_where_cupy_keeps_its_kernels(tmp_path, monkeypatch):
    """In our cache; where the user says; in a folder that ends with the process, if nothing else can be written."""
    (tmp_path / "cupy.py").write_text("raise RuntimeError('not this time')")
    before = f"{DRIVER_IS_THERE}; sys.path.insert(0, {str(tmp_path)!r})"
    assert auto(before, CUPY_CACHE_DIR=None)[1] == f"False {cache_root() / 'cupy'}"
    assert (cache_root() / "cupy").stat().st_mode & 0o777 == 0o700
    assert auto(before, CUPY_CACHE_DIR="/mine")[1] == "False /mine"
    (tmp_path / "file").touch()
    code = f"""
import os, sys
from dcgan_cupy.device import gpu
{before}
print(gpu.missing(), os.environ["CUPY_CACHE_DIR"], os.path.isdir(os.environ["CUPY_CACHE_DIR"]))
"""
    done = python(code, CUPY_CACHE_DIR=None, DCGAN_CUPY_CACHE=tmp_path / "file", TMPDIR=tmp_path)
    said, folder, there = done.stdout.rsplit(maxsplit=2)
    assert said == "CuPy cannot be imported: RuntimeError: not this time" and there == "True", done.stderr
    assert (
        folder.startswith(f"{tmp_path}/dcgan-cupy-cupy-") and sorted(p.name for p in tmp_path.iterdir())[-1] == "file"
    )


def test_a_real_cupy_starts_where_home_cannot_be_written():
    pytest.importorskip("cupy", exc_type=ImportError)
    code = "from dcgan_cupy.device import gpu; print(repr(gpu.missing()), gpu.cupy.__name__)"
    assert python(code, HOME="/dev/null", DCGAN_CUPY_CACHE=cache_root(), CUPY_CACHE_DIR=None).stdout == "'' cupy\n"
