"""The device: kernel texts read, compiled, cached and run; CUDA's words on the CPU, and the same answers on a GPU."""

import contextlib
import json
import multiprocessing
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_equal, integers, normal

from dcgan_cupy import device as devices
from dcgan_cupy.cache import cache_root, private_folder
from dcgan_cupy.device import CpuDevice, KernelError, gpu, source
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
F32, I32, U32 = np.float32, np.int32, np.uint32
_made = {}


def variant(name):
    """The device of that name, made once."""
    if name == "gpu" and (missing := gpu.why_not()):
        pytest.skip(missing)
    if name not in _made:
        _made[name] = devices.get("gpu") if name == "gpu" else CpuDevice(**CPU[name])
        if name != "gpu":
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


@pytest.fixture(params=[*CPU, "gpu"])
def dev(request):
    """Every device."""
    return variant(request.param)


@pytest.fixture(params=["cpu-1", "cpu-2", "cpu-5", "cpu-debug", "gpu"])
def loop(request):
    """Every device that runs a barrier-free kernel in a way of its own: it has no fibers to switch."""
    return variant(request.param)


@pytest.fixture(params=["cpu-2", "gpu"])
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
    """An argument that a kernel writes: poisoned with NaN or 0x5A unless values are given, and guarded behind its end."""

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
        yield
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------------------------------------------------------------
# What kernels compute. Whole numbers throughout: == is fair.


@pytest.mark.parametrize(
    "grid, block",
    [(1, 1), (7, 33), ((2, 3, 4), (5, 3, 2)), ((1, 1, 9), (1, 1, 64)), (100, 1024), ((3, 50), (32, 32)), (20000, 1)],
)
def test_thread_numbers(loop, grid, block):
    threads, count = int(np.prod(block)), int(np.prod(grid) * np.prod(block))
    numbers = np.arange(count)
    assert_equal(
        run(loop, "thread_numbers", grid, block, Out(count, I32)), 1000 * (numbers // threads) + numbers % threads
    )


@pytest.mark.parametrize("n", [1, 31, 1000, 4097])
def test_template_instance(loop, n):
    x = integers(np.random.default_rng(n), n)
    for factor in (4, -3):
        assert_equal(run(loop, f"scale<{factor}>", (n + 127) // 128, 128, x, Out(n), I32(n)), factor * x)


def test_macros(one):
    x = np.arange(5, dtype=F32)
    for want, macros in [(2, {}), (3, {"TIMES": 3}), (1, {"TIMES": True}), (-0.5, {"TIMES": "(-1.0f / 2)"})]:
        assert_equal(run(one, "scale_by_macro", 1, 5, changed(x), **macros), want * x)


@pytest.mark.parametrize("blocks", [1, 2, 37])
def test_block_sum(dev, blocks):
    x = integers(np.random.default_rng(blocks), (blocks, 256))
    assert_equal(run(dev, "block_sum", blocks, 256, x, Out(blocks)), x.sum(1))


@pytest.mark.parametrize("block", [1, 2, 31, 32, 33, 50, 100, 1000, 1023, 1024, (7, 9, 11), (3, 1, 11)])
def test_shuffles_and_barriers_in_one_kernel(dev, block):
    threads, blocks = int(np.prod(block)), 5
    n = threads * blocks - threads // 3  # the last block reads past n
    x = integers(np.random.default_rng(threads), n)
    want = np.append(x, np.zeros(threads * blocks - n)).reshape(blocks, threads).sum(1)
    assert_equal(run(dev, "block_sum_shuffles", blocks, block, x, Out(blocks), I32(n)), want)


@pytest.mark.parametrize("threads", [1, 5, 64, 1024])
def test_dynamic_shared_memory(dev, threads):
    x = np.arange(4 * threads, dtype=I32)
    got = run(dev, "reverse_dynamic", 4, threads, x, Out(4 * threads, I32), shared_bytes=4 * threads)
    assert_equal(got, x.reshape(4, threads)[:, ::-1].ravel())


@pytest.mark.parametrize("threads", [1, 33, 1024])
def test_each_thread_keeps_its_locals_over_barriers(dev, threads):
    x = np.random.default_rng(threads).integers(-1000, 1000, (3, 16, threads)).astype(I32)
    want = np.stack([np.roll(x[:, k], -k, axis=1) for k in range(16)], axis=1)
    assert_equal(run(dev, "rotate_in_registers", 3, threads, x, Out(x.size, I32)), want.ravel())


@pytest.mark.parametrize("warps", [1, 3])
def test_shuffles(dev, warps):
    x = integers(np.random.default_rng(warps), (warps, 32), -50, 50)
    lane = np.arange(32)
    sources = [
        (lane + 5) % 32,
        np.where(lane >= 3, lane - 3, lane),
        np.where(lane + 3 < 32, lane + 3, lane),
        lane ^ 7,
        np.where(lane % 8 + 2 < 8, lane + 2, lane),
    ]
    want = np.stack([*(x[:, s] for s in sources), np.broadcast_to(x.sum(1, keepdims=True), x.shape)], axis=1)
    assert_equal(run(dev, "shuffles", 1, 32 * warps, x, Out(warps * 6 * 32)), want.ravel())


@pytest.mark.parametrize("name", CPU)
@pytest.mark.parametrize("threads", [2, 50])
def test_lanes_that_do_not_exist_are_not_waited_for(name, threads):
    x = np.arange(threads, dtype=I32) + 100
    out = run(variant(name), "full_mask", 1, threads, x, Out(2 * threads, I32)).reshape(2, threads)
    assert_equal(out[0], x[np.arange(threads) ^ 1])
    assert_equal(out[1], [int(np.sum(np.arange(threads) // 32 == i // 32)) for i in range(threads)])


@pytest.mark.parametrize("highest", [900, 1001])  # one vote above 1000, or none
def test_parts_of_a_warp_meet_on_their_own(dev, highest):
    x = np.random.default_rng(3).integers(0, 900, 32).astype(I32)
    x[9] = highest
    lane = np.arange(32)
    out = run(dev, "half_warps", 1, 32, x, Out(65, I32))
    assert_equal(out[:32], x[np.where(lane < 16, lane ^ 1, lane ^ 2)])
    assert int(out[32]) & 0xFFFFFFFF == sum(int(v % 2) << i for i, v in enumerate(x))
    assert_equal(out[33:], np.full(32, 2 * (highest > 1000) + 1))


@pytest.mark.parametrize("threads", [1, 40, 1024])
def test_barrier_votes(dev, threads):
    for x in (np.zeros(threads, I32), np.ones(threads, I32), (np.arange(threads) % 2).astype(I32)):
        want = 100 * x.sum() + 10 * x.any() + x.all()
        assert_equal(run(dev, "barrier_votes", 1, threads, x, Out(threads, I32)), np.full(threads, want))


@pytest.mark.parametrize("grid, block", [(1, 1), (50, 96), (2000, 33)])
def test_atomics(loop, grid, block):
    n = grid * block  # below 2^24: a float counts exactly
    zeros = [changed(np.zeros(count, dtype)) for count, dtype in ((6, I32), (1, U32), (1, F32))]
    ints, bits, floats = run(loop, "count_atomics", grid, block, *zeros)
    assert_equal(ints, np.array([n, n - 1, 1 - n, -2 * n, 7, 9]))
    assert bits[0] == 2 ** min(block, 32) - 1
    assert floats[0] == n


def test_vectors(loop):
    rng = np.random.default_rng(0)
    x, u = integers(rng, (50, 4)), rng.integers(0, 1000, (50, 4)).astype(U32)
    y, sums = run(loop, "vectors", 1, 50, x, Out(200), u, Out(100))
    assert_equal(y, x[:, ::-1].ravel())
    assert_equal(sums, np.stack([u[:, 0] + u[:, 1], 2 * u[:, 2] + u[:, 3]], axis=1).ravel())


def test_mathematics(loop):
    x = np.linspace(0.125, 3.0, 47).astype(F32)
    v = x.astype(np.float64)
    want = [np.sqrt(v), 1 / np.sqrt(v), np.exp(v), np.log(v), np.log1p(v), np.tanh(v), np.sin(v), np.cos(v), v**1.5]
    want = np.stack([*want, np.maximum(v, 1), np.minimum(v, 1), v], axis=1)
    got = run(loop, "mathematics", 1, 47, x, Out(47 * 12)).reshape(47, 12)
    assert np.isfinite(got).all()
    # CUDA's guide gives these functions at most 4 units in the last place (powf): 4 * 2^-23 = 4.8e-7; the C library is closer
    np.testing.assert_allclose(got, want, rtol=6e-7, atol=1e-7)


def test_exponential_and_tangent_at_the_edges(loop):
    x = np.array(
        [-np.inf, np.inf, np.nan, -200, -105, -87, 88.7, 89.5, 200, 0, -0.0, 1e-30, -1e-30, 1e-4, 0.34, 0.36, 9, -20],
        F32,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        exp, tanh = np.exp(x, dtype=np.float64).astype(F32), np.tanh(x, dtype=np.float64)
    got = run(loop, "mathematics", 1, x.size, x, Out(x.size * 12)).reshape(-1, 12)
    # as in test_mathematics; what is below the smallest normal number is flushed, so an absolute error of that size is none
    np.testing.assert_allclose(got[:, 2], exp, rtol=6e-7, atol=1.2e-38)
    np.testing.assert_allclose(got[:, 5], tanh, rtol=6e-7, atol=0)
    assert np.signbit(got[10, 5]), "tanh(-0.0) is -0.0"


def test_integer_words(loop):
    x = np.array([0, 1, -1, 5, 255, -(2**31), 2**31 - 1, 0x1234567], I32)
    u = x.astype(U32)
    bits = [f"{v:032b}" for v in u]
    want = [
        [b.count("1") for b in bits],
        [32 - len(b.lstrip("0")) for b in bits],
        [32 - len(b.rstrip("0")) + 1 if "1" in b else 0 for b in bits],
        np.array([int(b[::-1], 2) for b in bits], U32).astype(I32),
        np.array([int(v) * 0x9E3779B9 >> 32 for v in u], U32).astype(I32),
        [int(v) * 0x1E3779B9 >> 32 for v in x],
        np.minimum(x, 8),
        np.maximum(np.arange(8), 3),
        np.minimum(u, 8),
        np.maximum(x, -5),
    ]
    got = run(loop, "integer_words", 1, 8, x, Out(80, I32)).reshape(8, 10)
    for column, expected in enumerate(want):
        assert_equal(got[:, column], np.array(expected), f"column {column}")


def test_scalars_of_every_type(loop):
    values = [
        np.bool_(True),
        np.int8(-128),
        np.uint8(200),
        np.int16(-30000),
        np.uint16(60000),
        I32(-(2**31)),
        U32(2**32 - 1),
    ]
    values += [np.int64(-(2**53)), np.uint64(2**53), F32(0.1), np.float64(0.1)]
    for pointer, is_null in ((np.ones(1, F32), 0), (None, 1)):
        got = run(loop, "scalars", 1, 1, Out(13, np.float64), *values, pointer, np.uint64(3))
        assert_equal(got, np.array([*(float(v) for v in values), is_null, 3]))


def test_barrier_hidden_in_a_function_and_a_macro(dev):
    assert_equal(run(dev, "hidden_barrier", 1, 48, Out(48, I32)), np.full(48, 5))


def test_whole_blocks_may_leave_before_a_barrier(dev):
    got = run(dev, "whole_blocks_leave", 6, 40, changed(np.full(240, -1, I32))).reshape(6, 40)
    assert_equal(got, np.repeat([[0], [-1], [2], [-1], [4], [-1]], 40, axis=1))


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="denormals are flushed on x86-64 and AArch64 only"
)
def test_denormals_are_flushed_in_kernels_and_kept_outside(dev):
    tiny = F32(1e-40)
    x = np.full(64 * 32, np.finfo(F32).tiny, F32)  # the smallest normal number: half of it is a denormal
    assert_equal(run(dev, "halve", 64, 32, x, Out(x.size)), np.zeros_like(x))
    assert_equal(run(dev, "double_after_barrier", 64, 32, np.full_like(x, tiny), Out(x.size)), np.zeros_like(x))
    assert x[0] * F32(0.5) > 0, "the caller's own results are flushed now"
    assert tiny * F32(1e10) > 0, "the caller's own operands are flushed now"


def test_the_same_bits_on_any_number_of_threads():
    rng = np.random.default_rng(7)
    x, n = normal(rng, 300 * 256), 300 * 256
    seen = {}
    for name in ("cpu-1", "cpu-2", "cpu-5", "cpu-ucontext", "cpu-5"):
        outputs = [
            run(variant(name), "block_sum", 300, 256, x, Out(300)),
            run(variant(name), "block_sum_shuffles", 100, (31, 7), x, Out(100), I32(n)),
            run(variant(name), "mathematics", 300, 256, np.abs(x), Out(256 * 12)),
        ]
        assert all(np.isfinite(o).all() for o in outputs)
        bits = b"".join(o.tobytes() for o in outputs)
        assert seen.setdefault("bits", bits) == bits, name


def test_python_threads_may_launch_at_once(cpu):
    kernel, rng = cpu.kernel(FEATURES, "block_sum"), np.random.default_rng(0)
    wrong = []

    def many(x, sums):
        for _ in range(150):
            sums[:] = -1
            kernel(20, 256, x, sums)
            wrong.extend(np.flatnonzero(sums != x.reshape(20, 256).sum(1)))

    threads = [threading.Thread(target=many, args=(integers(rng, 20 * 256), cpu.empty(20))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert not wrong


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_kernels_run_in_a_forked_child(cpu):
    x, sums = cpu.array(np.arange(40 * 256) % 7).astype(F32), cpu.zeros(40)
    kernel = cpu.kernel(FEATURES, "block_sum")
    kernel(40, 256, x, sums)  # the parent's workers are awake
    context = multiprocessing.get_context("fork")

    def child(pipe):
        again = cpu.zeros(40)
        kernel(40, 256, x, again)
        tasks = len(os.listdir("/proc/self/task")) if Path("/proc/self/task").is_dir() else 2
        pipe.send((again, run(CpuDevice(threads=3), "scale<4>", 5, 1000, x[:5000], Out(5000), I32(5000)), tasks))

    ours, theirs = context.Pipe()
    process = context.Process(target=child, args=(theirs,), daemon=True)
    process.start()
    try:
        assert ours.poll(60), "the child hangs"
        again, scaled, tasks = ours.recv()
        process.join(60)
        assert process.exitcode == 0
    finally:
        process.kill()
    assert_equal(again, sums)
    assert_equal(scaled, 4 * x[:5000])
    assert tasks == 2, "the child has one worker of its own beside the thread that forked"


# ---------------------------------------------------------------------------------------------------------------------
# What CUDA does not define is an error here, never a hang

FAULTS = {  # symbol: its file, threads of a block, dtype, where the message points, what it says
    "leaves_early": (FEATURES, 8, "f4", "__syncthreads", "__syncthreads() waits for every thread of the block, "
                     "but thread (3, 0, 0) of BLOCK has returned"),
    "two_barriers": (FEATURES, 8, "f4", "__syncthreads", "thread (0, 0, 0) of BLOCK waits at this __syncthreads(), "
                     "but thread (4, 0, 0) of BLOCK waits at another, line OTHER"),
    "lane_leaves": (FEATURES, 32, "f4", "__shfl", "__shfl_xor_sync() waits for lane 5, which its mask 0xffffffff names, "
                    "but thread (5, 0, 0) of BLOCK has returned"),
    "leaves_itself_out": (UNDEFINED, 32, "i4", "__shfl", "thread (2, 0, 0) of BLOCK calls __shfl_sync() with mask 0x00000003, "
                          "which leaves out its own lane 2"),
    "two_shuffles": (UNDEFINED, 32, "i4", "__shfl", "__shfl_xor_sync() waits for lane 16, which its mask 0xffffffff names, "
                     "but thread (16, 0, 0) of BLOCK waits in __shfl_xor_sync() at line OTHER"),
    "lane_at_barrier": (UNDEFINED, 32, "i4", "__shfl", "__shfl_xor_sync() waits for lane 7, which its mask 0xffffffff names, "
                        "but thread (7, 0, 0) of BLOCK waits in __syncthreads() at line OTHER"),
    "one_thread_loops_longer": (UNDEFINED, 64, "i4", "__syncthreads", "__syncthreads() waits for every thread of the block, "
                                "but thread (0, 0, 0) of block (3, 0, 0) has returned"),
    "large_array": (UNDEFINED, 64, "i4", "__syncthreads", "thread (0, 0, 0) of BLOCK needs more than 65536 bytes of stack"),
}  # fmt: skip
RUN_FAULTS = """
import json, sys, numpy as np
from dcgan_cupy.device import CpuDevice, KernelError
features, variants, faults = sys.argv[1], *map(json.loads, sys.argv[2:])
for name, options in variants.items():
    dev = CpuDevice(**options)
    for symbol, (file, block, dtype, *_) in faults.items():
        scalars = (np.int32(30000),) if symbol == "large_array" else ()
        try:
            dev.kernel(file, symbol)(9, block, dev.zeros(30000, dtype), *scalars)
            message = "no error"
        except KernelError as error:
            message = str(error)
        denormals = np.float32(1e-40) * np.float32(1e10) > 0
        x, sums, y = dev.array(np.arange(512, dtype=np.float32)), dev.zeros(2), dev.zeros(3 * 64, "i4")
        dev.kernel(features, "block_sum")(2, 256, x, sums)
        works = sums.tolist() == [32640.0, 98176.0]
        if symbol == "one_thread_loops_longer":     # it goes wrong in block 3: three blocks of the same kernel are fine
            dev.kernel(file, symbol)(3, block, y)
            works &= bool((y == 4).all())
        print(json.dumps([name, symbol, message, works, bool(denormals)]), flush=True)
"""


@pytest.fixture(scope="module")
def answers():
    """What each CPU device says to each of FAULTS: from a process of their own, with a time limit."""
    for name in CPU:
        prepare(variant(name), UNDEFINED)
    done = python(RUN_FAULTS, FEATURES, json.dumps(CPU), json.dumps(FAULTS))
    assert done.returncode == 0, done.stderr
    return {(name, symbol): rest for name, symbol, *rest in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", CPU)
@pytest.mark.parametrize("symbol", FAULTS)
def test_undefined_behaviour_names_kernel_file_and_line(answers, name, symbol):
    file, _, _, at, message = FAULTS[symbol]
    got, works_afterwards, denormals_kept = answers[name, symbol]
    want = re.escape(message).replace("BLOCK", r"block \(\d, 0, 0\)")
    if "OTHER" in want:
        other = (
            line_of(file, symbol, "__syncthreads") if symbol == "lane_at_barrier" else line_of(file, symbol, at, nth=2)
        )
        want = want.replace("OTHER", str(other))
    assert re.fullmatch(f"{re.escape(file)}:{line_of(file, symbol, at)}: kernel {symbol}: {want}", got)
    assert works_afterwards
    assert denormals_kept, "the failed launch left the caller's floating-point mode changed"


@pytest.mark.parametrize("name", ["cpu-1", "cpu-2", "cpu-ucontext"])
def test_stack_overflow_between_barriers_aborts_with_a_message(name):
    code = """
import json, sys, numpy as np
from dcgan_cupy.device import CpuDevice
dev = CpuDevice(**json.loads(sys.argv[2]))
deep = dev.kernel(sys.argv[1], "deep_recursion")
for levels in (20, 90):
    x = dev.zeros(64 + 64, np.int32)
    deep(4, 64, x, np.int32(levels))
    print(levels, x[0], flush=True)
"""
    done = python(code, UNDEFINED, json.dumps(CPU[name]))
    assert done.stdout.split() == ["20", "21"]
    assert done.returncode == -signal.SIGABRT
    # two workers may both find it out
    assert set(done.stderr.splitlines()) == {"kernel deep_recursion: a thread needs more than 65536 bytes of stack"}


def test_a_barrier_that_was_not_foreseen_aborts_with_a_message(files):
    """The search for barriers does not look into operators. That must never end in a wrong result."""
    file = files(
        hidden_cu="""struct Meet { __device__ void operator()() const {
    __syncthreads(); } };
extern "C" __global__ void hidden(float* x) { Meet meet; meet(); x[0] = 1; }
"""
    )
    code = "import sys; from dcgan_cupy.device import *; dev = get('cpu'); dev.kernel(sys.argv[1], 'hidden')(1, 2, dev.zeros(1))"
    done = python(code, file)
    assert done.returncode == -signal.SIGABRT
    assert done.stderr == f"{file}:2: __syncthreads() reached in a kernel that was compiled as barrier-free\n"


def test_variables_on_the_device_are_refused(cpu, files):
    """Every worker has its own image of a kernel, and so would have its own copy."""
    text = 'extern "C" __global__ void count(unsigned* out) { out[0] = atomicAdd(&ticket, 1u); }'
    for declared in ("unsigned ticket = 0;", "static unsigned int ticket;", "volatile unsigned ticket{0};"):
        with sentence(r"state\.cu: ticket: need an array that the host passes, got a __device__ variable"):
            cpu.kernel(files(state_cu=f"// a\n__device__ {declared}\n{text}\n"), "count")
    with sentence(r"state\.cu: grid: need an array that the host passes, got a __device__ variable"):
        cpu.kernel(files(state_cu="__device__ float grid[4][4];\n" + text), "count")
    fine = """
__device__ __constant__ unsigned a[2] = {1, 2};
__constant__ __device__ unsigned b = 3;
__device__ const unsigned c = 4;
__device__ constexpr unsigned d[] = {5};
__device__ unsigned e(unsigned x);
__device__ unsigned e(unsigned x) { unsigned y = x; return y; }
struct P { unsigned v; __device__ bool operator==(P o) const { return v == o.v; } __device__ P& operator=(const P&) = default; };
// __device__ unsigned f;
extern "C" __global__ void sum(unsigned* out) { out[0] = a[1] + b + c + d[0] + e(6); }
"""
    assert_equal(run(cpu, "sum", 1, 1, Out(1, U32), file=files(fine_cu=fine)), [20])


# ---------------------------------------------------------------------------------------------------------------------
# Arguments, grids, names: checked before a launch


@pytest.mark.parametrize(
    "arguments, message",
    [
        (lambda x: (x, x, 5), r"n: need a NumPy scalar of int32, got a Python int"),
        (lambda x: (x, x, 5.0), r"n: need a NumPy scalar of int32, got a Python float"),
        (lambda x: (x, x, np.int64(5)), r"n: need a NumPy scalar of int32, got numpy\.int64 of int64"),
        (lambda x: (x, x, np.array(5, I32)), r"n: need a NumPy scalar of int32, got numpy\.ndarray of int32"),
        (lambda x: (x, x, x), r"n: need a NumPy scalar of int32, got \w+\.ndarray of float32"),
        (lambda x: (x, x, None), r"n: need a NumPy scalar of int32, got a Python NoneType"),
        (
            lambda x: (x, x.astype(np.float64), I32(5)),
            r"y: need an array of float32 on the \w+, got \w+\.ndarray of float64",
        ),
        (lambda x: (x, F32(1), I32(5)), r"y: need an array of float32 on the \w+, got numpy\.float32 of float32"),
        (lambda x: ([1.0] * 5, x, I32(5)), r"x: need an array of float32 on the \w+, got a Python list"),
        (lambda x: (x, x), r"arguments: need 3 \(x, y, n\), got 2"),
        (lambda x: (x, x, I32(5), I32(5)), r"arguments: need 3 \(x, y, n\), got 4"),
        (lambda x: (), r"arguments: need 3 \(x, y, n\), got 0"),
    ],
)
def test_wrong_arguments(one, arguments, message):
    kernel, x = one.kernel(FEATURES, "scale<4>"), one.zeros(5)
    with sentence(f"^scale<4>: {message}$", TypeError):
        kernel(1, 32, *arguments(x))


def test_arrays_with_gaps_are_refused(one):
    kernel, x = one.kernel(FEATURES, "scale<4>"), one.zeros((6, 6))
    for gaps in (x[::2], x[:, :3], x.T):
        with sentence(r"scale<4>: x: need an array in C order without gaps, got strides \(\d+, \d+\)", ValueError):
            kernel(1, 32, gaps, x, I32(5))
    kernel(1, 32, x[2:4], x, I32(5))


@pytest.mark.parametrize(
    "grid, block, message",
    [
        (1, 1025, r"thread_numbers: block: need 1 to 3 sizes from 1 to \(1024, 1024, 64\), got 1025"),
        (1, (1, 1, 65), r"thread_numbers: block: need 1 to 3 sizes from 1 to \(1024, 1024, 64\), got \(1, 1, 65\)"),
        (1, (33, 32), r"thread_numbers: block: need at most 1024 threads, got 1056 \(33,32,1\)"),
        (1, 0, r"thread_numbers: block: need 1 to 3 sizes from 1 to .*, got 0"),
        (0, 32, r"thread_numbers: grid: need 1 to 3 sizes from 1 to \(2147483647, 65535, 65535\), got 0"),
        ((4, 0), 32, r"thread_numbers: grid: need .*, got \(4, 0\)"),
        (-1, 32, r"thread_numbers: grid: need .*, got -1"),
        ((1, 65536), 32, r"thread_numbers: grid: need .*, got \(1, 65536\)"),
        ((1, 1, 1, 1), 32, r"thread_numbers: grid: need .*, got \(1, 1, 1, 1\)"),
    ],
)
def test_wrong_grids_and_blocks(one, grid, block, message):
    with sentence(message, ValueError):
        one.kernel(FEATURES, "thread_numbers")(grid, block, one.zeros(8, I32))


def test_too_much_shared_memory(cpu):
    kernel, x = cpu.kernel(FEATURES, "reverse_dynamic"), cpu.zeros(8, I32)
    with sentence(r"reverse_dynamic: shared_bytes: need at most 232448, got 232449"):
        kernel(1, 8, x, x, shared_bytes=227 * 1024 + 1)
    kernel(1, 8, x, x, shared_bytes=227 * 1024)


def test_unknown_kernel_lists_those_that_exist(one):
    with sentence(
        r"features\.cu: kernel: need one of thread_numbers, scale, block_sum, .*, hidden_barrier, .*, got 'block_summ'"
    ):
        one.kernel(FEATURES, "block_summ")
    with sentence(r"index\.cuh: kernel: need one of \(no kernel in this file\), got 'f'"):
        one.kernel("include/index.cuh", "f")


def test_unknown_file(one):
    with sentence(r"kernels: nowhere/none\.cu: need a file under .*kernels, got none of that name"):
        one.kernel("nowhere/none.cu", "f")


def test_compile_error_names_file_and_line(one):
    with sentence(
        r"does_not_compile\.cu(:4: compile: expected|: compile: .*does_not_compile\.cu\(4\): error: expected)"
    ):
        one.kernel(str(KERNELS / "does_not_compile.cu"), "no_semicolon")


def test_a_template_needs_an_instance(cpu):
    for symbol in ("scale", "scale<name_of_nothing>", "scale<4, 5>"):
        with sentence(f"^{re.escape(symbol)}: compile: "):
            cpu.kernel(FEATURES, symbol)


def test_a_kernel_is_made_once(one):
    assert one.kernel(FEATURES, "scale<4>") is one.kernel(FEATURES, "scale<4>")
    assert one.kernel(FEATURES, "scale_by_macro", TIMES=3) is not one.kernel(FEATURES, "scale_by_macro", TIMES=4)


def test_arrays(one):
    x = np.arange(12, dtype=F32).reshape(3, 4)
    before, size = one.allocations, one.allocated_bytes
    made = one.array(x.T)
    assert made.flags.c_contiguous and made.shape == (4, 3) and made.dtype == F32
    assert_equal(one.numpy(made), x.T)
    one.upload(made, x.T + 1)
    copy = one.numpy(made)
    copy[0] = 99
    assert_equal(one.numpy(made), x.T + 1)
    assert_equal(one.numpy(one.zeros((2, 3), np.uint8)), np.zeros((2, 3)))
    assert one.empty(()).shape == () and one.empty((0, 5)).size == 0 and one.empty(7).shape == (7,)
    assert one.allocations - before == 5 and one.allocated_bytes - size == 48 + 6 + 4 + 0 + 28
    for wrong in (x, x.T.astype(np.float64), x.T[:1], x[0, 0]):
        with sentence(r"upload: need float32 \(4, 3\), got float(32|64) \(.*\)", ValueError):
            one.upload(made, wrong)
    assert_equal(one.numpy(made), x.T + 1)


def test_gradients_take_turns(one):
    one._gradients, one._turn = [None, None], 0
    first, second = one.gradient((2, 3)), one.gradient((4,))
    before, start = one.allocations, one.address(first)
    assert first.shape == (2, 3) and first.dtype == F32 and one.address(second) != start
    assert one.address(one.gradient((3, 2))) == start and one.address(one.gradient((2, 2))) == one.address(second)
    assert one.allocations == before
    larger = one.gradient((7,))  # grows the first, and the second stays
    assert larger.shape == (7,) and one.allocations == before + 1
    assert one.address(one.gradient((1,))) == one.address(second) and one.address(one.gradient((7,))) == one.address(
        larger
    )
    one.rewind_gradients()
    assert one.address(one.gradient((7,))) == one.address(larger)
    one.rewind_gradients()
    assert one.address(one.gradient((7,))) == one.address(larger)


@pytest.mark.parametrize("shape, dtype", [((3, 5), F32), (1, np.uint8), (1000003, np.uint8), ((), np.float64)])
def test_cpu_arrays_start_on_a_cache_line(cpu, shape, dtype):
    assert cpu.empty(shape, dtype).ctypes.data % 64 == 0


# ---------------------------------------------------------------------------------------------------------------------
# Choosing a device


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(gpu, "why_not", lambda: "the GPU is on holiday")


def test_auto_without_a_gpu_is_the_cpu_and_says_why(no_gpu):
    dev = devices.get("auto", threads=1)
    assert dev.kind == "cpu" and dev.reason == "the GPU is on holiday"
    assert re.fullmatch(r"CPU, .+, 1 thread, .+ \(.+\)", dev.description)


def test_a_gpu_that_is_not_there(no_gpu):
    with sentence("device: gpu: need a CUDA device, got none: the GPU is on holiday"):
        devices.get("gpu")


def test_auto_takes_the_gpu_that_answers():
    if missing := gpu.why_not():
        pytest.skip(missing)
    dev = devices.get()
    assert dev.kind == "gpu" and dev.reason and dev.description.startswith("GPU ")


def test_unknown_devices_and_builds():
    with sentence("device: need auto, cpu or gpu, got 'tpu'"):
        devices.get("tpu")
    with sentence("device: cpu: build: need fast or debug, got 'slow'"):
        devices.get("cpu", build="slow")


@pytest.mark.parametrize("bad", ["two", "-1", "1.5", "²", "9" * 23, "9" * 5000])
def test_threads_that_are_no_number(monkeypatch, bad):
    monkeypatch.setenv("DCGAN_CUPY_THREADS", bad)
    with sentence(rf"device: cpu: DCGAN_CUPY_THREADS: need a whole number of threads, 1 to 256, got '{bad}'"):
        CpuDevice()


@pytest.mark.parametrize("bad", [0, -1, 257])
def test_too_few_or_too_many_threads(monkeypatch, bad):
    with sentence(rf"device: cpu: threads: need 1 to 256 .*, got {bad}"):
        CpuDevice(threads=bad)
    if bad >= 0:
        monkeypatch.setenv("DCGAN_CUPY_THREADS", str(bad))
        with sentence(rf"device: cpu: threads: need 1 to 256 .*, got {bad}"):
            CpuDevice()


def test_number_of_threads(monkeypatch):
    monkeypatch.setenv("DCGAN_CUPY_THREADS", "3")
    assert CpuDevice().threads == 3
    assert CpuDevice(threads=2).threads == 2
    assert CpuDevice(build="debug").threads == 1
    monkeypatch.setenv("DCGAN_CUPY_THREADS", "")
    monkeypatch.setattr("dcgan_cupy.device.host.launch.cores", lambda: 384)
    assert CpuDevice().threads == 256  # the pool's most


# ---------------------------------------------------------------------------------------------------------------------
# Reading sources


def compiled_lines(text):
    """(file, line, text) of each line of a pasted text, as a compiler counts them."""
    file, number, lines = None, 0, []
    for line in text.splitlines():
        if match := re.match(r'#line (\d+) "(.*)"', line):
            number, file = int(match[1]), Path(match[2]).name
        else:
            lines.append((file, number, line))
            number += 1
    return lines


def test_includes_are_pasted_once_and_lines_keep_their_numbers(files, tmp_path):
    main = files(
        main_cu='// top\n#include "a.cuh"\nint main_3;\n  #  include "sub/b.cuh"  // why\n#include "a.cuh"\nint main_6;\n',
        a_cuh='#pragma once\n#include "sub/b.cuh"\nint a_3;',
        sub__b_cuh='#include "../a.cuh"\n#include "c.cuh"\n#include <math.h>\nint b_4;\n',
        sub__c_cuh="int c_1;\n",
    )
    text = source.load(main)
    lines = compiled_lines(text)
    for file, number, line in lines:
        if match := re.fullmatch(r"int (\w+)_(\d+);", line):
            assert (file.partition(".")[0], number) == (match[1], int(match[2]))
    assert re.findall(r"int (\w+);", text) == ["c_1", "b_4", "a_3", "main_3", "main_6"]
    assert "#include <math.h>" in text and '#include "' not in text
    assert str(tmp_path / "sub" / "c.cuh") in text


def test_includes_come_from_the_shared_folder_too(files):
    text = source.load(files(main_cu='#include "reduce.cuh"\n#include "index.cuh"\n'))
    assert '#line 1 "include/reduce.cuh"' in text, "shown as it stands under kernels/"
    assert "sum_over_block" in text and "global_thread" in text
    assert f'#line 1 "{source.KERNELS / "include" / "reduce.cuh"}"' in source.load(
        files(main_cu='#include "reduce.cuh"\n'), absolute=True
    )


def test_missing_include(files):
    main = files(main_cu='int a;\n#include "a.cuh"\n', a_cuh='\n\n#include "gone.cuh"\n')
    with sentence(r'a\.cuh:3: include: need "gone\.cuh" beside the file or in .*include, got neither'):
        source.load(main)


def test_macros_come_first():
    text = source.load(FEATURES, (("A", 3), ("B", True), ("C", "x + 1")))
    assert text.startswith('#define A 3\n#define B 1\n#define C x + 1\n#line 1 "')


def test_comments_and_strings_do_not_confuse():
    found = source.signatures(r"""
// __global__ void not_me(int x) { __syncthreads(); }
/* nor me: __global__ void nor_me(int x) { */
extern "C" __global__ void plain(const float* x /* , int hidden */, int n) {   // never __syncthreads() here }}}
    const char* text = "} __syncthreads() \" { // still a string"; char brace = '{', quote = '\'', other = '"';
    /* } " unbalanced ' { */
    x[0];
}
extern "C" __global__ void waits(float* y) { /* { */ __syncthreads(); }
""")
    assert list(found) == ["plain", "waits"]
    assert [p.name for p in found["plain"].parameters] == ["x", "n"]
    assert not found["plain"].meets and found["waits"].meets


def test_stripped_comments_keep_their_lines():
    text = 'a /* one\ntwo */ b // three\n"str\\"ing // no" c\n/* x */ d'
    assert [line.rstrip() for line in source.strip_comments(text).splitlines()] == ["a", " b", '"" c', "  d"]


@pytest.mark.parametrize(
    "declared, name, c_type, pointer, dtype",
    [
        ("int n", "n", "int", False, I32),
        ("const float* x", "x", "float", True, F32),
        ("const float *__restrict__ x", "x", "float", True, F32),
        ("float const * const x", "x", "float", True, F32),
        ("volatile unsigned long long* __restrict__ counter", "counter", "unsigned long long", True, np.uint64),
        ("unsigned long long n", "n", "unsigned long long", False, np.uint64),
        ("unsigned n", "n", "unsigned", False, U32),
        ("const unsigned   int\n n", "n", "unsigned int", False, U32),
        ("unsigned char* pixels", "pixels", "unsigned char", True, np.uint8),
        ("size_t n", "n", "size_t", False, np.uint64),
        ("bool flag", "flag", "bool", False, np.bool_),
        ("double d", "d", "double", False, np.float64),
        ("const float4* x", "x", "float4", True, F32),
        ("const float x[]", "x", "float", True, F32),
        ("float x[16]", "x", "float", True, F32),
        ("T* x", "x", "T", True, None),
        ("Tuple<int, 4> t", "t", "Tuple<int, 4>", False, None),
        ("const __grid_constant__ Shape s", "s", "Shape", False, None),
    ],
)
def test_parameters(declared, name, c_type, pointer, dtype):
    found = source.signatures(f'extern "C" __global__ void k(int before, {declared}, float* after) {{}}')["k"]
    assert [p.name for p in found.parameters] == ["before", name, "after"]
    assert found.parameters[1] == source.Parameter(name, c_type, pointer, None if dtype is None else np.dtype(dtype))


def test_launch_bounds_on_either_side():
    for bounds in (
        "__launch_bounds__(256)",
        "__launch_bounds__( 256, 2 )",
        "__launch_bounds__((BM / TM) * (BN / TN), MIN(2, 3))",
        "",
    ):
        for head in (f"__global__ void {bounds} k", f"__global__ {bounds} void k", f"__global__ {bounds}\nvoid\nk"):
            found = source.signatures(f'extern "C" {head}(int a, float b) {{ }}')
            assert list(found) == ["k"], head
            assert [p.name for p in found["k"].parameters] == ["a", "b"]


def test_templates_are_told_from_plain_kernels():
    found = source.signatures("""
#include <cuda_bf16.h>
extern "C" __global__ void after_include(int a) {}
template <int A, class T = Pair<int>> __global__ void templated(T* x) {}
template <bool B>
__global__ __launch_bounds__(64) void with_bounds(int a) {}
template <class T> __device__ T square(T v) { return v * v; }
#define GREATER(a, b) a >
__global__ void after_define() {}
template <int N> static __global__ void inside(int a) { }
__global__ void nothing(void) { }
""")
    assert {name: s.template for name, s in found.items()} == {
        "after_include": False, "templated": True, "with_bounds": True, "after_define": False, "inside": True, "nothing": False
    }  # fmt: skip
    assert found["nothing"].parameters == () and found["after_define"].parameters == ()


def test_barriers_are_found_through_functions_and_macros():
    found = source.signatures(r"""
#define MEET() \
    __syncthreads()
#define TWICE MEET(); MEET()
#define SQUARE(x) ((x) * (x))
__device__ void direct() { __syncwarp(); }
__device__ void plain(int i) { if (i) { for (;;) { } } }
template <int N> __device__ __forceinline__ float through(float v) { return N > 1 ? reduce(v) : v; }
__device__ float reduce(float v) { return __shfl_down_sync(0xffffffffu, v, 1); }
__device__ auto trailing(float v) -> float { return reduce(v); }
struct Tile { __device__ void load() const { TWICE; } };
extern "C" __global__ void by_function() { direct(); }
extern "C" __global__ void by_macro() { TWICE; }
extern "C" __global__ void by_two_functions(float* x) { x[0] = through<2>(x[0]); }
extern "C" __global__ void by_trailing(float* x) { x[0] = trailing(x[0]); }
extern "C" __global__ void by_method(float* x) { Tile t; t.load(); }
extern "C" __global__ void by_vote(int* x) { x[0] = __syncthreads_or(x[0]); }
extern "C" __global__ void by_ballot(int* x) { x[0] = __ballot_sync(~0u, x[0]); }
extern "C" __global__ void by_lambda(int* x) { auto f = [&](int i) { __syncthreads(); }; f(1); }
extern "C" __global__ void if_constexpr() { if constexpr (1 > 0) { __syncthreads(); } }
extern "C" __global__ void free_1(float* x) { x[0] = SQUARE(x[0]); plain(3); }
extern "C" __global__ void free_2(float* x) { if constexpr (1 > 0) { x[0] = 1; } else if (true) { plain(3); } }
""")
    meets = {name for name, s in found.items() if s.meets}
    assert meets == {name for name in found if name.startswith(("by_", "if_"))}


def test_features_are_found():
    found = source.signatures(source.load(FEATURES))
    free = {
        "thread_numbers",
        "scale",
        "count_atomics",
        "vectors",
        "mathematics",
        "halve",
        "scalars",
        "scale_by_macro",
        "integer_words",
    }
    assert {name for name, s in found.items() if not s.meets} == free
    assert {name for name, s in found.items() if s.template} == {"scale"}


# ---------------------------------------------------------------------------------------------------------------------
# The compiler and the cache

TRIPLE = '#include "factor.cuh"\nextern "C" __global__ void triple(float* x) { __syncthreads(); x[threadIdx.x] *= FACTOR; }\n'
CHILD = "import sys; from dcgan_cupy.device import CpuDevice; print(CpuDevice(threads=1).kernel(sys.argv[1], sys.argv[2]).symbol)"


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """An empty cache, but for zig's own part, borrowed from the real one: it takes seconds to fill. A list of the compile commands."""
    zig = cache_root() / "zig"
    zig.mkdir(parents=True, exist_ok=True)
    root = tmp_path / "cache"
    root.mkdir(mode=0o700)
    (root / "zig").symlink_to(zig)
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(root))
    commands, real = [], subprocess.run

    def counted(command, *args, **options):
        if "-o" in command:
            commands.append(command)
        return real(command, *args, **options)

    monkeypatch.setattr(subprocess, "run", counted)
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


def test_a_hit_does_not_compile_and_any_change_misses(fresh, files, monkeypatch):
    def compiles(want, factor, text=TRIPLE, device=None, header="#define FACTOR 3\n", **macros):
        """Makes the kernel on a new device, runs it, and says whether that took a compilation."""
        before = len(fresh)
        file = files(triple_cu=text, factor_cuh=header)
        made = CpuDevice(**(device or {"threads": 1}))
        assert_equal(run(made, "triple", 1, 4, changed(np.ones(4, F32)), file=file, **macros), np.full(4, factor))
        assert len(fresh) - before == want

    for threads in (1, 2):
        CpuDevice(threads=threads)  # the pool is compiled too
    fresh.clear()
    compiles(1, 3)
    compiles(0, 3)
    compiles(0, 3, device={"threads": 2})
    compiles(1, 3, UNUSED=1)
    compiles(1, 5, header="#define FACTOR 5\n")
    compiles(1, 6, text=TRIPLE.replace("*= FACTOR", "*= 2 * FACTOR"))
    compiles(1, 3, device={"threads": 1, "ucontext": True})
    compiles(1, 3, device={"build": "debug"})
    compiles(0, 3)
    assert len([path for path in objects()[0] if "pool" not in str(path)]) == 6 and objects()[1] == []

    every = building.headers()
    for header in ("cuda_on_host.hpp", "async_copy.hpp", "launch.h"):  # a newer one of any of them
        assert (building.HERE / header).read_text() in every
    with monkeypatch.context() as patch:
        patch.setattr(building, "headers", lambda: every + "// changed")
        compiles(1, 3)
    with monkeypatch.context() as patch:  # the same folder seen from another processor
        patch.setattr(building, "processor", lambda: "another processor")
        compiles(1, 3)
    with monkeypatch.context() as patch:  # an updated compiler
        patch.setitem(building.find_compiler().__dict__, "version", building.find_compiler().version + ".1")
        compiles(1, 3)
    compiles(0, 3)


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_that_others_can_write_is_refused(fresh, mode):
    folder = cache_root() / "cpu"
    folder.mkdir()
    folder.chmod(mode)
    with sentence(
        rf"cache: {folder}: need a folder that only you can write, got mode {mode:o} "
        rf"\(chmod 700 {folder}, or set DCGAN_CUPY_CACHE to another place\)"
    ):
        CpuDevice(threads=1).kernel(FEATURES, "halve")
    assert fresh == []


def test_a_folder_of_somebody_else_is_refused(fresh, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: cache_root().stat().st_uid + 1)
    with sentence(
        r"cache: .*: need a folder of your own, got one of user \d+ \(set DCGAN_CUPY_CACHE to another place\)"
    ):
        private_folder(cache_root())


def test_a_folder_that_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(tmp_path / "file" / "below"))
    with sentence(
        r"cache: .*file/below/cpu: need a folder that can be written, got: Not a directory \(set DCGAN_CUPY_CACHE to .*\)"
    ):
        CpuDevice(threads=1).kernel(FEATURES, "halve")


def test_a_folder_that_cannot_be_written(fresh):
    folder = private_folder(cache_root() / "cpu")
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere")
    with sentence(r"cache: .*/cpu: need room to write a compiled kernel, got: Permission denied"):
        CpuDevice(threads=1).kernel(FEATURES, "halve")


def test_where_the_cache_lies(monkeypatch):
    monkeypatch.setenv("DCGAN_CUPY_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_root() == Path("/own")
    monkeypatch.setenv("DCGAN_CUPY_CACHE", "")
    assert cache_root() == Path("/xdg/dcgan_cupy")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_root() == Path("/home/me/.cache/dcgan_cupy")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_eight_processes_compile_the_same_kernel_at_once(fresh, files):
    building.build("pool", (building.HERE / "pool.cpp").read_text())
    file = files(triple_cu=TRIPLE, factor_cuh="#define FACTOR 3\n")
    context = multiprocessing.get_context("fork")
    together, results = context.Barrier(8), context.SimpleQueue()

    def child(number):
        together.wait(60)
        got = run(CpuDevice(threads=1), "triple", 1, 3, changed(np.full(3, number, F32)), file=file)
        results.put((number, got.tolist()))

    processes = [context.Process(target=child, args=(i,), daemon=True) for i in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [p.exitcode for p in processes] == [0] * 8
    assert dict(results.get() for _ in range(8)) == {i: [3.0 * i] * 3 for i in range(8)}
    made, others = objects()
    assert [name.split("-")[0] for name in made] == ["pool", "triple"] and others == []


def test_a_build_that_is_killed_leaves_no_half_object(fresh, tmp_path, compiler):
    slow, begun = tmp_path / "slow", tmp_path / "begun"
    slow.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then echo "slow compiler 1"; exit; fi\n'
        'for word; do [ "$before" = -o ] && out="$word"; before="$word"; done\n'
        f'printf "half an object" > "$out"; touch {begun}; sleep 60\n'
    )
    slow.chmod(0o700)
    environment = {**os.environ, "CXX": str(slow)}
    killed = subprocess.Popen(
        [sys.executable, "-c", CHILD, FEATURES, "halve"], env=environment, cwd=ROOT, start_new_session=True
    )
    waited = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < waited:
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)  # the process and its compiler
    assert killed.wait() == -signal.SIGKILL
    made, left = objects()
    assert made == [] and sorted(Path(name).suffix for name in left) == [".cpp", ".so"]

    done = python(CHILD, FEATURES, "halve")
    assert done.stdout == "halve\n", done.stderr
    assert [name.split("-")[0] for name in objects()[0]] == ["halve", "pool"]
    assert objects()[1] == left, "too young to be swept: their build might still be running"
    for name in left:
        os.utime(cache_root() / "cpu" / name, (time.time() - 3700,) * 2)
    old = cache_root() / "cpu" / objects()[0][0]
    os.utime(old, (time.time() - 10**8,) * 2)  # an old object is not rubbish
    CpuDevice(threads=1).kernel(FEATURES, "scale<4>")
    assert objects()[1] == [] and len(objects()[0]) == 3 and old.exists()


def test_nothing_is_left_behind(fresh, tmp_path):
    """Not in the cache, and no copies of the objects in the folder for temporary files."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    for _ in range(2):
        done = python(CHILD.replace("threads=1", "threads=3"), FEATURES, "block_sum", TMPDIR=temporary)
        assert done.stdout == "block_sum\n", done.stderr
        assert os.listdir(temporary) == []
        assert objects()[1] == []


def test_a_failed_build_leaves_nothing(fresh):
    with sentence("compile"):
        CpuDevice(threads=1).kernel(str(KERNELS / "does_not_compile.cu"), "no_semicolon")
    assert objects() == ([], [])


@pytest.mark.parametrize(
    "command, message",
    [
        ("/nowhere/c++", r"device: cpu: /nowhere/c\+\+: need a C\+\+ compiler that runs, got: .*No such file"),
        (
            "no-such-compiler -O2",
            r"device: cpu: no-such-compiler -O2: need a C\+\+ compiler that runs, got: .*No such file",
        ),
        ("FOLDER", r"device: cpu: /.*: need a C\+\+ compiler that runs, got: .*Permission denied"),
        ("FOLDER/text", r"device: cpu: /.*: need a C\+\+ compiler that runs, got: .*Permission denied"),
        ("FOLDER/silent", r"device: cpu: /.*: need a C\+\+ compiler, got a program that fails at --version"),
        ("FOLDER/failing", r"device: cpu: /.*: need a C\+\+ compiler, got a program that fails at --version"),
        ("FOLDER/polite", r"halve: compile: polite 1\.0 left no object"),
        (f"{sys.executable} -I", r"halve: compile: Python .* failed: "),
        ('c++ "-O2', r"device: cpu: CXX: need a command, got 'c\+\+ \"-O2'"),
        (" ", r"device: cpu: CXX: need a command, got ' '"),
    ],
)
def test_a_compiler_that_is_none(fresh, compiler, tmp_path, command, message):
    (tmp_path / "text").write_text("not a program")
    for name, script in {
        "silent": "exit 0",
        "failing": "echo failing 1.0; exit 1",
        "polite": "echo polite 1.0; exit 0",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o700)
    compiler(command.replace("FOLDER", str(tmp_path)))
    with sentence(f"^{message}"):
        CpuDevice(threads=1).kernel(FEATURES, "halve")
    assert objects() == ([], [])


def test_no_compiler_at_all(compiler, monkeypatch):
    compiler(None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with sentence(
        r"device: cpu: need a C\+\+ compiler, found none; install one with `pip install ziglang` .*, or set CXX"
    ):
        devices.get("cpu")


def test_order_of_compilers(compiler, monkeypatch):
    compiler(None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for present, want in [({"g++", "c++", "clang++"}, "clang++"), ({"g++", "c++"}, "g++"), ({"c++"}, "c++")]:
        monkeypatch.setattr(shutil, "which", lambda name, present=present: f"/bin/{name}" if name in present else None)
        building.find_compiler.cache_clear()
        assert building.find_compiler() == building.Compiler((f"/bin/{want}",), "PATH")


@pytest.mark.parametrize("name", ["g++", "clang++"])
def test_compilers_of_the_system(name):
    if not shutil.which(name):
        pytest.skip(f"no {name} on PATH")
    code = """
import sys, numpy as np
from dcgan_cupy.device import CpuDevice, KernelError
file = sys.argv[1]
for options in ({"threads": 2}, {"build": "debug"}):
    dev = CpuDevice(**options)
    x, y, sums = dev.array(np.arange(1024, dtype=np.float32) % 11), dev.zeros(1024), dev.zeros(4)
    dev.kernel(file, "block_sum_shuffles")(4, 256, x, sums, np.int32(1024))
    assert sums.tolist() == x.reshape(4, 256).sum(1).tolist()
    dev.kernel(file, "scale<4>")(4, 256, x, y, np.int32(1000))
    assert (y[:1000] == 4 * x[:1000]).all() and not y[1000:].any()
    try:
        dev.kernel(file, "leaves_early")(1, 8, x)
        raise SystemExit("no error")
    except KernelError as error:
        print(error)
print(dev.description)
"""
    done = python(code, FEATURES, CXX=name)
    assert done.returncode == 0, done.stderr
    where = f"{FEATURES}:{line_of(FEATURES, 'leaves_early', '__syncthreads')}"
    assert done.stdout.count(f"{where}: kernel leaves_early: __syncthreads() waits for every thread") == 2
    assert done.stdout.strip().endswith("($CXX)")


def test_a_debug_build_knows_the_lines_of_the_file(fresh):
    kernel = CpuDevice(build="debug").kernel(FEATURES, "block_sum")
    data = (cache_root() / "cpu" / objects()[0][0]).read_bytes()
    assert FEATURES.encode() in data and b".debug_line" in data
    with pytest.raises(KernelError, match=f"^{re.escape(FEATURES)}:"):
        kernel.device.kernel(FEATURES, "leaves_early")(1, 8, np.zeros(8, F32))


def test_features_are_cuda():
    """The kernels of these tests compile for a GPU, too: the CPU is not more lenient. Needs NVRTC, but no GPU."""
    compiling = pytest.importorskip("cupy.cuda.compiler", exc_type=ImportError)
    core = pytest.importorskip("cupy._core.core", exc_type=ImportError)
    text = source.load(FEATURES)
    names = tuple(n for n, s in source.signatures(text).items() if not s.template)
    try:
        program = compiling._NVRTCProgram(text, "features.cu", method="cubin")
        options = (*core.assemble_cupy_compiler_options(("-std=c++17",)), "-arch=sm_90")
    except RuntimeError as error:  # NVRTC's library is missing
        pytest.skip(str(error))
    binary = program.compile(options, None)[0]
    assert all(name.encode() in binary for name in names)
