"""The workbench: planted faults are found with kind and line, shipped kernels have none, and costs are those of pencil and paper."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from planted import MUTATIONS, PLANTED

from dcgan_cupy.device import CpuDevice, source
from dcgan_cupy.errors import UserError
from dcgan_cupy.workbench import command, costs
from dcgan_cupy.workbench.cards import CARDS, occupancy, roofline
from dcgan_cupy.workbench.cases import CASES, run_case, sweep
from dcgan_cupy.workbench.check_device import CheckDevice
from dcgan_cupy.workbench.user_kernel import DTYPES

ROOT = Path(__file__).resolve().parent.parent
I32 = np.int32


@pytest.fixture(scope="module")
def dev():
    return CheckDevice(seconds=60)


def launch(dev, tmp_path, text, grid, block, *arguments, shared_bytes=0, symbol=None):
    """Runs the one kernel of a text; its Report."""
    path = tmp_path / "planted.cu"
    path.write_text(text)
    symbol = symbol or next(iter(source.signatures(text)))
    kernel = (
        CheckDevice(seconds=60)._compile(str(path), symbol, ()) if dev is None else dev._compile(str(path), symbol, ())
    )
    kernel(grid, block, *arguments, shared_bytes=shared_bytes)
    return dev.reports.pop()


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


# Faults


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
    rung = shape.pop("rung", "tiled")
    reports = run_case(dev, CASES[operation], shape, rung)
    assert changed, f"{file} no longer holds {old!r}: mend the mutation"
    findings = [f for r in reports for f in r.findings]
    if kind is None:  # one pixel to the right stays inside the data set: wrong, but no fault of memory
        assert not findings
        return
    assert kind in {f.kind for f in findings}, [f.message for f in findings]
    text = (source.KERNELS / next(f.file for f in findings if f.kind == kind)).read_text().splitlines()
    hits = [text[n - 1] for f in findings if f.kind == kind for n in (f.line, f.other_line or f.line) if n <= len(text)]
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


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
def test_shipped_kernels_have_no_finding(kind):
    """The reduced sweep; it reaches every kernel there is."""
    dev, reached = CheckDevice(kind, costs=False, seconds=60), set()
    for name, shape, reports in sweep(dev, quick=True):
        for r in reports:
            reached.add((r.file, r.kernel))
            assert not r.findings, f"{name} {shape}: {r.findings[0].kind}: {r.findings[0].message}"
    files = [p.relative_to(source.KERNELS).as_posix() for p in source.KERNELS.rglob("*.cu")]
    if kind == "cpu":
        return
    there = {(file, name) for file in files for name in source.signatures(source.load(file))}
    assert there <= reached, f"not reached by any case of inspect/cases.py: {sorted(there - reached)}"


# Costs: 32 lanes, sectors of 32 bytes, 32 banks of 4 bytes


def cost(dev, tmp_path, line, block=32, grid=1, before="", macros=""):
    """Counts of the line of a kernel that holds `line`; x holds 4096 floats, y and z as many."""
    text = f"""{macros}
extern "C" __global__ void measured(const float* x, float* y, float* z) {{
    int t = threadIdx.x;
    {before}
    {line}
}}"""
    x = dev.array(np.ones(4096, np.float32))
    report = launch(
        dev,
        tmp_path,
        text,
        grid,
        block,
        x,
        dev.array(np.zeros(4096, np.float32)),
        dev.array(np.zeros(4096, np.float32)),
    )
    dev.free()
    assert not report.findings, report.findings[0].message
    number = next(n for n, code in enumerate(text.splitlines(), 1) if line in code)
    return (
        [a for a in report.accesses if a.line == number],
        costs.lines(report)[report.accesses[0].file, number],
        report,
    )


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 8, 16, 32])
def test_a_strided_read_touches_stride_times_the_sectors(dev, tmp_path, stride):
    accesses, _, _ = cost(dev, tmp_path, f"y[t] = x[{stride} * t];")
    read = next(a for a in accesses if a.kind == "read")
    assert (read.requests, read.lanes, read.sectors, read.ideal) == (1, 32, min(4 * stride, 32), 4)


@pytest.mark.parametrize("line, sectors, ideal", [
    ("y[t] = x[0];", 1, 1),                                       # a broadcast
    ("y[t] = x[t + 1];", 5, 4),                                   # one element off: a sector more
    ("y[t] = x[31 - t];", 4, 4),                                  # order does not matter
    ("y[t] = x[t / 2];", 2, 2),                                   # pairs share an element
    ("*(float4*)(y + 4 * t) = *(const float4*)(x + 4 * t);", 16, 16),
    ("*(float2*)(y + 2 * t) = *(const float2*)(x + 2 * t);", 8, 8),
])  # fmt: skip
def test_sectors_of_a_read(dev, tmp_path, line, sectors, ideal):
    read = next(a for a in cost(dev, tmp_path, line)[0] if a.kind == "read")
    assert (read.requests, read.sectors, read.ideal) == (1, sectors, ideal)


def test_array_of_structures_against_structure_of_arrays(dev, tmp_path):
    """Three floats a pixel: together each of three requests touches all 12 sectors, apart each its own 4."""
    aos, row, _ = cost(dev, tmp_path, "y[t] = x[3 * t] + x[3 * t + 1] + x[3 * t + 2];")
    assert [a.sectors for a in aos if a.kind == "read"] == [12, 12, 12] and row["ideal_sectors"] == 16
    soa, row, _ = cost(dev, tmp_path, "y[t] = x[t] + x[1024 + t] + x[2048 + t];")
    assert [a.sectors for a in soa if a.kind == "read"] == [4, 4, 4] and row["sectors"] == row["ideal_sectors"] == 16


@pytest.mark.parametrize(
    "stride, ways", [(1, 1), (2, 2), (3, 1), (4, 4), (8, 8), (16, 16), (32, 32), (33, 1), (17, 1), (0, 1)]
)
def test_bank_conflicts_of_a_stride(dev, tmp_path, stride, ways):
    before = "__shared__ float tile[1088]; for (int i = t; i < 1088; i += 32) tile[i] = x[i]; __syncthreads();"
    accesses, _, _ = cost(dev, tmp_path, f"y[t] = tile[{stride} * t];", before=before)
    read = next(a for a in accesses if a.shared)
    assert (read.requests, read.passes, read.extra) == (1, ways, ways - 1)


@pytest.mark.parametrize("kind, stride, passes, extra", [
    ("float2", 1, 2, 0), ("float4", 1, 4, 0),                     # wide accesses go in parts, and none is a conflict
    ("float2", 2, 4, 2), ("float4", 2, 8, 4), ("float4", 8, 32, 28),
])  # fmt: skip
def test_bank_conflicts_of_wide_reads(dev, tmp_path, kind, stride, passes, extra):
    before = (
        "__shared__ __align__(16) float tile[1024]; for (int i = t; i < 1024; i += 32) tile[i] = x[i]; __syncthreads();"
    )
    accesses, _, _ = cost(dev, tmp_path, f"{kind} v = (({kind}*)tile)[{stride} * t]; y[t] = v.x + v.y;", before=before)
    read = next(a for a in accesses if a.shared)
    assert (read.requests, read.passes, read.extra) == (1, passes, extra)


@pytest.mark.parametrize("pitch, extra", [(32, 31), (33, 0)])
def test_transpose_with_and_without_padding(dev, tmp_path, pitch, extra):
    """32 x 32 floats through shared memory: a column read of 32-float rows is a 32-way conflict, of 33-float rows none."""
    text = f"""extern "C" __global__ void transpose(const float* x, float* y) {{
    __shared__ float tile[32][{pitch}];
    tile[threadIdx.y][threadIdx.x] = x[32 * threadIdx.y + threadIdx.x];
    __syncthreads();
    y[32 * threadIdx.y + threadIdx.x] = tile[threadIdx.x][threadIdx.y];
}}"""
    report = launch(dev, tmp_path, text, 1, (32, 32), dev.array(np.ones(1024, np.float32)), dev.empty((1024,)))
    rows = {line: row for (_, line), row in costs.lines(report).items()}
    assert rows[3]["bank_conflicts"] == 0 and rows[5]["bank_conflicts"] == 32 * extra
    assert rows[3]["sectors"] == rows[5]["sectors"] == 128 and rows[3]["requests"] == rows[5]["requests"] == 32


def test_a_tree_reduction_splits_only_its_last_warp(dev, tmp_path):
    """256 values: levels of 128, 64, 32 fill whole warps; 16 … 1 split warp 0, five times."""
    text = """extern "C" __global__ void reduce(const float* x, float* y) {
    __shared__ float part[256];
    part[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) y[0] = part[0];
}"""
    report = launch(dev, tmp_path, text, 1, 256, dev.array(np.arange(256, dtype=np.float32)), dev.empty((1,)))
    rows = {line: row for (_, line), row in costs.lines(report).items()}
    assert rows[6]["divergent"] == 5
    assert rows[6]["shared_requests"] == 3 * (4 + 2 + 1 + 5) and rows[6]["flops"] == 255
    assert rows[4]["barriers"] == 1 and rows[7]["barriers"] == 8
    assert rows[9]["divergent"] == 1


def test_lanes_that_skip_an_iteration_stay_together(dev, tmp_path):
    """Odd lanes leave out every other round; round 2 is one request of all lanes all the same, as on a GPU."""
    text = """extern "C" __global__ void rounds(const float* x, float* y, int n) {
    float sum = 0.0f;
    for (int k = 0; k < n; k++) {
        if (k % 2 == 1 && threadIdx.x % 2 == 1) continue;
        sum += x[32 * k + threadIdx.x];
    }
    y[threadIdx.x] = sum;
}"""
    report = launch(dev, tmp_path, text, 1, 32, dev.array(np.ones(3200, np.float32)), dev.empty((32,)), I32(100))
    reads = [a for a in report.accesses if a.kind == "read"]  # the compiler may make two of the one
    assert tuple(sum(getattr(a, n) for a in reads) for n in ("requests", "lanes", "sectors")) == (
        100,
        50 * 32 + 50 * 16,
        400,
    )


def test_many_rounds_in_bounded_memory(dev, tmp_path):
    """More accesses than a thread's list holds: the warp's lanes wait for each other, and requests stay whole."""
    text = """extern "C" __global__ void rounds(const float* x, float* y, int n) {
    float sum = 0.0f;
    for (int k = 0; k < n; k++) {
        if (k % 7 == 0 && threadIdx.x < 5) continue;
        sum += x[k % 100 * 32 + threadIdx.x];
    }
    y[threadIdx.x] = sum;
}"""
    report = launch(dev, tmp_path, text, 1, 64, dev.array(np.ones(3300, np.float32)), dev.empty((64,)), I32(7000))
    read = next(a for a in report.accesses if a.kind == "read")
    assert read.lanes == 7000 * 64 - 5 * 1000
    assert abs(read.requests - 14000) <= 14  # a list that is full may cut a request in two


@pytest.mark.parametrize("operation, shape, flops, moved", [
    ("add", {"n": 1000}, 1000, 12000),
    ("leaky_relu_forward", {"n": 1024}, None, 8192),
    ("adam_step", {"n": 1000}, None, 28 * 1000 + 8),               # the file's header says 28 bytes a parameter
])  # fmt: skip
def test_bytes_are_those_of_the_header(dev, operation, shape, flops, moved):
    report = run_case(dev, CASES[operation], shape)[-1]
    assert report.moved == moved
    assert flops is None or report.flops == flops


def test_flops_are_those_of_the_header(dev):
    """Without padding, every tap of a textbook convolution is computed: 2 KH KW IC FLOP an output."""
    shape = {
        "n": 2,
        "h": 9,
        "w": 8,
        "ic": 3,
        "oc": 5,
        "kh": 4,
        "kw": 3,
        "stride_h": 2,
        "stride_w": 1,
        "pad_h": 0,
        "pad_w": 0,
        "bias": 0,
    }
    report = run_case(dev, CASES["conv2d_forward"], shape, "textbook")[-1]
    assert report.flops == 2 * (2 * 3 * 6 * 5) * 4 * 3 * 3


@pytest.mark.parametrize("line, flops", [("y[t] = x[t];", 0), ("y[t] = fmaf(x[t], 2.0f, 1.0f);", 2), ("y[t] = x[t] * 2.0f + 1.0f;", 2),
                                         ("y[t] = expf(x[t]);", 1),
                                         ("y[t] = x[t] / 3.0f - sqrtf(x[t]);", 3)])  # fmt: skip
def test_flops_of_a_line(dev, tmp_path, line, flops):
    assert cost(dev, tmp_path, line)[1]["flops"] == 32 * flops


def test_roofline_and_occupancy():
    at = roofline(CARDS["h200"], 48_000_000, 0, 0, 0)
    assert at["roofline_us"] == pytest.approx(10.0) and at["bound"] == "memory"
    assert roofline(CARDS["a100"], 0, 0, 195_000_000, 0)["arithmetic_us"] == pytest.approx(10.0)
    assert occupancy(CARDS["h100"], 256, 32, 0)["occupancy"] == 1.0
    assert occupancy(CARDS["h100"], 256, 128, 0)["blocks"] == 2
    assert occupancy(CARDS["h100"], 128, 32, 100 * 1024)["limit"] == "shared memory"


# The command

COPY = """extern "C" __global__ void copy(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i];
}
"""


def inspect(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "dcgan_cupy.inspect", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_command_on_a_file_of_the_users(tmp_path):
    path, page = tmp_path / "my.cu", tmp_path / "page.html"
    path.write_text(COPY)
    arguments = (
        f"{path}:copy",
        "--grid",
        4,
        "--block",
        256,
        "--arg",
        "x=f32[1000]",
        "--arg",
        "y=f32[1000]:empty",
        "--arg",
        "n=1000",
    )
    code, out, err = inspect(*arguments, "--html", page)
    assert code == 0 and "no finding" in out and not err, err
    text = page.read_text()
    assert "copy" in text and "<svg" in text and "http" not in text.replace("http://www.w3.org", "")
    code, out, _ = inspect(*arguments[:-1], "n=1024", "--json")
    found = json.loads(out)
    assert code == 1
    first = found["findings"][0]
    assert (
        first["kind"] == "out-of-bounds"
        and first["line"] == 3
        and first["block"] == [3, 0, 0]
        and first["thread"] == [232, 0, 0]
    )
    assert {"file", "other_line", "message"} <= first.keys()
    assert {"requests", "sectors", "ideal_sectors", "bank_conflicts"} <= found["costs"][0]["total"].keys()


def test_command_on_our_own(capsys):
    assert command.main(["conv2d_forward", "--rung", "textbook", "--shape", "n=1,h=6,w=5,ic=2,oc=3"]) == 0
    out = capsys.readouterr().out
    assert "no finding" in out and "roofline on H200" in out and "x_pixel[ic]" in out
    assert command.main(["relu_forward", "--shape", "n=100", "--block", "64", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["costs"][0]["grid"] == [4, 1, 1]
    assert command.main(["transpose_weight", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["costs"][0]["kernel"] == "transpose_weight"


@pytest.mark.parametrize("arguments, message", [
    (["nothing_of_ours"], "inspect: kernel: need file.cu:kernel or one of ours"),
    (["conv2d_forward", "--rung", "fastest"], "inspect: --rung: need one of textbook"),
    (["relu_forward", "--rung", "tiled"], "inspect: --rung: need a convolution"),
    (["relu_forward", "--shape", "m=3"], "inspect: --shape: need n for relu_forward, got m"),
    (["relu_forward", "--shape", "three"], "inspect: --shape: need sizes such as"),
    (["relu_forward", "--gpu", "h300"], "inspect: --gpu: need one of"),
    (["conv2d_forward", "--block", "64"], "inspect: --block: need a kernel whose blocks may have any length"),
    (["relu_forward", "--warp", "one"], "inspect: --warp: need BLOCK:WARP"),
    (["relu_forward", "--arg", "n=3"], "inspect: --arg, --grid, --macro"),
    (["missing.cu:copy", "--grid", "1", "--block", "1"], "inspect: missing.cu: need a .cu file"),
    (["FILE:copy", "--grid", "1"], "inspect: --grid and --block: need both"),
    (["FILE:copy", "--grid", "0", "--block", "32"], "inspect: --grid: need one to three whole numbers|--arg"),
    (["FILE:other", "--grid", "1", "--block", "32"], "kernel: need one of copy, got 'other'"),
    (["FILE:copy", "--grid", "1", "--block", "32"], "inspect: --arg: need a value for x"),
    (["FILE:copy", "--grid", "1", "--block", "32", "--arg", "z=3"], "inspect: --arg: need name=value with one of x, y, n"),
    (["FILE:copy", "--grid", "1", "--block", "32", "--arg", "x=f32"], "inspect: --arg: x: need an array such as"),
    (["FILE:copy", "--grid", "1", "--block", "32", "--arg", "x=i32[5]"], "inspect: --arg: x: need an array of float32"),
    (["FILE:copy", "--grid", "1", "--block", "32", "--arg", "x=@no.npy"], "inspect: --arg: x: need a .npy file"),
    (["FILE:copy", "--grid", "1", "--block", "32", "--arg", "x=null", "--arg", "y=null", "--arg", "n=x"],
     "inspect: --arg: n: need a number"),
])  # fmt: skip
def test_wrong_use_is_one_sentence(tmp_path, capsys, arguments, message):
    import re

    path = tmp_path / "my.cu"
    path.write_text(COPY)
    assert command.main([a.replace("FILE", str(path)) for a in arguments]) == 2
    err = capsys.readouterr().err.strip()
    assert "\n" not in err and re.search(message, err), err


@pytest.mark.parametrize("line, got", [
    ('asm volatile("bar.sync 0;");', "inline PTX"), ("auto g = cooperative_groups::this_grid();", "cooperative groups"),
    ("copy<<<1, 32>>>(x, y, n);", "<<<"), ("float v = tex1Dfetch<float>(t, 0);", "textures"),
    ("float* p = new float[3];", "memory allocated"),
    ("cudaDeviceSynchronize();", "CUDA runtime"),
])  # fmt: skip
def test_unsupported_features_name_their_line(tmp_path, capsys, line, got):
    path = tmp_path / "my.cu"
    path.write_text(COPY.replace("    if (i", f"    {line}\n    if (i"))
    assert command.main([f"{path}:copy", "--grid", "1", "--block", "32"]) == 2
    err = capsys.readouterr().err
    assert f"{path}:3: unsupported: need " in err and got in err


def test_a_loop_without_end_is_stopped(tmp_path, capsys):
    path = tmp_path / "my.cu"
    path.write_text('extern "C" __global__ void spin(volatile int* x) { while (x[0] == 0) {} }')
    assert command.main(
        [f"{path}:spin", "--grid", "1", "--block", "1", "--arg", "x=i32[1]", "--seconds", "0.3", "--seed", "9"]
    ) in (0, 2)
    np.save(tmp_path / "zero.npy", np.zeros(1, np.int32))
    assert (
        command.main(
            [f"{path}:spin", "--grid", "1", "--block", "1", "--arg", f"x=@{tmp_path}/zero.npy", "--seconds", "0.3"]
        )
        == 2
    )
    assert "need a launch of at most 0.3 s" in capsys.readouterr().err


def test_many_short_blocks_are_stopped_too(tmp_path, capsys):
    path = tmp_path / "my.cu"
    path.write_text(COPY)
    arguments = [
        "--grid",
        "60000",
        "--block",
        "64",
        "--arg",
        "x=f32[4000000]",
        "--arg",
        "y=f32[4000000]:empty",
        "--arg",
        "n=3840000",
    ]
    assert command.main([f"{path}:copy", *arguments, "--seconds", "0.02"]) == 2
    assert "need a launch of at most 0.02 s" in capsys.readouterr().err


def test_a_wild_index_into_shared_memory(dev, tmp_path):
    text = """extern "C" __global__ void wild(float* y, int far) {
    __shared__ float tile[32];
    tile[threadIdx.x] = 0.0f;
    tile[threadIdx.x + far] = 1.0f;
    y[threadIdx.x] = tile[threadIdx.x];
}"""
    report = launch(dev, tmp_path, text, 1, 32, dev.empty((32,)), I32(200000))
    assert [(f.kind, f.line) for f in report.findings] == [("out-of-bounds", 4)]


def test_a_compile_error_names_the_line(tmp_path, capsys):
    path = tmp_path / "my.cu"
    path.write_text(COPY.replace("if (i < n)", "if (i < m)"))
    assert (
        command.main(
            [
                f"{path}:copy",
                "--grid",
                "1",
                "--block",
                "32",
                "--arg",
                "x=f32[32]",
                "--arg",
                "y=f32[32]",
                "--arg",
                "n=32",
            ]
        )
        == 2
    )
    err = capsys.readouterr().err
    assert f"{path}:3: compile:" in err and "'m'" in err


def test_no_clang_is_one_sentence(monkeypatch):
    from dcgan_cupy.device.host import build
    from dcgan_cupy.workbench import check_device as check

    monkeypatch.setattr(check.building, "find_compiler", lambda: build.Compiler(("g++",), "PATH"))
    monkeypatch.setitem(sys.modules, "ziglang", None)
    monkeypatch.setattr(check.shutil, "which", lambda name: None)
    check.clang.cache_clear()
    try:
        with pytest.raises(UserError, match="device: check: need clang"):
            check.clang()
    finally:
        check.clang.cache_clear()


def test_the_command_gives_back_what_ctrl_c_did():
    """Called from a program, it leaves the program's own handler as it was, after an error too."""
    before = signal.getsignal(signal.SIGINT)
    assert command.main(["no_such_kernel"]) == 2
    assert signal.getsignal(signal.SIGINT) is before
