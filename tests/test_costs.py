"""What the workbench counts: sectors, bank conflicts, divergence, bytes, FLOP."""

import numpy as np
import pytest
from inspect_cases import (
    I32,
    dev,  # noqa: F401
    launch,
)

from dcgan_cupy.workbench import costs
from dcgan_cupy.workbench.cards import CARDS, occupancy, roofline
from dcgan_cupy.workbench.cases import CASES, run_case


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


@pytest.mark.parametrize(
    "line, sectors, ideal",
    [
        ("y[t] = x[0];", 1, 1),  # a broadcast
        ("y[t] = x[t + 1];", 5, 4),  # one element off: a sector more
        ("y[t] = x[31 - t];", 4, 4),  # order does not matter
        ("y[t] = x[t / 2];", 2, 2),  # pairs share an element
        ("*(float4*)(y + 4 * t) = *(const float4*)(x + 4 * t);", 16, 16),
        ("*(float2*)(y + 2 * t) = *(const float2*)(x + 2 * t);", 8, 8),
    ],
)
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


@pytest.mark.parametrize(
    "kind, stride, passes, extra",
    [
        ("float2", 1, 2, 0),
        ("float4", 1, 4, 0),  # wide accesses go in parts, and none is a conflict
        ("float2", 2, 4, 2),
        ("float4", 2, 8, 4),
        ("float4", 8, 32, 28),
    ],
)
def test_bank_conflicts_of_wide_reads(dev, tmp_path, kind, stride, passes, extra):
    before = (
        "__shared__ __align__(16) float tile[1024]; for (int i = t; i < 1024; i += 32) tile[i] = x[i]; __syncthreads();"
    )
    accesses, _, _ = cost(dev, tmp_path, f"{kind} v = (({kind}*)tile)[{stride} * t]; y[t] = v.x + v.y;", before=before)
    read = next(a for a in accesses if a.shared)
    assert (read.requests, read.passes, read.extra) == (1, passes, extra)


@pytest.mark.parametrize("pitch, extra", [(32, 31), (33, 0)])
def test_transpose_with_and_without_padding(dev, tmp_path, pitch, extra):
    """32 x 32 floats through shared memory:

    A column read of 32-float rows is a 32-way conflict, of 33-float rows none.
    """
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


@pytest.mark.parametrize(
    "operation, shape, flops, moved",
    [
        ("add", {"n": 1000}, 1000, 12000),
        ("leaky_relu_forward", {"n": 1024}, None, 8192),
        ("adam_step", {"n": 1000}, None, 28 * 1000 + 8),  # the file's header says 28 bytes a parameter
        ("average_step", {"n": 1000}, 3000, 12000),
        ("concat_label_forward", {"n": 3, "h": 5, "w": 7, "c": 3, "k": 10}, 0, 4 * 105 * (2 * 3 + 10) + 4 * 3),
        ("concat_label_backward", {"n": 3, "h": 5, "w": 7, "c": 3, "k": 10}, 0, 8 * 105 * 3),
        ("concat_label_add", {"n": 3, "h": 5, "w": 7, "c": 3, "k": 10}, 315, 12 * 105 * 3),
    ],
)
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


@pytest.mark.parametrize(
    "line, flops",
    [
        ("y[t] = x[t];", 0),
        ("y[t] = fmaf(x[t], 2.0f, 1.0f);", 2),
        ("y[t] = x[t] * 2.0f + 1.0f;", 2),
        ("y[t] = expf(x[t]);", 1),
        ("y[t] = x[t] / 3.0f - sqrtf(x[t]);", 3),
    ],
)
def test_flops_of_a_line(dev, tmp_path, line, flops):
    assert cost(dev, tmp_path, line)[1]["flops"] == 32 * flops


def test_roofline_and_occupancy():
    at = roofline(CARDS["h200"], 48_000_000, 0, 0, 0)
    assert at["roofline_us"] == pytest.approx(10.0) and at["bound"] == "memory"
    assert roofline(CARDS["a100"], 0, 0, 195_000_000, 0)["arithmetic_us"] == pytest.approx(10.0)
    assert occupancy(CARDS["h100"], 256, 32, 0)["occupancy"] == 1.0
    assert occupancy(CARDS["h100"], 256, 128, 0)["blocks"] == 2
    assert occupancy(CARDS["h100"], 128, 32, 100 * 1024)["limit"] == "shared memory"
