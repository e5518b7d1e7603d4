"""Every kernel compiles for every GPU generation, without a GPU, and none spills a register or keeps a stack."""

import io
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from dcgan_cupy.device import gpu, source

compiler = pytest.importorskip("cupy.cuda.compiler", reason="CuPy is not installed")

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
FILES = sorted(path.relative_to(source.KERNELS).as_posix() for path in source.KERNELS.rglob("*.cu"))
PROPERTIES = re.compile(
    r"Function properties for (\w+)\s+ptxas\s+\.?\s*(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
)


@pytest.fixture(scope="module")
def options():
    """What RawModule passes (CuPy adds its headers and -ftz), but for the architecture, and ptxas made to talk."""
    from cupy._core.core import assemble_cupy_compiler_options

    try:
        compiler.nvrtc.getVersion()
        given = assemble_cupy_compiler_options(gpu.OPTIONS)
    except Exception as error:  # no libnvrtc beside CuPy, or one that does not load: it shows in many ways
        pytest.skip(f"NVRTC cannot be used: {error}")
    return (*given, "--device-as-default-execution-space", "-ftz=true", "--ptxas-options=-v")


def compile_for(architecture, text, options):
    """NVRTC's log of one compilation to machine code. Raises: CompileException."""
    log = io.StringIO()
    program = compiler._NVRTCProgram(text, "kernel.cu", method="cubin")
    program.compile((*options, f"-arch=sm_{architecture}"), log)
    return log.getvalue()


@pytest.mark.parametrize("file", FILES)
def test_compiles_everywhere_without_spills_or_stack(options, file):
    """A spill store, a spill load or a stack frame each means trips to memory for what belongs in registers."""
    text = source.load(file)
    kernels = source.signatures(text)
    assert kernels and not any(k.template for k in kernels.values()), "a template needs its instances named here"
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NVRTC works outside the interpreter's lock
        logs = list(pool.map(lambda architecture: compile_for(architecture, text, options), ARCHITECTURES))
    wrong = []
    for architecture, log in zip(ARCHITECTURES, logs, strict=True):
        found = {name: tuple(map(int, sizes)) for name, *sizes in PROPERTIES.findall(log)}
        assert kernels.keys() <= found.keys(), f"sm_{architecture}: no properties for some kernel in:\n{log}"
        wrong += [f"sm_{architecture} {name}: stack {stack}, spill stores {stores}, spill loads {loads}"
                  for name, (stack, stores, loads) in found.items() if stack or stores or loads]  # fmt: skip
    assert not wrong, "\n".join(wrong)


def test_this_test_sees_a_stack_frame_and_a_spill(options):
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
    (name, stack, *_), = PROPERTIES.findall(compile_for(90, frame, options))
    assert name == "frame" and int(stack) > 0
    (name, _, stores, loads), = PROPERTIES.findall(compile_for(90, spill, options))
    assert name == "spill" and int(stores) > 0 and int(loads) > 0


def test_this_test_sees_a_kernel_that_does_not_compile(options):
    with pytest.raises(compiler.CompileException, match="float3x"):
        compile_for(90, 'extern "C" __global__ void wrong(float3x* x) {}', options)
