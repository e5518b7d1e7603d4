"""The workbench finds planted faults and mutations of shipped kernels, and nothing in sound ones."""

import numpy as np
import pytest
from inspect_cases import (
    I32,
    Plan,
    dev,  # noqa: F401
    launch,
)
from mutations import MUTATIONS
from planted import PLANTED as OTHERS
from planted_races import RACES

from dcgan_cupy.device import CpuDevice, source
from dcgan_cupy.workbench.arguments import DTYPES
from dcgan_cupy.workbench.cases import CASES, run_case, sweep
from dcgan_cupy.workbench.check_device import CheckDevice

PLANTED = [*OTHERS, *RACES]


def arguments_of(dev, arrays):
    rng = np.random.default_rng(3)
    for value in arrays.values():
        if isinstance(value, tuple):
            kind, count, state = value
            dtype = np.dtype(DTYPES[kind])
            if state == "empty":
                yield dev.empty((count,), dtype)
            else:
                high = 0 if state == "zero" else 64
                yield dev.array(np.zeros(count, dtype) if high == 0 else rng.integers(0, high, count).astype(dtype))
        else:
            yield None if value is None else I32(value)


@pytest.mark.parametrize("fault", PLANTED, ids=lambda f: f["name"].replace(" ", "-"))
def test_planted_fault(dev, tmp_path, fault):
    lines = fault["text"].splitlines()
    marks = {n: line.rpartition("//")[2].split() for n, line in enumerate(lines, 1) if "//" in line}
    report = launch(
        dev,
        tmp_path,
        fault["text"],
        fault["grid"],
        fault["block"],
        *arguments_of(dev, fault["arrays"]),
        shared_bytes=fault["shared_bytes"],
    )
    dev.free()
    assert report.findings, "nothing found"
    for f in report.findings:
        assert any(f.kind in m for m in marks.values()), f"{f.kind} at line {f.line}: {f.message}"
        # Which side of a race comes second is chance: both lines are named, in either order.
        allowed = {n for n, m in marks.items() if f.kind in m or (f.kind in ("race", "barrier") and "other" in m)}
        assert {f.line, f.other_line} - {None} <= allowed, f"{f.kind} at lines {f.line}, {f.other_line}: {f.message}"
        assert "\n" not in f.message and f.message.count(". ") == 0


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m[0]}-{m[3]}-{m[5]}")
def test_mutated_kernel(mutation):
    file, old, new, operation, shape, kind, line = mutation
    dev, changed = CheckDevice(costs=False, seconds=60), []

    def edit(name, text):
        if old in text:
            changed.append(name)
        return text.replace(old, new)

    dev.edit = edit
    shape = dict(shape)
    rung = shape.pop("rung", "")
    reports = run_case(dev, CASES[operation], shape, rung)
    assert changed, f"{file} no longer holds {old!r}: mend the mutation"
    findings = [f for r in reports for f in r.findings]
    if kind is None:  # one pixel to the right stays inside the data set: wrong, but no fault of memory
        assert not findings
        return
    assert kind in {f.kind for f in findings}, [f.message for f in findings]
    hits = []
    for f in (f for f in findings if f.kind == kind):  # the line, the other one, and in a header those that called it
        places = {(f.file, f.line), (f.other_file or f.file, f.other_line or f.line), *((n[0], n[1]) for n in f.frames)}
        hits += [(source.KERNELS / name).read_text().splitlines()[number - 1] for name, number in places]
    assert any(line in hit for hit in hits), hits


@pytest.mark.parametrize(
    "wait, barrier", [("__pipeline_wait_prior(0);", "__syncthreads();"), ("__pipeline_wait_prior(0);", ""), ("", "")]
)
def test_cp_async_copies_when_its_wait_comes(tmp_path, wait, barrier):
    """On the ordinary CPU device, with fibers and as a loop: a forgotten wait reads what was there before."""
    text = f"""#include <cuda_pipeline.h>
extern "C" __global__ void staged(const float* x, float* y) {{
    __shared__ __align__(16) float tile[4 * 40];
    for (int k = 0; k < 4; k++) tile[4 * threadIdx.x + k] = -1.0f;
    __pipeline_memcpy_async(tile + 4 * threadIdx.x, x + 4 * threadIdx.x, 16, 4);
    __pipeline_commit();
    {wait}
    {barrier}
    for (int k = 0; k < 4; k++) y[4 * threadIdx.x + k] = tile[4 * threadIdx.x + k];
}}"""
    path = tmp_path / "staged.cu"
    path.write_text(text)
    cpu = CpuDevice(threads=2)
    x, y = np.arange(160, dtype=np.float32) + 1, cpu.empty((160,))
    cpu.kernel(str(path), "staged")(1, 40, cpu.array(x), y)
    cpu.kernel(str(path), "staged")(1, 40, cpu.array(x), y)  # nothing is left over from the launch before
    want = (
        np.where(np.arange(160) % 4 == 3, 0, x) if wait else np.full(160, -1.0)
    )  # the last 4 bytes of each copy are zeros
    assert (cpu.numpy(y) == want).all()


def test_all_planted_faults_and_mutations_are_many():
    assert len(PLANTED) + len(MUTATIONS) >= 40
    assert {
        k
        for f in PLANTED
        for k in ("out-of-bounds", "misaligned", "uninitialised", "race", "barrier")
        if k in f["text"]
    } == {"out-of-bounds", "misaligned", "uninitialised", "race", "barrier"}


SOUND = {
    "__syncwarp inside a warp": (
        """extern "C" __global__ void sound(const float* x, float* y) {
    __shared__ float tile[64];
    int i = threadIdx.x;
    tile[i] = x[i];
    __syncwarp();
    y[i] = tile[i ^ 31];
}""",
        1,
        64,
    ),
    "shuffles order a warp": (
        """extern "C" __global__ void sound(const float* x, float* y) {
    __shared__ float tile[64];
    int i = threadIdx.x;
    tile[i] = x[i];
    float v = __shfl_xor_sync(0xffffffffu, x[i], 1);
    y[i] = tile[i ^ 31] + v;
}""",
        1,
        64,
    ),
    "atomics between blocks": (
        """extern "C" __global__ void sound(const float* x, float* y) { atomicAdd(&y[0], x[threadIdx.x]); }""",
        4,
        64,
    ),
    "the last block sums behind a fence": (
        """extern "C" __global__ void sound(float* y, unsigned* done) {
    __shared__ int last;
    if (threadIdx.x == 0) {
        y[1 + blockIdx.x] = 1.0f;
        __threadfence();
        last = atomicAdd(done, 1u) == gridDim.x - 1;
        if (last) for (int b = 0; b < gridDim.x; b++) y[0] += y[1 + b];
    }
}""",
        4,
        64,
    ),
    "neighbouring bytes": (
        """extern "C" __global__ void sound(const float* x, unsigned char* bytes) {
    __shared__ unsigned char tile[64];
    int i = threadIdx.x;
    tile[i] = i;
    __syncthreads();
    bytes[i] = tile[63 - i];
}""",
        1,
        64,
    ),
    "cp.async with its wait and its barrier": (
        """#include <cuda_pipeline.h>
extern "C" __global__ void sound(const float* x, float* y) {
    __shared__ __align__(16) float tile[2][64];
    for (int b = 0; b < 2; b++) {
        if (threadIdx.x < 16) __pipeline_memcpy_async(&tile[b][4 * threadIdx.x], x + 4 * threadIdx.x, 16);
        __pipeline_commit();
    }
    for (int b = 0; b < 2; b++) {
        if (b == 0) __pipeline_wait_prior(1); else __pipeline_wait_prior(0);
        __syncthreads();
        y[threadIdx.x] = tile[b][63 - threadIdx.x];
    }
}""",
        1,
        64,
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_kernels_have_no_finding(dev, tmp_path, name):
    text, grid, block = SOUND[name]
    given = {
        "x": dev.array(np.ones(64, np.float32)),
        "y": dev.array(np.zeros(64, np.float32)),
        "done": dev.array(np.zeros(1, np.uint32)),
        "bytes": dev.empty((64,), np.uint8),
    }
    parameters = source.signatures(text)["sound"].parameters
    report = launch(dev, tmp_path, text, grid, block, *(given[p.name] for p in parameters))
    assert not report.findings, report.findings[0].message


@pytest.mark.parametrize(
    "name, kind",
    [(name, kind) for name, case in CASES.items() for kind in ("gpu", "cpu") if kind == "gpu" or case.by_tiles],
)
def test_shipped_kernels_have_no_finding(name, kind):
    """The reduced sweep, an operation at a time."""
    launches = 0
    for _, shape, reports in sweep(CheckDevice(kind, costs=False, seconds=60), quick=True, names=[name]):
        launches += len(reports)
        for r in reports:
            assert not r.findings, f"{shape}: {r.findings[0].kind}: {r.findings[0].message}"
    assert launches


def test_the_reduced_sweep_reaches_every_kernel():
    plan = Plan()
    assert sum(1 for _ in sweep(plan, quick=True)) > 100
    files = [p.relative_to(source.KERNELS).as_posix() for p in source.KERNELS.rglob("*.cu")]
    there = {(file, name) for file in files for name in source.signatures(source.load(file))}
    missing = there - {(file, symbol) for file, symbol, _ in plan.kernels}
    assert not missing, f"not reached by any case of workbench/cases.py: {sorted(missing)}"
