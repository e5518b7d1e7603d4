"""What CUDA leaves undefined is an error here that names kernel, file and line."""

import json
import re
import signal

import pytest
from device_cases import (  # noqa: F401
    CPU,
    FEATURES,
    U32,
    UNDEFINED,
    Out,
    cpu,
    files,
    line_of,
    prepare,
    python,
    run,
    sentence,
    variant,
)
from helpers import assert_equal

FAULTS = {  # symbol: its file, threads of a block, dtype, where the message points, what it says
    "leaves_early": (
        FEATURES,
        8,
        "f4",
        "__syncthreads",
        "__syncthreads() waits for every thread of the block, but thread (3, 0, 0) of BLOCK has returned",
    ),
    "two_barriers": (
        FEATURES,
        8,
        "f4",
        "__syncthreads",
        (
            "thread (0, 0, 0) of BLOCK waits at this __syncthreads(), "
            "but thread (4, 0, 0) of BLOCK waits at another, line OTHER"
        ),
    ),
    "lane_leaves": (
        FEATURES,
        32,
        "f4",
        "__shfl",
        (
            "__shfl_xor_sync() waits for lane 5, which its mask 0xffffffff names, "
            "but thread (5, 0, 0) of BLOCK has returned"
        ),
    ),
    "leaves_itself_out": (
        UNDEFINED,
        32,
        "i4",
        "__shfl",
        "thread (2, 0, 0) of BLOCK calls __shfl_sync() with mask 0x00000003, which leaves out its own lane 2",
    ),
    "two_shuffles": (
        UNDEFINED,
        32,
        "i4",
        "__shfl",
        (
            "__shfl_xor_sync() waits for lane 16, which its mask 0xffffffff names, "
            "but thread (16, 0, 0) of BLOCK waits in __shfl_xor_sync() at line OTHER"
        ),
    ),
    "lane_at_barrier": (
        UNDEFINED,
        32,
        "i4",
        "__shfl",
        (
            "__shfl_xor_sync() waits for lane 7, which its mask 0xffffffff names, "
            "but thread (7, 0, 0) of BLOCK waits in __syncthreads() at line OTHER"
        ),
    ),
    "one_thread_loops_longer": (
        UNDEFINED,
        64,
        "i4",
        "__syncthreads",
        "__syncthreads() waits for every thread of the block, but thread (0, 0, 0) of block (3, 0, 0) has returned",
    ),
    "large_array": (
        UNDEFINED,
        64,
        "i4",
        "__syncthreads",
        "thread (0, 0, 0) of BLOCK needs more than 65536 bytes of stack",
    ),
}


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
    code = (
        "import sys; from dcgan_cupy.device import *; dev = get('cpu'); dev.kernel(sys.argv[1], 'hidden')(1, 2,"
        " dev.zeros(1))"
    )
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
struct P {
    unsigned v;
    __device__ bool operator==(P o) const { return v == o.v; }
    __device__ P& operator=(const P&) = default;
};
// __device__ unsigned f;
extern "C" __global__ void sum(unsigned* out) { out[0] = a[1] + b + c + d[0] + e(6); }
"""
    assert_equal(run(cpu, "sum", 1, 1, Out(1, U32), file=files(fine_cu=fine)), [20])
