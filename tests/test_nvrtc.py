"""Every kernel compiles for every GPU generation, without a GPU, and none spills a register or keeps a stack."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from dcgan_cupy.device import gpu, source
from dcgan_cupy.errors import UserError
from dcgan_cupy.learn.exercises import exercises

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
FILES = sorted(path.relative_to(source.KERNELS).as_posix() for path in source.KERNELS.rglob("*.cu"))


@pytest.fixture(scope="module", autouse=True)
def nvrtc():
    try:
        gpu.resources('extern "C" __global__ void nothing() {}', "nothing", 90)
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("file", FILES)
def test_compiles_everywhere_without_spills_or_stack(file):
    """A spill store, a spill load or a stack frame each means trips to memory for what belongs in registers."""
    text = source.load(file)
    kernels = source.signatures(text)
    assert kernels and not any(k.template for k in kernels.values()), "a template needs its instances named here"
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NVRTC works outside the interpreter's lock
        list(pool.map(lambda arch: gpu.resources(text, next(iter(kernels)), arch), ARCHITECTURES))
    found = {(name, arch): gpu.resources(text, name, arch) for name in kernels for arch in ARCHITECTURES}
    wrong = [f"sm_{arch} {name}: {r}" for (name, arch), r in found.items() if r.stack or r.spills]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("exercise", exercises().values(), ids=lambda e: e.number)
def test_exercises_are_cuda(exercise):
    """What a learner begins with compiles for a GPU too; the solution keeps its arrays in registers."""
    gpu.resources(exercise.task(), exercise.kernel, 90)
    found = gpu.resources(exercise.solution(), exercise.kernel, 90)
    assert not found.stack and not found.spills, found


def test_this_test_sees_a_stack_frame_and_a_spill():
    """An array indexed at run time lies in memory; a bound of 32 registers a thread makes big sums spill."""
    frame = """extern "C" __global__ void frame(float* x, int n) {
        float kept[64] = {};
        for (int i = 0; i < n; i++) kept[(int)x[i] & 63] += x[i + n];
        for (int i = 0; i < 64; i++) x[i] = kept[i];
    }"""
    spill = """extern "C" __global__ __launch_bounds__(1024, 2) void spill(float* x, int n) {
        float kept[64];
        #pragma unroll
        for (int i = 0; i < 64; i++) kept[i] = x[i * n];
        __syncthreads();
        #pragma unroll
        for (int i = 0; i < 64; i++) x[i * n + 1] = kept[63 - i] * kept[i];
    }"""
    assert gpu.resources(frame, "frame", 90).stack > 0
    assert gpu.resources(spill, "spill", 90).spills > 0


def test_this_test_sees_a_kernel_that_does_not_compile():
    with pytest.raises(UserError, match=r"^sm_90: compile: .*float3x"):
        gpu.resources('extern "C" __global__ void wrong(float* x) { x[0] = float3x(1); }', "wrong", 90)


def test_resources_tell_registers_and_shared_memory():
    text = """extern "C" __global__ void reversed(float* x) {
        __shared__ float kept[256];
        kept[threadIdx.x] = x[threadIdx.x];
        __syncthreads();
        x[threadIdx.x] = kept[255 - threadIdx.x];
    }"""
    found = gpu.resources(text, "reversed", 90)
    assert found.shared % 1024 == 0 < found.shared and 4 <= found.registers <= 32 and found.stack == found.spills == 0
    with pytest.raises(UserError, match=r"^sm_90: kernel: need one of reversed, got 'other'$"):
        gpu.resources(text, "other", 90)
